#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/num.h"
#include "lib/csvio.h"
#include "eval/task_grade.h"
#include "unit/task_shared.h"

/* lm-evaluation-harness's own prompts, continuations, scores and standard errors (lmeval-golden), on the
 * public sets they were made from. The task definitions are written here in this project's form: what
 * these tests show is that such a folder is all that mmlu and gsm8k_cot need. */

static cJSON *object(void)
{
    cJSON *o = cJSON_CreateObject();
    assert_non_null(o);
    return o;
}

static void set_text(cJSON *o, const char *key, const char *value)
{
    assert_non_null(cJSON_AddStringToObject(o, key, value));
}

static struct task *task_of(cJSON *definition, const cJSON *items)
{
    struct err err = ERR_INIT;
    struct buf d = BUF_INIT;
    struct buf lines = BUF_INIT;
    struct task *t = NULL;
    const cJSON *item;
    assert_int_equal(json_write_canonical(&d, definition, &err), OK);
    cJSON_ArrayForEach(item, items)
    {
        assert_int_equal(json_write_canonical(&lines, item, &err), OK);
        buf_char(&lines, '\n');
    }
    if (task_parse(&t, d.data, d.n, "task.json", &err) || task_add_items(t, lines.data, lines.n, "items.jsonl", &err))
        fail_msg("%s", err.text);
    buf_release(&d);
    buf_release(&lines);
    cJSON_Delete(definition);
    return t;
}

#define NUMBERS_METRIC \
    "{\"metric\":\"exact_match\",\"ignore_case\":true,\"ignore_regexes\":[\",\",\"\\\\$\",\"(?s).*#### \",\"\\\\.$\"]}"
#define GSM8K                                                                                                     \
    "{\"schema\":\"task/1\",\"name\":\"gsm8k_cot\",\"version\":\"3.0\",\"kind\":\"generate\",\"items\":\"i\","     \
    "\"doc_to_text\":\"Q: {{question}}\\nA:\",\"doc_to_target\":\"{{answer.split('####')[-1].strip()}}\","         \
    "\"stop\":[\"Q:\",\"</s>\",\"<|im_end|>\"],\"max_tokens\":256,\"chance_pct\":0,\"filters\":["                  \
    "{\"name\":\"strict-match\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"The answer is (\\\\-?[0-9\\\\.\\\\,]+).\"}]}," \
    "{\"name\":\"flexible-extract\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"(-?[$0-9.,]{2,})|(-?[0-9]+)\","  \
    "\"select\":\"last\"}]}],\"metrics\":[" NUMBERS_METRIC "],"                                                    \
    "\"shots\":{\"sampler\":\"first_n\",\"n\":8,\"doc_to_target\":\"{{target}}\"}}"

static cJSON *parse(const char *text)
{
    struct err err = ERR_INIT;
    cJSON *v = NULL;
    if (json_parse(&v, text, strlen(text), "text", &err))
        fail_msg("%s", err.text);
    return v;
}

/* The rows' own documents as a task, with the eight public shots. */
static struct task *gsm8k_task(const struct jsonl *rows, size_t n_docs)
{
    struct jsonl shots;
    cJSON *d = parse(GSM8K);
    cJSON *list = cJSON_CreateArray();
    cJSON *items = cJSON_CreateArray();
    shared_jsonl("data/lmeval-golden/gsm8k_cot_shots.jsonl", &shots);
    for (size_t i = 0; i < shots.n; i++)
        cJSON_AddItemToArray(list, cJSON_Duplicate(shots.objects[i], true));
    cJSON_AddItemToObject(cJSON_GetObjectItemCaseSensitive(d, "shots"), "items", list);
    for (size_t i = 0; i < n_docs; i++)
        cJSON_AddItemToArray(items, cJSON_Duplicate(json_get(rows->objects[i], "doc"), true));
    struct task *t = task_of(d, items);
    cJSON_Delete(items);
    jsonl_release(&shots);
    return t;
}

