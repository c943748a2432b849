#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t r = 5;
    assert_false(size_mul(SIZE_MAX, 2, &r));
    assert_false(size_add(SIZE_MAX, 1, &r));
    assert_int_equal(r, 5);
    assert_true(size_mul(1u << 20, 1u << 20, &r));
    assert_true(r == (size_t)1 << 40);
    assert_true(size_add(SIZE_MAX - 1, 1, &r));
    void *p;
    struct err err = ERR_INIT;
    assert_int_equal(mem_alloc(&p, SIZE_MAX, 2, "weights", &err), ERR_MEMORY);
    assert_non_null(strstr(err.text, "weights"));
    assert_int_equal(mem_alloc(&p, SIZE_MAX - 1, 1, "weights", &err), ERR_MEMORY);
}

static void heap_is_zeroed_and_aligned(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        void *p;
        assert_int_equal(mem_alloc(&p, n, 3, "x", NULL), OK);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(((char *)p)[i], 0);
        memset(p, 0xA5, 3 * n);
        mem_free(p);
    }
}

static void arena_alignment_and_account(void **state)
{
    (void)state;
    struct arena *a;
    void *p;
    char *s;
    assert_int_equal(arena_new(&a, 256, NULL), OK);
    for (size_t i = 1; i < 200; i++) {
        size_t size = i % 2 ? 64 : 1;
        assert_int_equal(arena_alloc(a, &p, i, size, NULL), OK);
        assert_int_equal((uintptr_t)p % (size >= 64 ? 64 : 16), 0);
        for (size_t k = 0; k < i * size; k++)
            assert_int_equal(((char *)p)[k], 0);
        memset(p, 1, i * size);
    }
    assert_int_equal(arena_strndup(a, &s, "abcdef", 3, NULL), OK);
    assert_string_equal(s, "abc");
    assert_int_equal(arena_alloc(a, &p, SIZE_MAX, 8, NULL), ERR_MEMORY);
    arena_free(a);
    arena_free(NULL);
}

static void injected_failures(void **state)
{
    (void)state;
    void *p;
    mem_fail_after(2);
    assert_int_equal(mem_alloc(&p, 1, 1, "a", NULL), OK);
    mem_free(p);
    assert_int_equal(mem_alloc(&p, 1, 1, "b", NULL), ERR_MEMORY);
    assert_int_equal(mem_alloc(&p, 1, 1, "c", NULL), OK); // once
    mem_free(p);
    enum status s = ERR_MEMORY;
    size_t n = 1;
    for (; s == ERR_MEMORY; n++) {
        struct arena *a = NULL;
        mem_fail_after(n);
        s = arena_new(&a, 64, NULL);
        for (int i = 0; i < 5 && !s; i++)
            s = arena_alloc(a, &p, 40, 1, NULL);
        mem_fail_after(0);
        arena_free(a);
    }
    assert_true(n > 3);
}

static void buf_remembers_a_failure(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(buf_status(&b, "text", &err), OK);
    buf_str(&b, "one");
    buf_char(&b, ' ');
    buf_printf(&b, "%d%s", 2, " three");
    buf_add(&b, "!\0?", 3);
    assert_int_equal(b.n, 14);
    assert_memory_equal(b.data, "one 2 three!\0?", 15);
    buf_clear(&b);
    assert_string_equal(b.data, "");
    mem_fail_after(1);
    for (int i = 0; i < 100; i++)
        buf_str(&b, "0123456789");
    mem_fail_after(0);
    assert_int_equal(buf_status(&b, "text", &err), ERR_MEMORY);
    assert_non_null(strstr(err.text, "text"));
    buf_release(&b);
    assert_int_equal(buf_status(&b, "text", &err), OK);
}

static void sentences(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char big[3000];
    assert_int_equal(err_set(&err, ERR_RANGE, "expected %d, found '%s'", 3, "x"), ERR_RANGE);
    assert_string_equal(err.text, "expected 3, found 'x'");
    err_prefix(&err, "%s:%d", "f", 7);
    assert_string_equal(err.text, "f:7: expected 3, found 'x'");
    assert_int_equal(err_set_errno(&err, ERR_IO, 2, "cannot open '%s'", "f"), ERR_IO);
    assert_string_equal(err.text, "cannot open 'f': No such file or directory");
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)err_set(&err, ERR_IO, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "%s", big);
    (void)err_set_errno(&err, ERR_IO, 2, "%s", big);
    assert_true(strlen(err.text) < sizeof err.text);
    assert_int_equal(err_set(NULL, ERR_IO, "dropped"), ERR_IO);
    err_prefix(NULL, "x");
    for (int s = OK; s <= ERR_CANCELLED; s++) {
        assert_string_not_equal(status_name((enum status)s), "unknown");
        assert_true(strlen(status_text((enum status)s)) > 3);
    }
}

static void available(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t b;
    } cases[] = {
        {"MemTotal:       24684084 kB\nMemFree:  1 kB\nMemAvailable:   18677148 kB\n", 18677148ull * 1024},
        {"MemAvailable:          0 kB\n", 0},
        {"MemAvailable: lots\n", UINT64_MAX},
        {"MemAvailable: 99999999999999999999 kB\n", UINT64_MAX},
        {"MemTotal: 5 kB\n", UINT64_MAX},
        {"", UINT64_MAX},
    };
    char path[] = "/tmp/assay-mem-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs(cases[i].text, f);
        assert_int_equal(fclose(f), 0);
        assert_true(mem_available_b(path) == cases[i].b);
    }
    (void)unlink(path);
    assert_true(mem_available_b(path) == UINT64_MAX);
}

static void pages(void **state)
{
    (void)state;
    enum { N = (5 << 20) + 123 };
    struct err err = ERR_INIT;
    void *p = NULL;
    assert_int_equal(mem_map(&p, N, "test", &err), OK);
    assert_true((uintptr_t)p % 4096 == 0);
    uint8_t *b = p;
    for (size_t i = 0; i < N; i += 997)
        assert_int_equal(b[i], 0);
    memset(b, 1, N);
    mem_unmap(p, N);
    p = NULL;
    mem_fail_after(1);
    assert_int_equal(mem_map(&p, N, "test", &err), ERR_MEMORY);
    assert_null(p);
    assert_string_equal(err.text, "cannot allocate test: 5243003 bytes");
    assert_int_equal(mem_map(&p, (size_t)1 << 60, "test", &err), ERR_MEMORY);
    assert_int_equal(mem_map(&p, 0, "nothing", &err), ERR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked), cmocka_unit_test(heap_is_zeroed_and_aligned),
        cmocka_unit_test(arena_alignment_and_account), cmocka_unit_test(injected_failures),
        cmocka_unit_test(buf_remembers_a_failure), cmocka_unit_test(sentences), cmocka_unit_test(available), cmocka_unit_test(pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
