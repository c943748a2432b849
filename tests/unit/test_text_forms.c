/* The forms of one tokenizer give equal tables, and the tables say what the lists of special tokens say. */
#include "vec_support.h"

#include "tok_forms.h"
#include "tok_tables.h"

static void equal(enum tok_form a, enum tok_form b)
{
    struct tokenizer *x = open_form(a);
    struct tokenizer *y = open_form(b);
    tok_tables_equal(&x->file, &y->file);
    tokenizer_free(x);
    tokenizer_free(y);
}

static void test_qwen3(void **state)
{
    (void)state;
    need_shared();
    equal(FORM_QWEN3_JSON, FORM_QWEN3_CONFIG);
    equal(FORM_QWEN3_JSON, FORM_QWEN3_GGUF);
}

static void test_o200k(void **state)
{
    (void)state;
    need_shared();
    equal(FORM_O200K_JSON, FORM_O200K_TIKTOKEN);
    equal(FORM_O200K_JSON, FORM_O200K_GGUF);
}

static void test_yi(void **state)
{
    (void)state;
    need_shared();
    equal(FORM_YI_MODEL, FORM_YI_GGUF);
}

static void test_o200k_special(void **state)
{
    (void)state;
    need_shared();
    char path[512];
    struct err err = ERR_INIT;
    cJSON *list = NULL;
    const cJSON *c;
    struct tokenizer *t = open_form(FORM_O200K_TIKTOKEN);
    assert_int_equal(json_read_file(&list, shared_path(path, "o200k/special_tokens.json"), &err), OK);
    size_t all = 0;
    cJSON_ArrayForEach(c, json_get(list, "tokens"))
    {
        int32_t id = c->valueint;
        struct buf text = BUF_INIT;
        bool named = strncmp(c->string, "<|reserved_", 11) != 0;
        assert_int_equal(tokenizer_decode(t, &id, 1, false, &text, NULL), OK);
        assert_string_equal(text.data, c->string);
        buf_clear(&text);
        assert_int_equal(tokenizer_decode(t, &id, 1, true, &text, NULL), OK);
        assert_int_equal(text.n, 0);
        assert_int_equal(tokenizer_special(t, c->string), id <= 200018 ? id : -1);
        assert_true(tokenizer_is_special(t, id));
        assert_int_equal(tokenizer_has_text(t, id), named); // reserved ones are never sampled
        buf_release(&text);
        all++;
    }
    assert_int_equal(all, 201088 - 199998);
    assert_int_equal(tokenizer_size(t), 200019);
    int32_t beyond = 201088;
    struct buf none = BUF_INIT;
    assert_int_equal(tokenizer_decode(t, &beyond, 1, false, &none, &err), ERR_RANGE);
    assert_int_equal(json_get(list, "base_tokens")->valueint, 199998);
    tokenizer_free(t);
    cJSON_Delete(list);
}

static void test_qwen3_special(void **state)
{
    (void)state;
    need_shared();
    char path[512];
    struct err err = ERR_INIT;
    cJSON *list = NULL;
    const cJSON *c;
    struct tokenizer *t = open_form(FORM_QWEN3_JSON);
    assert_int_equal(json_read_file(&list, shared_path(path, "qwen3/special_tokens.json"), &err), OK);
    size_t all = 0;
    cJSON_ArrayForEach(c, json_get(list, "tokens"))
    {
        int32_t id = json_get(c, "id")->valueint;
        assert_int_equal(tokenizer_special(t, c->string), id);
        assert_int_equal(tokenizer_is_special(t, id), cJSON_IsTrue(json_get(c, "special")));
        assert_true(tokenizer_has_text(t, id));
        all++;
    }
    assert_int_equal(all, 26);
    assert_int_equal(tokenizer_size(t), 151669);
    assert_false(tokenizer_has_text(t, 151669)); // rows of the model without a text: never sampled
    tokenizer_free(t);
    cJSON_Delete(list);
}

/* Yi: control pieces are special and never text; the chat marks are pieces that text may become, content not. */
static void test_yi_special(void **state)
{
    (void)state;
    need_shared();
    struct tokenizer *t = open_form(FORM_YI_MODEL);
    assert_int_equal(t->file.dummy_prefix, false);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_special(t, "<|endoftext|>"), 2);
    assert_int_equal(tokenizer_special(t, "<|im_start|>"), 6);
    assert_int_equal(tokenizer_special(t, "<|im_end|>"), 7);
    assert_int_equal(tokenizer_special(t, "<br>"), -1);
    assert_int_equal(t->file.byte_id[0], 305);
    struct ids ids = {.v = NULL};
    assert_int_equal(tokenizer_encode(t, "<|im_end|>", 10, &ids, NULL), OK);
    assert_int_equal(ids.n, 1);
    ids.n = 0;
    assert_int_equal(tokenizer_encode_content(t, "<|im_end|>", 10, &ids, NULL), OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_false(tokenizer_is_special(t, ids.v[i]));
    struct buf text = BUF_INIT;
    assert_int_equal(tokenizer_decode(t, ids.v, ids.n, true, &text, NULL), OK);
    assert_string_equal(text.data, "<|im_end|>");
    ids_release(&ids);
    buf_release(&text);
    tokenizer_free(t);
    t = open_form(FORM_LLAMA_GGUF);
    assert_true(t->file.dummy_prefix);
    assert_int_equal(tokenizer_bos(t), 1);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qwen3),         cmocka_unit_test(test_o200k),     cmocka_unit_test(test_yi),
        cmocka_unit_test(test_o200k_special), cmocka_unit_test(test_qwen3_special), cmocka_unit_test(test_yi_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
