#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eval/task_grade.h"
#include "unit/task_shared.h"

#define CHOICE_TASK                                                                                        \
    "{\"schema\":\"task/1\",\"name\":\"m\",\"version\":\"1\",\"kind\":\"multiple_choice\",\"items\":\"i\","  \
    "\"doc_to_text\":\"{{q}}:\",\"choices\":\"c\",\"gold\":\"a\",\"subset\":\"s\",\"metrics\":["             \
    "{\"metric\":\"acc\"},{\"metric\":\"acc_norm\"}]}"
#define CHOICE_ITEMS                                               \
    "{\"q\":\"x\",\"c\":[\"ab\",\"abcd\"],\"a\":1,\"s\":\"u\"}\n"   \
    "{\"q\":\"y\",\"c\":[\"ab\",\"cd\",\"ef\"],\"a\":0,\"s\":\"v\"}\n" \
    "{\"q\":\"z\",\"c\":[\"\xc3\xa9\",\"ee\"],\"a\":1,\"s\":\"u\"}\n"
#define LP(id, v) "{\"id\":\"" id "\",\"status\":\"ok\",\"finish_reason\":\"scored\",\"logprob\":" v "}\n"

#define TEXT_TASK                                                                                             \
    "{\"schema\":\"task/1\",\"name\":\"g\",\"version\":\"1\",\"kind\":\"generate\",\"items\":\"i\","            \
    "\"doc_to_text\":\"{{q}}\",\"doc_to_target\":\"{{a}}\",\"stop\":[\"Q:\"],\"max_tokens\":9,"                 \
    "\"chance_pct\":0,\"filters\":[{\"name\":\"strict\",\"steps\":[{\"function\":\"regex\",\"pattern\":"        \
    "\"is ([0-9]+)\"}]},{\"name\":\"last\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"[0-9]+\","           \
    "\"select\":\"last\"}]}],\"metrics\":[{\"metric\":\"exact_match\"}]}"
#define TEXT_ITEMS "{\"q\":\"x\",\"a\":\"7\"}\n{\"q\":\"y\",\"a\":\"8\"}\n{\"q\":\"z\",\"a\":\"9\"}\n{\"q\":\"w\",\"a\":\"1\"}\n"

struct run {
    struct task *task;
    struct jsonl rows;
    struct transcripts *answers;
    struct grade *grade;
    struct err err;
};

static enum status run_grade(struct run *r, const char *definition, const char *items, const char *transcripts,
                             const struct task_options *o, bool force)
{
    struct grade_options rules = {.force_raw = force};
    enum status s;
    *r = (struct run){.task = NULL};
    if (task_parse(&r->task, definition, strlen(definition), "task.json", &r->err) ||
        task_add_items(r->task, items, strlen(items), "items.jsonl", &r->err) ||
        jsonl_parse(&r->rows, transcripts, strlen(transcripts), "t.jsonl", &r->err))
        fail_msg("%s", r->err.text);
    s = transcripts_new(&r->answers, (const cJSON *const *)r->rows.objects, r->rows.n, "t.jsonl", &r->err);
    return s ? s : task_grade(&r->grade, r->task, o, r->answers, &rules, &r->err);
}

static void run_end(struct run *r)
{
    grade_free(r->grade);
    transcripts_free(r->answers);
    jsonl_release(&r->rows);
    task_free(r->task);
}

