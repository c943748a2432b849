#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "drive/frame.h"
#include "models_support.h"

/* A message inside the frame is what the renderer makes of it, for each chat format. */
static void check_family(const struct test_models *models, const char *preset)
{
    struct err err = ERR_INIT;
    struct model *m = NULL;
    char dir[128];
    test_models_make(models, preset, dir);
    const struct model_options opt = {.isa = "auto", .n_threads = 1};
    assert_int_equal(model_open(&m, dir, &opt, &err), OK);
    struct chat_frame f;
    assert_int_equal(chat_frame_of(m, &f, &err), OK);
    assert_true(f.before.n > 0 && f.after.n > 0);
    const struct chat_message user = {.role = "user", .content = "hello there"};
    const struct chat_options plain = {.effort = NULL};
    struct ids whole = {.v = NULL};
    struct ids text = {.v = NULL};
    assert_int_equal(chat_render(model_chat_format(m), model_tokenizer(m), &user, 1, &plain, &whole, &err), OK);
    assert_int_equal(tokenizer_encode(model_tokenizer(m), "hello there", 11, &text, &err), OK);
    assert_int_equal(whole.n, f.before.n + text.n + f.after.n);
    assert_memory_equal(whole.v, f.before.v, f.before.n * sizeof *whole.v);
    assert_memory_equal(whole.v + f.before.n, text.v, text.n * sizeof *whole.v);
    assert_memory_equal(whole.v + f.before.n + text.n, f.after.v, f.after.n * sizeof *whole.v);
    ids_release(&whole);
    ids_release(&text);
    chat_frame_release(&f);
    model_free(m);
}

static void test_harmony(void **state)
{
    check_family(*state, "gptoss-tiny");
}

static void test_qwen3(void **state)
{
    check_family(*state, "qwen3-tiny");
}

static void test_yi(void **state)
{
    check_family(*state, "yi-tiny");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harmony),
        cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_yi),
    };
    return cmocka_run_group_tests(tests, test_models_setup, test_models_teardown);
}