static void assert_sum(const struct grade_sum *s, double mean, double se)
{
    assert_float_equal(s->mean, mean, 1e-15);
    assert_float_equal(s->stderr_mean, se, 1e-15);
}

/* Transcripts with the harness's replies; then its prompts, answers and scores must come out. */
static void test_gsm8k_samples(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct jsonl rows;
    struct task_options o = TASK_OPTIONS_INIT;
    struct grade_options rules = {.force_raw = false};
    struct transcripts *answers = NULL;
    struct grade *g = NULL;
    shared_jsonl("data/lmeval-golden/samples_gsm8k_cot.jsonl", &rows);
    assert_int_equal(rows.n, 12);
    struct task *t = gsm8k_task(&rows, 6);
    cJSON *said[6];
    for (size_t i = 0; i < 6; i++) {
        struct buf b = BUF_INIT;
        const cJSON *args = json_get(json_get(rows.objects[i], "arguments"), "gen_args_0");
        assert_int_equal(task_prompt_text(t, &o, i, &b, &err), OK);
        assert_string_equal(b.data, json_get(args, "arg_0")->valuestring);
        buf_clear(&b);
        buf_printf(&b, "gsm8k_cot/%zu", i);
        said[i] = object();
        set_text(said[i], "id", b.data);
        set_text(said[i], "status", "ok");
        const cJSON *resps = json_get(rows.objects[i], "resps");
        set_text(said[i], "text", cJSON_GetArrayItem(cJSON_GetArrayItem(resps, 0), 0)->valuestring);
        cJSON_AddItemToObject(said[i], "token_ids", cJSON_CreateArray());
        buf_release(&b);
    }
    assert_int_equal(transcripts_new(&answers, (const cJSON *const *)said, 6, "t", &err), OK);
    if (task_grade(&g, t, &o, answers, &rules, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 12; i++) { // both files run filter by filter
        assert_string_equal(g->items[i].answer,
                            cJSON_GetArrayItem(json_get(rows.objects[i], "filtered_resps"), 0)->valuestring);
        assert_string_equal(g->items[i].target, json_get(rows.objects[i], "target")->valuestring);
        assert_int_equal(g->items[i].hit[0], json_get(rows.objects[i], "exact_match")->valuedouble == 1.0);
    }
    assert_sum(&g->sums[0], 0.6666666666666666, 0.210818510677892); // results_limit6.json
    assert_sum(&g->sums[1], 1.0, 0.0);
    grade_free(g);
    transcripts_free(answers);
    for (size_t i = 0; i < 6; i++)
        cJSON_Delete(said[i]);
    task_free(t);
    jsonl_release(&rows);
}

/* Chat messages and text prompts with a system instruction, as the harness assembles them. */
static void test_gsm8k_messages(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct jsonl rows;
    struct jsonl golden;
    size_t seen = 0;
    shared_jsonl("data/lmeval-golden/samples_gsm8k_cot.jsonl", &rows);
    shared_jsonl("data/lmeval-golden/prompts.jsonl", &golden);
    struct task *t = gsm8k_task(&rows, 6);
    for (size_t i = 0; i < golden.n; i++) {
        const cJSON *row = golden.objects[i];
        const cJSON *system = json_get(row, "system_instruction");
        struct task_options o = TASK_OPTIONS_INIT;
        if (strcmp(json_get(row, "task")->valuestring, "gsm8k_cot") != 0)
            continue;
        o.n_shots = (int64_t)json_get(row, "num_fewshot")->valuedouble;
        o.system = cJSON_IsString(system) ? system->valuestring : NULL;
        o.chat = strcmp(json_get(row, "mode")->valuestring, "chat") == 0;
        o.single_turn = o.chat && cJSON_IsFalse(json_get(row, "fewshot_as_multiturn"));
        size_t doc = (size_t)json_get(row, "doc_id")->valuedouble;
        if (doc >= 6) // the sample file holds six documents
            continue;
        seen++;
        if (!o.chat) {
            char sha[DIGEST_HEX_LEN + 1];
            assert_int_equal(task_prompt_sha256(t, &o, doc, sha, &err), OK);
            assert_string_equal(sha, json_get(row, "prompt_sha256")->valuestring);
            continue;
        }
        cJSON *m = NULL;
        assert_int_equal(task_prompt_messages(t, &o, doc, &m, &err), OK);
        assert_true(cJSON_Compare(m, json_get(row, "messages"), true));
        cJSON_Delete(m);
    }
    assert_true(seen >= 6);
    task_free(t);
    jsonl_release(&rows);
    jsonl_release(&golden);
}

#define MMLU_TEXT "{{question.strip()}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\nD. {{choices[3]}}\\nAnswer:"
#define MMLU                                                                                                       \
    "{\"schema\":\"task/1\",\"version\":\"1.0\",\"kind\":\"multiple_choice\",\"items\":\"i\",\"doc_to_text\":\"" MMLU_TEXT \
    "\",\"choices\":[\"A\",\"B\",\"C\",\"D\"],\"gold\":\"answer\",\"metrics\":[{\"metric\":\"acc\"}],"              \
    "\"shots\":{\"sampler\":\"first_n\"}}"

static cJSON *mmlu_docs(const char *rel)
{
    char path[512];
    struct mapfile m;
    struct csv csv;
    struct err err = ERR_INIT;
    cJSON *docs = cJSON_CreateArray();
    shared_path(rel, path, sizeof path);
    assert_int_equal(mapfile_open(&m, path, &err), OK);
    if (csv_parse_bytes(&csv, (const char *)m.data, m.size, path, &err))
        fail_msg("%s", err.text);
    for (size_t r = 1; r < csv.n_rows; r++) {
        cJSON *doc = object();
        cJSON *choices = cJSON_AddArrayToObject(doc, "choices");
        set_text(doc, "question", csv_at(&csv, r, 0)->text);
        for (size_t c = 0; c < 4; c++)
            cJSON_AddItemToArray(choices, cJSON_CreateString(csv_at(&csv, r, 1 + c)->text));
        assert_non_null(cJSON_AddNumberToObject(doc, "answer", csv_at(&csv, r, 5)->text[0] - '0'));
        cJSON_AddItemToArray(docs, doc);
    }
    csv_release(&csv);
    mapfile_close(&m);
    return docs;
}

static struct task *mmlu_task(const char *name)
{
    char rel[200];
    char description[300];
    const char *subject = name + strlen("mmlu_");
    cJSON *d = parse(MMLU);
    snprintf(rel, sizeof rel, "data/mmlu/dev/%s_dev.csv", subject);
    cJSON_AddItemToObject(cJSON_GetObjectItemCaseSensitive(d, "shots"), "items", mmlu_docs(rel));
    set_text(d, "name", name);
    snprintf(description, sizeof description, "The following are multiple choice questions (with answers) about %s.\n\n",
             subject);
    for (char *c = strstr(description, " about "); *c; c++)
        if (*c == '_')
            *c = ' ';
    set_text(d, "description", description);
    snprintf(rel, sizeof rel, "data/mmlu/test/%s_test.csv", subject);
    cJSON *items = mmlu_docs(rel);
    struct task *t = task_of(d, items);
    cJSON_Delete(items);
    return t;
}

static void check_mmlu(const struct task *t, const cJSON *row)
{
    struct err err = ERR_INIT;
    struct task_options o = TASK_OPTIONS_INIT;
    const cJSON *system = json_get(row, "system_instruction");
    size_t doc = (size_t)json_get(row, "doc_id")->valuedouble;
    o.n_shots = (int64_t)json_get(row, "num_fewshot")->valuedouble;
    o.system = cJSON_IsString(system) ? system->valuestring : NULL;
    o.chat = strcmp(json_get(row, "mode")->valuestring, "chat") == 0;
    o.single_turn = o.chat && cJSON_IsFalse(json_get(row, "fewshot_as_multiturn"));
    if (o.chat) {
        cJSON *m = NULL;
        assert_int_equal(task_prompt_messages(t, &o, doc, &m, &err), OK);
        assert_true(cJSON_Compare(m, json_get(row, "messages"), true));
        cJSON_Delete(m);
    } else {
        char sha[DIGEST_HEX_LEN + 1];
        if (task_prompt_sha256(t, &o, doc, sha, &err))
            fail_msg("%s", err.text);
        assert_string_equal(sha, json_get(row, "prompt_sha256")->valuestring);
    }
    assert_int_equal(task_doc_gold(t, doc), (size_t)json_get(row, "target")->valuedouble);
    for (size_t c = 0; c < 4; c++) {
        struct buf b = BUF_INIT;
        task_continuation(t, &o, doc, c, &b);
        assert_string_equal(b.data, cJSON_GetArrayItem(json_get(row, "continuations"), (int)c)->valuestring);
        buf_release(&b);
    }
}

/* All 57 subjects, 0, 1 and 5 shots, text and chat. */
static void test_mmlu_prompts(void **state)
{
    (void)state;
    struct jsonl golden;
    size_t seen = 0;
    struct task *t = NULL;
    shared_jsonl("data/lmeval-golden/prompts.jsonl", &golden);
    for (size_t i = 0; i < golden.n; i++) {
        const char *name = json_get(golden.objects[i], "task")->valuestring;
        if (strncmp(name, "mmlu_", 5) != 0 || strstr(name, "_generative"))
            continue;
        if (!t || strcmp(t->name, name) != 0) {
            task_free(t);
            t = mmlu_task(name);
        }
        check_mmlu(t, golden.objects[i]);
        seen++;
    }
    task_free(t);
    assert_int_equal(seen, 234);
    jsonl_release(&golden);
}

static void test_mmlu_samples(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct jsonl rows;
    struct task_options o = TASK_OPTIONS_INIT;
    struct grade_options rules = {.force_raw = false};
    struct transcripts *answers = NULL;
    struct grade *g = NULL;
    cJSON *said[24];
    size_t n = 0;
    shared_jsonl("data/lmeval-golden/samples_mmlu_abstract_algebra.jsonl", &rows);
    assert_int_equal(rows.n, 6);
    struct task *t = mmlu_task("mmlu_abstract_algebra");
    o.limit = 6;
    for (size_t i = 0; i < 6; i++) {
        for (int c = 0; c < 4; c++) {
            char id[64];
            double v;
            const cJSON *pair = cJSON_GetArrayItem(json_get(rows.objects[i], "filtered_resps"), c);
            snprintf(id, sizeof id, "mmlu_abstract_algebra/%zu/%d", i, c);
            assert_int_equal(num_parse_f64(cJSON_GetArrayItem(pair, 0)->valuestring, -1e9, 0, "score", &v, &err), OK);
            said[n] = object();
            set_text(said[n], "id", id);
            set_text(said[n], "status", "ok");
            assert_non_null(cJSON_AddNumberToObject(said[n++], "logprob", v));
        }
    }
    assert_int_equal(transcripts_new(&answers, (const cJSON *const *)said, n, "t", &err), OK);
    if (task_grade(&g, t, &o, answers, &rules, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(g->items[i].hit[0], json_get(rows.objects[i], "acc")->valuedouble == 1.0);
    assert_sum(&g->sums[0], 0.16666666666666666, 0.16666666666666669); // results_limit6.json
    grade_free(g);
    transcripts_free(answers);
    for (size_t i = 0; i < n; i++)
        cJSON_Delete(said[i]);
    task_free(t);
    jsonl_release(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gsm8k_samples),
        cmocka_unit_test(test_gsm8k_messages),
        cmocka_unit_test(test_mmlu_prompts),
        cmocka_unit_test(test_mmlu_samples),
    };
    return cmocka_run_group_tests_name("task_golden", tests, NULL, NULL);
}