static void test_choice(void **state)
{
    (void)state;
    struct run r;
    struct task_options o = TASK_OPTIONS_INIT;
    /* m/0: the longer text loses by sum and wins per character; m/1: a tie, the lowest index wins;
     * m/2: length counts code points, so the one-letter choice is not halved. */
    enum status s = run_grade(&r, CHOICE_TASK, CHOICE_ITEMS,
                              LP("m/0/0", "-4") LP("m/0/1", "-6") LP("m/1/2", "-3") LP("m/1/0", "-2.5")
                                  LP("m/1/1", "-2.5") LP("m/2/0", "-2") LP("m/2/1", "-3"),
                              &o, false);
    if (s)
        fail_msg("%s", r.err.text);
    const struct grade *g = r.grade;
    assert_int_equal(g->n_items, 3);
    assert_false(g->items[0].hit[0]);
    assert_true(g->items[0].hit[1]);
    assert_string_equal(g->items[0].answer, "ab");
    assert_true(g->items[1].hit[0] && g->items[1].hit[1]);
    assert_false(g->items[2].hit[0]);
    assert_true(g->items[2].hit[1]);
    assert_string_equal(g->items[2].id, "m/2");
    assert_int_equal(g->n_sums, 6); // two metrics, all + u + v
    assert_string_equal(g->sums[0].subset, "all");
    assert_int_equal(g->sums[0].correct, 1);
    assert_float_equal(g->sums[0].chance, (0.5 + 1 / 3.0 + 0.5) / 3, 1e-15);
    assert_string_equal(g->sums[4].subset, "u");
    assert_int_equal(g->sums[4].n, 2);
    assert_int_equal(g->sums[4].correct, 2);
    assert_false(g->sums[5].has_stderr); // n = 1
    run_end(&r);
}

static void test_choice_error(void **state)
{
    (void)state;
    struct run r;
    struct task_options o = TASK_OPTIONS_INIT;
    o.limit = 1;
    assert_int_equal(run_grade(&r, CHOICE_TASK, CHOICE_ITEMS,
                               LP("m/0/0", "-4") "{\"id\":\"m/0/1\",\"status\":\"numeric\",\"error\":\"e\"}\n", &o, false),
                     OK);
    assert_int_equal(r.grade->items[0].label, GRADE_ERROR);
    assert_int_equal(r.grade->sums[0].error, 1);
    assert_int_equal(r.grade->sums[0].correct, 0);
    run_end(&r);
}

#define TEXT(id, text, reason) \
    "{\"id\":\"" id "\",\"status\":\"ok\",\"text\":\"" text "\",\"token_ids\":[1,2],\"finish_reason\":\"" reason "\"}\n"

static void test_text(void **state)
{
    (void)state;
    struct run r;
    struct task_options o = TASK_OPTIONS_INIT;
    enum status s = run_grade(&r, TEXT_TASK, TEXT_ITEMS,
                              TEXT("g/0", "it is 7 or 6", "stop") TEXT("g/1", "8", "length")
                                  TEXT("g/2", "is 9 Q: is 4", "length")
                                      "{\"id\":\"g/3\",\"status\":\"oom\",\"text\":\"is 1\",\"finish_reason\":\"error\"}\n",
                              &o, false);
    if (s)
        fail_msg("%s", r.err.text);
    const struct grade_item *i = r.grade->items;
    assert_int_equal(i[0].label, GRADE_CORRECT); // strict takes the first
    assert_int_equal(i[4].label, GRADE_WRONG);   // last takes the last
    assert_int_equal(i[1].label, GRADE_INVALID);
    assert_string_equal(i[1].answer, "[invalid]");
    assert_int_equal(i[5].label, GRADE_CORRECT);
    assert_true(i[1].truncated);
    assert_string_equal(i[2].response, "is 9 ");
    assert_false(i[2].truncated); // a stop text came before the limit
    assert_int_equal(i[3].label, GRADE_ERROR);
    const struct grade_sum *sum = r.grade->sums;
    assert_int_equal(r.grade->n_sums, 2);
    assert_int_equal(sum[0].n, 4);
    assert_int_equal(sum[0].correct, 2);
    assert_int_equal(sum[0].invalid, 1);
    assert_int_equal(sum[0].error, 1);
    assert_int_equal(sum[0].truncated, 1);
    assert_int_equal(sum[0].out_tok, 6);
    assert_float_equal(sum[0].stderr_mean, 0.28867513459481287, 1e-15); // sqrt(.5 * .5 / 3)
    run_end(&r);
}

