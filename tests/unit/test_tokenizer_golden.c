#include <string.h>

#include "models_support.h"

#include "base/json.h"
#include "base/mapfile.h"
#include "text/chat.h"
#include "text/tokenizer.h"

/* The tiny tokenizers against the `tokenizers` library, and the chat renderers against the chat
 * templates applied by transformers: vectors in tests/golden/tokenizers (tests/reference makes them). */

static void same_ids(const cJSON *expected, const struct ids *got, const char *what, const char *text)
{
    size_t i = 0;
    const cJSON *e = NULL;
    cJSON_ArrayForEach(e, expected)
    {
        if (i >= got->n || got->v[i] != (int32_t)e->valuedouble)
            fail_msg("%s of '%s': id %zu: expected %d, found %d (%zu ids)", what, text, i, (int)e->valuedouble,
                     i < got->n ? (int)got->v[i] : -1, got->n);
        i++;
    }
    if (i != got->n)
        fail_msg("%s of '%s': expected %zu ids, found %zu", what, text, i, got->n);
}

static void check_text(const struct tokenizer *t, const cJSON *line)
{
    struct err err = ERR_INIT;
    struct ids ids = {.v = NULL};
    const char *text = json_get(line, "text")->valuestring;
    if (tokenizer_encode(t, text, strlen(text), &ids, &err) != OK)
        fail_msg("%s", err.text);
    same_ids(json_get(line, "ids"), &ids, "ids", text);
    ids_release(&ids);
    ids = (struct ids){.v = NULL};
    if (tokenizer_encode_parsed(t, text, strlen(text), &ids, &err) != OK)
        fail_msg("%s", err.text);
    const cJSON *parsed = json_get(line, "parsed");
    same_ids(parsed != NULL ? parsed : json_get(line, "ids"), &ids, "parsed ids", text);
    ids_release(&ids);
}

enum { MOST_MESSAGES = 16 };

static void check_chat(enum chat_format f, const struct tokenizer *t, const cJSON *line)
{
    struct err err = ERR_INIT;
    struct ids ids = {.v = NULL};
    struct chat_message messages[MOST_MESSAGES];
    struct chat_options options = {.effort = NULL};
    const cJSON *o = json_get(line, "options"), *m = NULL;
    size_t n = 0;
    cJSON_ArrayForEach(m, json_get(line, "messages"))
    {
        assert_true(n < MOST_MESSAGES);
        messages[n++] = (struct chat_message){.role = json_get(m, "role")->valuestring,
                                              .content = json_get(m, "content")->valuestring};
    }
    options.no_thinking = cJSON_IsTrue(json_get(o, "no_thinking"));
    if (json_get(o, "effort") != NULL)
        options.effort = json_get(o, "effort")->valuestring;
    if (json_get(o, "date") != NULL)
        options.date = json_get(o, "date")->valuestring;
    if (chat_render(f, t, messages, n, &options, &ids, &err) != OK)
        fail_msg("%s", err.text);
    same_ids(json_get(line, "ids"), &ids, "chat", json_get(line, "text")->valuestring);
    ids_release(&ids);
}

static void check_file(const struct test_models *models, const char *name, enum chat_format f)
{
    char dir[128], path[256];
    struct err err = ERR_INIT;
    struct tokenizer *t = NULL;
    struct mapfile m;
    size_t n_lines = 0;
    test_models_make(models, name, dir);
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    if (tokenizer_open(&t, path, &err) != OK)
        fail_msg("%s", err.text);
    (void)snprintf(path, sizeof path, "tests/golden/tokenizers/%s.jsonl", name);
    if (mapfile_open(&m, path, &err) != OK)
        fail_msg("%s", err.text);
    for (const char *s = (const char *)m.data, *end = s + m.size; s < end; n_lines++) {
        size_t n = (size_t)((const char *)memchr(s, '\n', (size_t)(end - s)) - s);
        cJSON *line = NULL;
        if (json_parse(&line, s, n, path, &err) != OK)
            fail_msg("%s", err.text);
        if (json_get(line, "messages") != NULL)
            check_chat(f, t, line);
        else
            check_text(t, line);
        cJSON_Delete(line);
        s += n + 1;
    }
    assert_true(n_lines > 100);
    mapfile_close(&m);
    tokenizer_free(t);
}

static void gptoss(void **state)
{
    check_file(*state, "gptoss-tiny", CHAT_HARMONY);
}

static void qwen3(void **state)
{
    check_file(*state, "qwen3-tiny", CHAT_QWEN3);
}

static void yi(void **state)
{
    check_file(*state, "yi-tiny", CHAT_YI);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptoss),
        cmocka_unit_test(qwen3),
        cmocka_unit_test(yi),
    };
    return cmocka_run_group_tests_name("tokenizer_golden", tests, test_models_setup, test_models_teardown);
}
