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

#include "base/digest.h"
#include "base/mapfile.h"
#include "format/hfconfig.h"
#include "format/safetensors.h"
#include "synth/synth_dir.h"
#include "synth/synth_model.h"
#include "synth/synth_tensors.h"

enum { PATH_B = 256 };

struct room {
    char dir[64]; /* a fresh directory */
    char model[PATH_B];
};

static int setup(void **state)
{
    struct room *r = calloc(1, sizeof *r);
    *state = r;
    if (r == NULL)
        return -1;
    (void)snprintf(r->dir, sizeof r->dir, "/tmp/assay-synth-XXXXXX");
    if (mkdtemp(r->dir) == NULL)
        return -1;
    (void)snprintf(r->model, sizeof r->model, "%s/m", r->dir);
    return 0;
}

static int teardown(void **state)
{
    struct room *r = *state;
    char command[PATH_B];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
    int rc = system(command);
    free(r);
    return rc;
}

static const char *in(const struct room *r, const char *file, char out[PATH_B + 64])
{
    (void)snprintf(out, PATH_B + 64, "%s/%s", r->model, file);
    return out;
}

static void make(const struct room *r, const char *preset, uint64_t seed, size_t shards, bool *changed)
{
    struct synth_shape s;
    struct err err = ERR_INIT;
    assert_int_equal(synth_preset(&s, preset, NULL), OK);
    s.seed = seed;
    if (synth_model_write(r->model, &s, shards, changed, &err) != OK)
        fail_msg("%s", err.text);
}

/* What is written is what our own strict readers accept, tensor by tensor as in the list. */
static void written_models_are_read_back(void **state)
{
    const struct room *r = *state;
    static const struct {
        const char *preset;
        size_t shards;
    } cases[] = {{"gptoss-tiny", 1}, {"gptoss-tiny", 3}, {"qwen3-tiny", 2}, {"qwen3-tied-tiny", 1}, {"yi-tiny", 1}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct err err = ERR_INIT;
        struct tensors *st = NULL;
        struct synth_shape s;
        struct synth_tensors list;
        struct model_config c;
        char path[PATH_B + 64];
        bool changed = false;
        make(r, cases[k].preset, 1, cases[k].shards, &changed);
        assert_true(changed);
        if (safetensors_open(&st, r->model, &err) != OK)
            fail_msg("%s", err.text);
        assert_int_equal(tensors_n_files(st), cases[k].shards == 1 ? 1 : cases[k].shards + 1);
        assert_string_equal(tensors_generator(st), "assay synth 1 seed=1");
        assert_int_equal(synth_preset(&s, cases[k].preset, NULL), OK);
        assert_int_equal(synth_tensors_list(&list, &s, NULL), OK);
        assert_int_equal(tensors_count(st), list.n);
        for (size_t i = 0; i < list.n; i++) {
            const struct tensor *t = tensors_find(st, list.v[i].name);
            uint8_t head[16];
            assert_non_null(t);
            assert_string_equal(t->type_name, synth_tensor_dtype(&list.v[i]));
            assert_int_equal(t->n_bytes, synth_tensor_bytes(&list.v[i]));
            synth_tensor_fill(&list.v[i], 1, 0, 6, head);
            assert_memory_equal(t->data, head, 6);
        }
        if (hfconfig_read(&c, in(r, "config.json", path), &err) != OK ||
            hfconfig_read_generation(&c, in(r, "generation_config.json", path), &err) != OK)
            fail_msg("%s", err.text);
        assert_int_equal(c.d_model, s.d_model);
        assert_int_equal(c.head_dim, s.head_dim);
        assert_int_equal(c.tied, s.tied);
        assert_int_equal(c.windows[0], s.window);
        assert_int_equal(c.n_stop_ids, s.family == SYNTH_GPTOSS ? 3 : 2);
        synth_tensors_release(&list);
        tensors_close(st);
    }
}

static void the_same_command_changes_nothing(void **state)
{
    const struct room *r = *state;
    struct stat before, after;
    char path[PATH_B + 64];
    bool changed = false;
    make(r, "yi-tiny", 1, 1, &changed);
    assert_int_equal(stat(in(r, "model.safetensors", path), &before), 0);
    make(r, "yi-tiny", 1, 1, &changed);
    assert_false(changed);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    make(r, "yi-tiny", 2, 1, &changed);
    assert_true(changed);
    make(r, "yi-tiny", 2, 2, &changed);
    assert_true(changed);
    assert_int_not_equal(access(path, F_OK), 0); // no file of the former layout stays
    (void)snprintf(path, sizeof path, "%s.old", r->model);
    assert_int_not_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s.partial", r->model);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void foreign_directories_are_left_alone(void **state)
{
    const struct room *r = *state;
    struct synth_shape s;
    struct err err = ERR_INIT;
    char path[PATH_B + 64];
    bool changed = false;
    assert_int_equal(mkdir(r->model, 0777), 0);
    make(r, "yi-tiny", 1, 1, &changed); // an empty one is fine
    FILE *f = fopen(in(r, "config.json", path), "w");
    assert_non_null(f);
    assert_true(fputs("{\"model_type\": \"llama\"}\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(synth_preset(&s, "yi-tiny", NULL), OK);
    assert_int_equal(synth_model_write(r->model, &s, 1, &changed, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "was not made by synth"));
    struct mapfile m;
    assert_int_equal(mapfile_open(&m, path, NULL), OK);
    assert_int_equal(m.size, 24);
    mapfile_close(&m);
}

/* A run that was killed leaves PATH.partial: the next one takes it over, whatever is in it. */
static void a_killed_run_is_taken_over(void **state)
{
    const struct room *r = *state;
    char path[PATH_B + 64];
    bool changed = false;
    (void)snprintf(path, sizeof path, "%s.partial", r->model);
    assert_int_equal(mkdir(path, 0777), 0);
    (void)snprintf(path, sizeof path, "%s.partial/half.safetensors", r->model);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    make(r, "yi-tiny", 1, 1, &changed);
    assert_true(changed);
    assert_int_not_equal(access(in(r, "half.safetensors", path), F_OK), 0);
    assert_int_not_equal(access(in(r, ".lock", path), F_OK), 0);
}

static void unwritable_places_are_an_error(void **state)
{
    struct synth_shape s;
    struct err err = ERR_INIT;
    bool changed = false;
    (void)state;
    assert_int_equal(synth_preset(&s, "yi-tiny", NULL), OK);
    assert_int_equal(synth_model_write("/nonexistent/dir/m", &s, 1, &changed, &err), ERR_IO);
    assert_int_equal(synth_model_write("/dev/null", &s, 1, &changed, &err), ERR_USAGE);
    assert_int_equal(synth_model_write("/tmp/unused", &s, 10000, &changed, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_models_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_command_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_directories_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_run_is_taken_over, setup, teardown),
        cmocka_unit_test(unwritable_places_are_an_error),
    };
    return cmocka_run_group_tests_name("synth_model", tests, NULL, NULL);
}
