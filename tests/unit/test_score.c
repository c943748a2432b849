#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mapfile.h"
#include "eval/score.h"
#include "eval/task_json.h"
#include "unit/task_shared.h"

static struct score_filter *filter_from(const char *json)
{
    struct err err = ERR_INIT;
    struct score_filter *f = NULL;
    cJSON *v = NULL;
    assert_int_equal(json_parse(&v, json, strlen(json), "filter", &err), OK);
    if (score_filter_parse(&f, v, "filter", &err))
        fail_msg("%s", err.text);
    cJSON_Delete(v); // the name is not used after this
    return f;
}

static struct score_metric *metric_from(const char *json)
{
    struct err err = ERR_INIT;
    struct score_metric *m = NULL;
    cJSON *v = NULL;
    assert_int_equal(json_parse(&v, json, strlen(json), "metric", &err), OK);
    if (score_metric_parse(&m, v, "metric", &err))
        fail_msg("%s", err.text);
    cJSON_Delete(v);
    return m;
}

#define STRICT "{\"name\":\"s\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"The answer is (\\\\-?[0-9\\\\.\\\\,]+).\"},{\"function\":\"take_first\"}]}"
#define HASHES "{\"name\":\"s\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"#### (\\\\-?[0-9\\\\.\\\\,]+)\"},{\"function\":\"take_first\"}]}"
#define FLEXIBLE "{\"name\":\"f\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"(-?[$0-9.,]{2,})|(-?[0-9]+)\",\"select\":\"last\"},{\"function\":\"take_first\"}]}"
#define GET_ANSWER "{\"name\":\"g\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"(?<=the answer is )(.*)(?=.)\"},{\"function\":\"take_first\"}]}"
#define GPQA_STRICT "{\"name\":\"g\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"(?<=The answer is )(.*)(?=.)\"},{\"function\":\"take_first\"}]}"
#define LETTER "{\"name\":\"l\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"^(.*?)(?=\\\\n|$)\"},{\"function\":\"strip\"},{\"function\":\"regex\",\"pattern\":\"^(.*?)\\\\s*$\"},{\"function\":\"take_first\"}]}"
#define NUMBERS "{\"metric\":\"exact_match\",\"ignore_case\":true,\"ignore_regexes\":[\",\",\"\\\\$\",\"(?s).*#### \",\"\\\\.$\"]}"
#define PLAIN "{\"metric\":\"exact_match\"}"
#define LOOSE "{\"metric\":\"exact_match\",\"ignore_case\":true,\"ignore_punctuation\":true}"

struct vector {
    const char *response;
    const char *target;
    const char *filtered;
    bool hit;
};

static void check(const struct score_filter *f, const struct score_metric *m, const char *response,
                  const char *target, const char *filtered, bool hit)
{
    struct err err = ERR_INIT;
    struct buf answer = BUF_INIT;
    bool invalid = true;
    bool got = !hit;
    if (score_filter_apply(f, response, strlen(response), &answer, &invalid, &err))
        fail_msg("%s", err.text);
    if (strcmp(answer.data, filtered) != 0)
        fail_msg("\"%s\": expected \"%s\", found \"%s\"", response, filtered, answer.data);
    assert_int_equal(invalid, strcmp(filtered, SCORE_INVALID) == 0);
    assert_int_equal(score_exact_match(m, answer.data, target, &got, &err), OK);
    if (got != hit)
        fail_msg("\"%s\" against \"%s\": expected %d, found %d", answer.data, target, hit, got);
    buf_release(&answer);
}

static void check_all(const char *filter, const char *metric, const struct vector *v, size_t n)
{
    struct score_filter *f = filter_from(filter);
    struct score_metric *m = metric_from(metric);
    for (size_t i = 0; i < n; i++)
        check(f, m, v[i].response, v[i].target, v[i].filtered, v[i].hit);
    score_filter_free(f);
    score_metric_free(m);
}

