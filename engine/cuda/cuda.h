#ifndef ASSAY_CUDA_CUDA_H
#define ASSAY_CUDA_CUDA_H

#include "backend.h"
#include "base/pool.h"
#include "cuda/arena.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "kv/pages.h"

/* What the files of the CUDA backend share. It runs on any device of device.h. */

enum { STAGES = 2, STAGE_B = 2 << 20 };

struct cuda_backend {
    struct backend base; // first: a struct backend * is a struct cuda_backend *
    struct backend_ops ops; // base.ops; the name is the device's
    struct device *device;
    struct pool *pool; // prepares weights
    struct places *places;
    uint8_t *arena; // dev
    size_t arena_b;
    uint8_t *stage[STAGES];     // pinned
    uint8_t *stage_dev[STAGES]; // dev, STAGE_B each
    size_t next_stage;
    // the step at hand
    const struct rows *rows;
    size_t cap_rows;
    uint32_t *seq, *pos, *fault, *pick; // dev (cap_rows)
    uint32_t *words;                    // dev: see enum cuda_word
    void *scratch;                      // dev
    size_t scratch_b, scratch_peak_b;
    uint64_t weight_bytes_read, dots;
    uint64_t next_id;
};

/* Words that kernels write and the host reads now and then. */
enum cuda_word { WORD_BAD_ROW, WORD_EXTREME, WORD_ERROR, WORD_ITEMS, WORD_BYTES_READ, WORD_BYTES_READ_HIGH, N_WORDS = 8 };

static inline struct cuda_backend *cuda_of(struct backend *b)
{
    return (struct cuda_backend *)b;
}

/* backend.c: memory. cuda_take is not zeroed; both are counted. */
enum status cuda_take(struct cuda_backend *b, void **dev, size_t n, const char *what, struct err *err);
enum status cuda_alloc(struct backend *b, void **dev, size_t n, const char *what, struct err *err);
void cuda_release(struct backend *b, void *dev); /* NULL is fine */
enum status cuda_upload(struct backend *b, void *dev, const void *host, size_t n, struct err *err);
enum status cuda_download(struct backend *b, void *host, const void *dev, size_t n, struct err *err);

/* cuda_stage - a pinned buffer of STAGE_B bytes that no copy uses any more, and its number.
 * cuda_stage_sent - to be called when the copy out of it is queued. */
enum status cuda_stage(struct cuda_backend *b, size_t *i, struct err *err);
enum status cuda_stage_sent(struct cuda_backend *b, size_t i, struct err *err);

/* cuda_scratch - the operator's scratch, pieces of it 256-byte aligned; undefined, until the next call. */
struct cuda_piece {
    void **at;
    size_t n, size;
};
enum status cuda_scratch(struct cuda_backend *b, const struct cuda_piece *pieces, size_t n, struct err *err);

/* cuda_launch - queue a kernel over a grid that may be empty. */
enum status cuda_launch(struct cuda_backend *b, enum cuda_kernel k, size_t x, size_t y, const void *args, size_t args_b,
                        struct err *err);
#define LAUNCH(b, name, x, y, ...) \
    cuda_launch(b, KERNEL_##name, x, y, &(const struct name##_args){__VA_ARGS__}, sizeof(struct name##_args), err)

/* weights.c */
struct matrix {
    struct cuda_backend *owner;
    struct device_matrix at; // a copy lies at the begin of dev
    void *dev;
    size_t n_cols;
    uint64_t id; // never used again
    // the first of a list of experts remembers the list as kernels want it
    struct device_matrix *experts; // dev (n_experts) or NULL
    uint64_t *expert_ids;          // (n_experts)
    size_t n_experts;
};
enum status cuda_matrix_new(struct backend *b, struct matrix **out, const struct matrix_source *src, struct err *err);
void cuda_matrix_free(struct backend *b, struct matrix *m);
size_t cuda_matrix_bytes(const struct matrix *m);
void cuda_matrix_poison(struct matrix *m);
/* cuda_experts - the descriptors of n matrices, one behind the other in device memory; made once. */
enum status cuda_experts(struct cuda_backend *b, struct matrix *const *list, size_t n,
                         const struct device_matrix **out, struct err *err);

/* table.c: embedding rows stay in host memory; a step's are decoded there and sent. */
enum status cuda_table_new(struct backend *b, struct table **out, const struct matrix_source *src, struct err *err);
void cuda_table_free(struct backend *b, struct table *t);
size_t cuda_table_bytes(const struct table *t);
enum status cuda_embed(struct backend *b, const struct table *table, const int32_t *ids, size_t n, float *x, size_t d,
                       struct err *err);

/* kv.c */
enum status cuda_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err);
void cuda_kv_free(struct backend *b, struct kv *kv);
enum status cuda_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err);
uint64_t cuda_kv_need(const struct kv *kv, size_t n_pos);
enum status cuda_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err);
enum status cuda_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err);
void cuda_kv_drop(struct kv *kv, struct kv_saved *saved);
void cuda_kv_count(const struct kv *kv, struct kv_bytes *out);
/* cuda_kv_send - the page table, if it has changed. cuda_kv_use - check a step's rows against the cache, and one
 * layer of it as kernels see it. */
enum status cuda_kv_send(struct kv *kv, struct err *err);
enum status cuda_kv_use(const struct kv *kv, size_t layer, size_t n_kv_heads, size_t head_dim, const struct rows *rows,
                        struct device_kv *out, struct err *err);

/* ops.c */
enum status cuda_norm(struct backend *b, const float *x, const float *w, float eps, size_t d, const struct rows *rows,
                      const uint32_t *pick, size_t n_out, size_t layer, uint16_t *out, struct err *err);
enum status cuda_linear(struct backend *b, const struct matrix *w, const uint16_t *x, size_t n, const float *bias,
                        bool add, float *y, struct err *err);
enum status cuda_qkv_store(struct backend *b, struct kv *kv, size_t layer, const struct qkv_args *a, const float *qkv,
                           const struct rows *rows, uint16_t *q, struct err *err);
enum status cuda_attention(struct backend *b, const struct kv *kv, size_t layer, const struct attention_args *a,
                           const uint16_t *q, const struct rows *rows, uint16_t *out, struct err *err);
enum status cuda_glu(struct backend *b, const struct glu *g, const float *z, size_t n_ff, const struct rows *rows,
                     size_t layer, uint16_t *out, struct err *err);
enum status cuda_router(struct backend *b, const float *logits, size_t n_experts, size_t k, const uint16_t *forced,
                        const struct rows *rows, size_t layer, uint16_t *ids, float *weights, struct err *err);
enum status cuda_moe(struct backend *b, const struct moe *m, const uint16_t *x, size_t d, const uint16_t *ids,
                     const float *weights, const struct rows *rows, size_t layer, float *y, struct err *err);

#endif
