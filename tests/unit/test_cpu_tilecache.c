#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/tilecache.h"

/* A file of tiles: made, found again, damaged in every byte of its header and table, never half there. */

static char dir[] = "/tmp/assay_tiles_XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : 1;
}

static int remove_dir(void **state)
{
    (void)state;
    char cmd[100];
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static const char *path_of(char out[200], const char *key)
{
    (void)snprintf(out, 200, "%s/%s-l1.tiles", dir, key);
    return out;
}

static void fill(const char *key, bool finish)
{
    struct tile_cache *c = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(tile_cache_open(&c, dir, key, "l1", &err), OK);
    assert_false(tile_cache_is_full(c));
    for (size_t i = 0; i < 300; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "m%zu", i);
        struct tile_entry e = {.name = name, .format = (uint32_t)i % 3, .n_rows = i + 1, .n_cols = 32, .bytes = 64 * (i + 1)};
        assert_int_equal(tile_cache_add(c, &e, &err), OK);
        memset(e.data, 255, e.bytes);
        if (i == 7) { // made again: finds zeros
            assert_int_equal(tile_cache_undo(c, &err), OK);
            assert_int_equal(tile_cache_add(c, &e, &err), OK);
            for (size_t k = 0; k < e.bytes; k++)
                assert_int_equal(e.data[k], 0);
        }
        memset(e.data, (int)i % 251, e.bytes);
    }
    if (finish)
        assert_int_equal(tile_cache_finish(c, &err), OK);
    tile_cache_close(c);
}

static void made_and_found(void **state)
{
    (void)state;
    char path[200];
    struct tile_cache *c = NULL;
    struct tile_entry e;
    struct err err = ERR_INIT;
    fill("a", false);
    assert_int_not_equal(access(path_of(path, "a"), F_OK), 0); // not finished: nothing stays
    fill("a", true);
    assert_int_equal(tile_cache_open(&c, dir, "a", "l1", &err), OK);
    assert_true(tile_cache_is_full(c));
    for (size_t i = 300; i-- > 0;) {
        char name[20];
        (void)snprintf(name, sizeof name, "m%zu", i);
        assert_true(tile_cache_find(c, name, &e));
        assert_int_equal(e.format, i % 3);
        assert_int_equal(e.n_rows, i + 1);
        assert_int_equal(e.bytes, 64 * (i + 1));
        assert_int_equal(e.data[0], i % 251);
        assert_int_equal(e.data[e.bytes - 1], i % 251);
    }
    assert_false(tile_cache_find(c, "m300", &e));
    tile_cache_close(c);
    assert_int_equal(tile_cache_open(&c, dir, "a", "l2", &err), OK); // another layout is another file
    assert_false(tile_cache_is_full(c));
    tile_cache_close(c);
    assert_int_equal(tile_cache_open(&c, "/nowhere", "a", "l1", &err), ERR_IO);
}

static void damage_is_refused(void **state)
{
    (void)state;
    char path[200];
    struct stat st;
    struct tile_cache *c = NULL;
    fill("b", true);
    assert_int_equal(stat(path_of(path, "b"), &st), 0);
    // cut short
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    struct err err = ERR_INIT;
    assert_int_equal(tile_cache_open(&c, dir, "b", "l1", &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(tile_cache_open(&c, dir, "b", "l1", &err), ERR_FORMAT);
    assert_int_equal(unlink(path), 0);
    // each byte of the header and of the first entries: refused, or every matrix still lies in the file
    fill("b", true);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    uint8_t head[64];
    assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
    size_t table = 0;
    for (unsigned i = 0; i < 8; i++)
        table |= (size_t)head[24 + i] << (8 * i);
    for (size_t i = 0; i < 64 + 200; i++) {
        long at = (long)(i < 64 ? i : table + i - 64);
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        int was = fgetc(f);
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        assert_int_not_equal(fputc(was ^ 0x81, f), EOF);
        assert_int_equal(fflush(f), 0);
        enum status s = tile_cache_open(&c, dir, "b", "l1", &err);
        assert_true(s == OK || s == ERR_FORMAT);
        if (s == OK) {
            struct tile_entry e;
            unsigned sum = 0;
            for (unsigned k = 0; k < 300; k++) {
                char name[20];
                (void)snprintf(name, sizeof name, "m%u", k);
                if (tile_cache_find(c, name, &e) && e.bytes)
                    sum += e.data[0] + (unsigned)e.data[e.bytes - 1]; // must not fault
            }
            assert_true(sum < 300 * 510);
            tile_cache_close(c);
        }
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        assert_int_not_equal(fputc(was, f), EOF);
        assert_int_equal(fflush(f), 0);
    }
    (void)fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(made_and_found), cmocka_unit_test(damage_is_refused)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