#define CHECK_ALL(filter, metric, v) check_all(filter, metric, v, sizeof(v) / sizeof((v)[0]))

/* Every quirk the design page names has a line; texts are our own. */
static void test_own_vectors(void **state)
{
    (void)state;
    static const struct vector strict[] = {
        {"3 + 4 = 7. The answer is 7.", "7", "7", true},
        {"The answer is 18", "18", "1", false},       // the closing `.` eats the last digit
        {"The answer is 3", "3", "[invalid]", false}, // ... or leaves nothing
        {"The answer is $5.", "5", "[invalid]", false},
        {"The answer is 18.00.", "18", "18.00", false}, // no number is parsed
        {"The answer is 1,250.", "1250", "1,250", true},
        {"The answer is 4. The answer is 5.", "4", "4.", true},
        {"", "1", "[invalid]", false},
    };
    static const struct vector flexible[] = {
        {"It costs $12.50 and then 9", "9", "9", true}, {"so it is 45...", "45", "45...", false},
        {"45. Well ... done", "45", "...", false},      {"Total: $1,250.", "1250", "$1,250.", true},
        {"none", "1", "[invalid]", false},              {"minus -5 of them", "-5", "-5", true},
    };
    static const struct vector hashes[] = {{"so\n#### 160\n", "160", "160", true},
                                           {"#### 12.", "worked 3 * 4 = 12\n#### 12", "12.", true},
                                           {"12", "12", "[invalid]", false}};
    static const struct vector get_answer[] = {
        {"So the answer is valid.", "valid", "valid", true},
        {"the answer is yes", "yes", "ye", false},
        {"the answer is yes. ", "yes", "yes.", false},
        {"the answer is **yes**.", "yes", "**yes**", false},
        {"The answer is yes.", "yes", "[invalid]", false},
    };
    static const struct vector letter[] = {{" B \nbecause", "B", "B", true},
                                           {"(B)", "B", "(B)", true},
                                           {"B. text", "B", "B. text", false},
                                           {"**Answer: B**", "B", "**Answer: B**", false},
                                           {"", "B", "", false}};
    CHECK_ALL(STRICT, NUMBERS, strict);
    CHECK_ALL(FLEXIBLE, NUMBERS, flexible);
    CHECK_ALL(HASHES, NUMBERS, hashes);
    CHECK_ALL(GET_ANSWER, PLAIN, get_answer);
    CHECK_ALL(LETTER, "{\"metric\":\"exact_match\",\"ignore_punctuation\":true,\"ignore_case\":true}", letter);
    static const struct vector loose[] = {{"\"The End!\"", "the end", "\"The End!\"", true}};
    CHECK_ALL(LETTER, LOOSE, loose);
}

struct golden_filter {
    const char *task; /* prefix of the task's name */
    const char *filter;
    const char *definition;
    const char *metric;
    size_t n_seen;
};

static void check_golden_line(struct golden_filter *g, size_t n_g, const cJSON *row)
{
    const char *task = json_get(row, "task")->valuestring;
    const char *filter = json_get(row, "filter")->valuestring;
    for (size_t i = 0; i < n_g; i++) {
        bool whole = strncmp(g[i].task, "gsm8k", 5) == 0;
        if (strcmp(g[i].filter, filter) != 0 ||
            (whole ? strcmp(task, g[i].task) : strncmp(task, g[i].task, strlen(g[i].task))))
            continue;
        struct score_filter *f = filter_from(g[i].definition);
        struct score_metric *m = metric_from(g[i].metric);
        check(f, m, json_get(row, "response")->valuestring, json_get(row, "target")->valuestring,
              json_get(row, "filtered")->valuestring, json_get(row, "exact_match")->valuedouble == 1.0);
        score_filter_free(f);
        score_metric_free(m);
        g[i].n_seen++;
    }
}

