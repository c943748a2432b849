#include "synth/synth_model.h"

#include <inttypes.h>
#include <stdio.h>

#include "synth/synth_config.h"
#include "synth/synth_dir.h"
#include "synth/synth_safetensors.h"
#include "synth/synth_tensors.h"
#include "synth/synth_tokenizer.h"

static enum status write_files(const char *dir, const struct synth_shape *s, const struct synth_tokenizer *t,
                               const struct synth_tensors *tensors, size_t n_shards, struct err *err)
{
    char mark[64];
    (void)snprintf(mark, sizeof mark, "assay synth " SYNTH_GENERATOR " seed=%" PRIu64, s->seed);
    enum status st = synth_config_write(s, t, dir, mark, err);
    st = st ? st : synth_generation_config_write(s, t, dir, err);
    st = st ? st : synth_tokenizer_write(t, dir, err);
    st = st ? st : synth_tokenizer_config_write(s, t, dir, err);
    return st ? st : synth_weights_write(dir, tensors, s->seed, n_shards, mark, err);
}

enum status synth_model_write(const char *path, const struct synth_shape *s, size_t n_shards, bool *changed,
                              struct err *err)
{
    struct synth_tokenizer tokenizer = {.n_added = 0};
    struct synth_tensors tensors = {.v = NULL};
    struct synth_dir *dir = NULL;
    enum status st = synth_shape_check(s, err);
    st = st ? st : synth_tokenizer_train(&tokenizer, s, err);
    st = st ? st : synth_tensors_list(&tensors, s, err);
    if (st == OK && (n_shards == 0 || n_shards > tensors.n))
        st = err_set(err, ERR_USAGE, "--shards: expected 1..%zu (the number of tensors), found %zu", tensors.n, n_shards);
    st = st ? st : synth_dir_open(&dir, path, err);
    if (st == OK) {
        st = write_files(synth_dir_path(dir), s, &tokenizer, &tensors, n_shards, err);
        if (st == OK)
            st = synth_dir_commit(dir, changed, err);
        else
            synth_dir_abort(dir);
    }
    synth_tensors_release(&tensors);
    synth_tokenizer_release(&tokenizer);
    return st;
}