#define CHAT(id, final, has, reasoning)                                                                  \
    "{\"id\":\"" id "\",\"status\":\"ok\",\"text\":\"raw is 9\",\"final\":\"" final "\",\"has_final\":" has  \
    ",\"reasoning\":\"" reasoning "\",\"token_ids\":[1],\"finish_reason\":\"stop\"}\n"

/* Only the final answer is searched: not the thoughts, not the raw text. */
static void test_chat(void **state)
{
    (void)state;
    struct run r;
    struct task_options o = TASK_OPTIONS_INIT;
    o.chat = true;
    o.limit = 3;
    assert_int_equal(run_grade(&r, TEXT_TASK, TEXT_ITEMS,
                               CHAT("g/0", "is 7", "true", "is 3") CHAT("g/1", "", "false", "is 8")
                                   CHAT("g/2", "none", "true", "is 9"),
                               &o, false),
                     OK);
    assert_int_equal(r.grade->items[0].label, GRADE_CORRECT);
    assert_int_equal(r.grade->items[1].label, GRADE_NO_FINAL);
    assert_int_equal(r.grade->items[2].label, GRADE_INVALID);
    assert_int_equal(r.grade->sums[0].no_final, 1);
    run_end(&r);
}

static void test_harmony_raw(void **state)
{
    (void)state;
    struct run r;
    struct task_options o = TASK_OPTIONS_INIT;
    o.limit = 1;
    const char *t = TEXT("g/0", "<|channel|>analysis<|message|>is 7", "stop");
    assert_int_equal(run_grade(&r, TEXT_TASK, TEXT_ITEMS, t, &o, false), ERR_UNSUPPORTED);
    assert_non_null(strstr(r.err.text, "g/0"));
    run_end(&r);
    assert_int_equal(run_grade(&r, TEXT_TASK, TEXT_ITEMS, t, &o, true), OK);
    assert_int_equal(r.grade->items[0].label, GRADE_CORRECT);
    run_end(&r);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *rows;
        const char *says;
    } cases[] = {
        {TEXT("g/0", "a", "stop"), "1 of 2 requests have no row, first \"g/1\""},
        {TEXT("g/0", "a", "stop") TEXT("g/1", "a", "stop") TEXT("g/1", "a", "stop"), "t.jsonl:3: id \"g/1\" stands twice"},
        {TEXT("g/0", "a", "stop") TEXT("g/1", "a", "stop") TEXT("h/1", "a", "stop"), "h/1"},
        {"{\"id\":\"g/0\",\"status\":\"ok\",\"token_ids\":[]}\n" TEXT("g/1", "a", "stop"), "\"text\""},
        {"{\"id\":\"g/0\",\"status\":\"ok\",\"text\":\"a\"}\n" TEXT("g/1", "a", "stop"), "\"token_ids\""},
        {"{\"id\":\"g/0\",\"text\":\"a\"}\n" TEXT("g/1", "a", "stop"), "\"status\""},
        {"{\"id\":7,\"status\":\"ok\"}\n" TEXT("g/1", "a", "stop"), "t.jsonl:1"},
        {"{\"status\":\"ok\"}\n" TEXT("g/1", "a", "stop"), "\"id\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run r;
        struct task_options o = TASK_OPTIONS_INIT;
        o.limit = 2;
        if (run_grade(&r, TEXT_TASK, TEXT_ITEMS, cases[i].rows, &o, false) == OK)
            fail_msg("taken: %s", cases[i].rows);
        if (!strstr(r.err.text, cases[i].says))
            fail_msg("expected a word about %s, found: %s", cases[i].says, r.err.text);
        run_end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice), cmocka_unit_test(test_choice_error), cmocka_unit_test(test_text),
        cmocka_unit_test(test_chat),   cmocka_unit_test(test_harmony_raw),  cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("task_grade", tests, NULL, NULL);
}