/* The harness's own filters and scores: 227 lines, of which 13 (GPQA's multiple-choice filter) are for
 * a filter this project does not have yet. */
static void test_golden_filters(void **state)
{
    (void)state;
    struct golden_filter g[] = {
        {"gsm8k_cot", "strict-match", STRICT, NUMBERS, 0},
        {"gsm8k_cot", "flexible-extract", FLEXIBLE, NUMBERS, 0},
        {"gsm8k_cot_zeroshot", "strict-match", STRICT, NUMBERS, 0},
        {"gsm8k_cot_zeroshot", "flexible-extract", FLEXIBLE, NUMBERS, 0},
        {"gsm8k", "strict-match", HASHES, NUMBERS, 0},
        {"gsm8k", "flexible-extract", FLEXIBLE, NUMBERS, 0},
        {"bbh_cot_fewshot", "get-answer", GET_ANSWER, PLAIN, 0},
        {"mmlu_", "get_response", LETTER, LOOSE, 0},
        {"gpqa_", "strict-match", GPQA_STRICT, LOOSE, 0},
    };
    struct jsonl rows;
    shared_jsonl("data/lmeval-golden/filters.jsonl", &rows);
    size_t seen = 0;
    size_t n_g = sizeof g / sizeof g[0];
    for (size_t i = 0; i < rows.n; i++)
        check_golden_line(g, n_g, rows.objects[i]);
    for (size_t i = 0; i < n_g; i++)
        seen += g[i].n_seen;
    assert_int_equal(rows.n, 227);
    assert_int_equal(seen, 214);
    jsonl_release(&rows);
}

static void test_numbers(void **state)
{
    (void)state;
    const double tie[] = {-3.5, -1.25, -1.25, -2};
    assert_int_equal(score_best(tie, 4), 1);
    const double x[] = {0, 1, 1, 0, 1, 0}; // p = 1/2, se = sqrt(p(1-p)/(n-1))
    assert_float_equal(score_stderr(x, 6), 0.22360679774997896, 1e-15);
    const double y[] = {1, 0, 0};
    assert_float_equal(score_stderr(y, 3), 0.33333333333333337, 1e-15);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const filters[] = {
        "{\"name\":\"x\"}",
        "{\"name\":\"x\",\"steps\":[]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"regexp\",\"pattern\":\"a\"}]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"(\"}]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"regex\",\"pattern\":\"a\",\"select\":\"second\"}]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"take_first\"},{\"function\":\"strip\"}]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"strip\",\"pattern\":\"a\"}]}",
        "{\"name\":\"x y\",\"steps\":[{\"function\":\"strip\"}]}",
        "{\"name\":\"x\",\"steps\":[{\"function\":\"strip\"}],\"group\":1}",
    };
    static const char *const metrics[] = {
        "{\"metric\":\"bleu\"}",
        "{\"metric\":\"acc\",\"ignore_case\":true}",
        "{\"metric\":\"exact_match\",\"ignore_regexes\":[1]}",
        "{\"metric\":\"exact_match\",\"ignore_regexes\":[\"[\"]}",
        "{\"metric\":\"exact_match\",\"ignore_case\":1}",
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0] + sizeof metrics / sizeof metrics[0]; i++) {
        size_t n_f = sizeof filters / sizeof filters[0];
        const char *text = i < n_f ? filters[i] : metrics[i - n_f];
        struct err err = ERR_INIT;
        struct score_filter *f = NULL;
        struct score_metric *m = NULL;
        cJSON *v = NULL;
        assert_int_equal(json_parse(&v, text, strlen(text), "t", &err), OK);
        enum status s = i < n_f ? score_filter_parse(&f, v, "task.json", &err)
                                : score_metric_parse(&m, v, "task.json", &err);
        if (s == OK)
            fail_msg("taken: %s", text);
        assert_non_null(strstr(err.text, "task.json"));
        cJSON_Delete(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_vectors),
        cmocka_unit_test(test_golden_filters),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
