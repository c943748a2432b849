#ifndef ASSAY_MODEL_SOURCE_H
#define ASSAY_MODEL_SOURCE_H

#include "base/digest.h"
#include "model/model.h"

/* What a model is opened from: a directory, a file, or a name. One kind a file; each reads its own bytes
 * into the model, and what follows from them is model.c's, so that equal weights make equal models. */

/* A model being opened. */
struct source {
    struct model *m;
    const char *text;   // as the user gave it
    const char *name;   // of the model, for result rows; set by config
    const char *dir;    // in which the files lie; set by config
    const char **files; // base names of those read so far
    size_t n_files;
    const char *template; // set by vocabulary: the chat template that comes with the files, or NULL
    const void *own;   // of the kind: what config found out, or was given instead of text
    bool says_bos;     // set by vocabulary: bos_id goes before every text, -1 nothing does; else the tokenizer says
    int32_t bos_id;
    struct err *err;
};

struct source_kind {
    bool (*matches)(const char *text);
    enum status (*config)(struct source *s);     // m->config, name, dir
    enum status (*vocabulary)(struct source *s); // m->tokenizer and m->info.prefix_id, or neither
    enum status (*weights)(struct source *s);    // m->tensors, m->info.synthetic
};

extern const struct source_kind source_synthetic; // synthetic:NAME
extern const struct source_kind source_gguf;      // a file that ends in .gguf
extern const struct source_kind source_hf;        // a Hugging Face directory; matches what nothing else does

/* model_open_as - model_open with the kind known. own: what config would find out from `source`, which then
 * only stands for it in messages; NULL: it does. Models of shapes that no source can name are opened so. */
enum status model_open_as(struct model **out, const struct source_kind *kind, const char *source, const void *own,
                          const struct model_options *opt, struct err *err);

/* source_note_file - a file was read: the result's statement will name it. */
enum status source_note_file(struct source *s, const char *name);

/* source_note_tensors - the same for all files of m->tensors. */
enum status source_note_tensors(struct source *s);

/* source_cache_key - a name for the weights as they are now, in hex: made of each file's name, device, inode,
 * size and times (what also keys the memo of model digests), or of the name of generated ones. */
enum status source_cache_key(const struct source *s, char hex[DIGEST_HEX_LEN + 1]);

/* source_dir_name - the last part of a directory's true path, so that "." and "dir/" have a name too. */
enum status source_dir_name(struct source *s, const char *dir, const char **out);

/* source_template - keep a chat template, text[0..n). */
enum status source_template(struct source *s, const char *text, size_t n);

/* source_stop_name - a special token ends generation, if the tokenizer knows it. */
enum status source_stop_name(struct source *s, const char *token);

#endif
