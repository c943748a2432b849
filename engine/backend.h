#ifndef ASSAY_BACKEND_H
#define ASSAY_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "quant/quant.h"

/* The waist between the models and the machines: one const vtable per backend (cpu, cuda).
 * Pointers called dev live where the backend computes; callers move them by upload and download and
 * never look inside. numerics.md fixes every operator's bits; engine/cpu/ref.c is the definition in C.
 *
 * A step works on n rows, one per token: row t belongs to sequence seq[t] at absolute position pos[t].
 * Rows of one sequence stand in ascending position. Operand rows (bf16, `uint16_t`) have a leading
 * dimension of operand_ld(K) and zeros behind K. */

struct backend;
struct matrix; /* weights of y = x W^T, tiled for this backend */
struct table;  /* embedding rows */
struct kv;     /* the K and V cache of all layers and sequences of one session */
struct kv_saved; /* K and V of a stretch of a sequence, kept beyond it */

/* Rows of a matrix as they are stored (quant.h), `n_cols` inputs each. */
struct matrix_part {
    size_t n_rows;
    struct row_reader rows;
    struct row_reader scales; /* MXFP4_SPLIT only: n_cols / 32 bytes a row */
};

/* Several tensors as one matrix: stacked (q, k, v), or interleaved row by row (gate, up: row 2i is
 * gate i, row 2i+1 is up i; parts then have equal n_rows). */
struct matrix_source {
    const char *name; /* for messages */
    enum quant quant;
    size_t n_cols;
    size_t n_parts;
    struct matrix_part parts[3];
    bool interleave;
};

/* Where a row stopped being finite or in range (numerics.md: Operands), 0 = nowhere. The first site
 * stays. site_layer() and site_op() take it apart. */
enum fault_op { FAULT_NONE, FAULT_NORM, FAULT_QKV, FAULT_ATTENTION, FAULT_MLP, FAULT_ROUTER, FAULT_LOGITS };

struct rows {
    size_t n;
    const uint32_t *seq; /* (n) host */
    const uint32_t *pos; /* (n) host */
    uint32_t *fault;     /* (n) host: (layer + 1) << 8 | enum fault_op */
};

enum glu_kind { GLU_SILU, GLU_CLAMPED };
struct glu {
    enum glu_kind kind;
    float limit;  /* CLAMPED: min(gate, limit), clamp(up, -limit, limit) */
    float alpha;  /* CLAMPED: gate * sigmoid(alpha * gate) */
    float up_add; /* CLAMPED: * (up + up_add); 1 in the model, 0 in a fault test */
};

struct moe {
    size_t n_experts;
    size_t n_used;                    /* k */
    struct matrix *const *gate_up;    /* (E) rows 2f, interleaved */
    struct matrix *const *down;       /* (E) rows d */
    const float *gate_up_bias;        /* dev (E, 2f) */
    const float *down_bias;           /* dev (E, d) */
    size_t n_ff;                      /* f */
    struct glu glu;
};

/* qkv_store's constants for one layer. */
struct qkv_args {
    size_t n_heads, n_kv_heads, head_dim;
    const float *q_norm, *k_norm; /* dev (h) or NULL */
    float eps;
    const float *cos, *sin; /* dev (max_pos, h/2), already times the YaRN factor */
};

struct attention_args {
    size_t n_heads, n_kv_heads, head_dim;
    const float *sinks; /* dev (H) or NULL */
    size_t window;      /* keys j with pos - window < j <= pos; 0 = all */
    float scale;        /* fp32(1 / sqrt h) */
};

struct kv_shape {
    size_t n_layers, n_kv_heads, head_dim;
    size_t n_seqs;
    size_t n_pos;          /* longest sequence */
    size_t chunk;          /* most rows of one sequence in a step, >= 1; more are ERR_RANGE */
    const size_t *windows; /* (n_layers) 0 = full */
    uint64_t limit_b;      /* most bytes of pages; 0 = what n_seqs sequences of n_pos take */
};

/* Bytes of the cache as its allocator counts them, never by formula. A page holds 32 positions. */
struct kv_bytes {
    uint64_t limit;    /* reserved never exceeds it */
    uint64_t reserved; /* taken from the system */
    uint64_t live;     /* pages in use, each counted once however many share it */
    uint64_t saved;    /* the part of live that only saved stretches hold */
    uint64_t used;     /* positions a later query can still see x bytes of one position; live - used is
                        * padding: rounding to pages, a ring's room for the chunk */
};

/* Counted where the work is done; monotonic since backend_new. */
struct backend_counters {
    uint64_t weight_bytes_read; /* each matrix tile once per call that uses it (cpu: once per 512 rows of
                                 * a linear, 256 of a moe), one row per embedded token */
    uint64_t dots;              /* canonical dot products */
    uint64_t alloc_bytes;       /* dev memory now, kv and matrices included, operators' scratch not */
    uint64_t alloc_peak_bytes;
    uint64_t scratch_peak_bytes; /* operators' own scratch */
};

struct backend_ops {
    const char *name; /* "cpu", "cuda", "cuda-sim" */
    const char *(*isa)(const struct backend *b);
    size_t (*n_threads)(const struct backend *b);
    void (*free)(struct backend *b);
    void (*counters)(const struct backend *b, struct backend_counters *out);

    /* Memory: alloc gives zeroed, 64-byte aligned bytes. */
    enum status (*alloc)(struct backend *b, void **dev, size_t n_bytes, const char *what, struct err *err);
    void (*release)(struct backend *b, void *dev);
    enum status (*upload)(struct backend *b, void *dev, const void *host, size_t n_bytes, struct err *err);
    enum status (*download)(struct backend *b, void *host, const void *dev, size_t n_bytes, struct err *err);

    /* Weights. ERR_RANGE for a NaN scale or a value >= 2^60, naming matrix, row and column. The source is
     * read during the call only. */
    enum status (*matrix_new)(struct backend *b, struct matrix **out, const struct matrix_source *src,
                              struct err *err);
    void (*matrix_free)(struct backend *b, struct matrix *m);
    size_t (*matrix_bytes)(const struct matrix *m);
    /* Test hook: overwrite every scale of an MXFP4 matrix with NaN, or the weights where the backend
     * keeps none (expert-isolation test). */
    void (*matrix_poison)(struct matrix *m);

    /* A cache of tiles, for backends that can keep them in a file; NULL where there is none. cache_open
     * comes before the first matrix_new, cache_finish after the last: then the file is whole and has its
     * name, DIR/KEY-LAYOUT.tiles. From then on cache_open finds it, and matrix_new takes each matrix from
     * it by name without reading its source. The caller's key must change whenever a weight does. */
    enum status (*cache_open)(struct backend *b, const char *dir, const char *key, struct err *err);
    enum status (*cache_finish)(struct backend *b, struct err *err);

    /* Embedding rows, kept as they are stored: fp32 values, neither rounded nor flushed. One part; rows
     * in place are borrowed until table_free, others copied. */
    enum status (*table_new)(struct backend *b, struct table **out, const struct matrix_source *src,
                             struct err *err);
    void (*table_free)(struct backend *b, struct table *t);
    size_t (*table_bytes)(const struct table *t); /* borrowed ones too */

    /* KV cache. */
    enum status (*kv_new)(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err);
    void (*kv_free)(struct backend *b, struct kv *kv);
    /* Make room for positions up to n_pos of seq (pages are taken here); 0 empties the sequence. A page
     * that others hold too is copied before positions in it are written. ERR_MEMORY, at the limit too:
     * then nothing has changed. */
    enum status (*kv_resize)(struct kv *kv, size_t seq, size_t n_pos, struct err *err);
    /* Bytes of the pages that a sequence of n_pos positions holds at most. While the sum over all
     * sequences stays within the limit, kv_resize lacks room only for what saved stretches hold. */
    uint64_t (*kv_need)(const struct kv *kv, size_t n_pos);
    /* Keep the positions [from, to) of seq, and what a window layer still sees at `to`: by reference, no
     * bytes are copied. from is a multiple of 32; `to` lies at most one chunk behind the end of seq and not
     * before the end of what was loaded, or a window layer has lost it (ERR_RANGE). The caller drops it, before
     * kv_free. */
    enum status (*kv_save)(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err);
    /* Append what was saved to seq, which must hold `from` positions; then it holds `to`. The K and V are
     * the caller's to match: those of the same tokens from position 0. Takes no pages. */
    enum status (*kv_load)(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err);
    void (*kv_drop)(struct kv *kv, struct kv_saved *saved); /* NULL is fine */
    void (*kv_count)(const struct kv *kv, struct kv_bytes *out);

    /* A step: its operators run between begin and end, on these rows. A backend with memory of its own sends
     * seq and pos at begin, and may run late: faults are complete, and what went wrong on the way is
     * reported, at end. rows is borrowed until then. */
    enum status (*begin)(struct backend *b, const struct rows *rows, struct err *err);
    enum status (*end)(struct backend *b, const struct rows *rows, struct err *err);

    /* Operators. d, K, f are unpadded sizes. All return OK but for allocation failure. */
    /* x[t] = fp32 row ids[t] of the table. */
    enum status (*embed)(struct backend *b, const struct table *table, const int32_t *ids, size_t n, float *x,
                         size_t d, struct err *err);
    /* out[t] = operand(rmsnorm(x[pick ? pick[t] : t]) * w), n_out rows; faults go to the picked row. */
    enum status (*norm)(struct backend *b, const float *x, const float *w, float eps, size_t d,
                        const struct rows *rows, const uint32_t *pick, size_t n_out, size_t layer,
                        uint16_t *out, struct err *err);
    /* y[t] (+)= x[t] W^T + bias; add: onto y (the residual), else stored. ld of y is the matrix's rows. */
    enum status (*linear)(struct backend *b, const struct matrix *w, const uint16_t *x, size_t n,
                          const float *bias, bool add, float *y, struct err *err);
    /* q,k norm if given, RoPE on q and k, K and V rounded into the cache, q out as operand (H*h). */
    enum status (*qkv_store)(struct backend *b, struct kv *kv, size_t layer, const struct qkv_args *a,
                             const float *qkv, const struct rows *rows, uint16_t *q, struct err *err);
    enum status (*attention)(struct backend *b, const struct kv *kv, size_t layer,
                             const struct attention_args *a, const uint16_t *q, const struct rows *rows,
                             uint16_t *out, struct err *err);
    /* out[t] = operand(act(z[t][2i], z[t][2i+1])), z (n, 2f) interleaved. */
    enum status (*glu)(struct backend *b, const struct glu *g, const float *z, size_t n_ff,
                       const struct rows *rows, size_t layer, uint16_t *out, struct err *err);
    /* k largest of E logits (lower id on ties), in descending order; softmax over the k. forced
     * (n, k), if not NULL, replaces the choice (0xFFFF in the first slot of a row: as computed). */
    enum status (*router)(struct backend *b, const float *logits, size_t n_experts, size_t k,
                          const uint16_t *forced, const struct rows *rows, size_t layer, uint16_t *ids,
                          float *weights, struct err *err);
    /* y[t] += sum_j weights[t][j] * expert_ids[t][j](x[t]), in the router's order. */
    enum status (*moe)(struct backend *b, const struct moe *m, const uint16_t *x, size_t d, const uint16_t *ids,
                       const float *weights, const struct rows *rows, size_t layer, float *y, struct err *err);
};

/* One instance of a backend: the first member of every backend's own struct. */
struct backend {
    const struct backend_ops *ops;
};

/* operand_ld - leading dimension of an operand row of K values: K rounded up to 32. */
static inline size_t operand_ld(size_t k)
{
    return (k + 31) & ~(size_t)31;
}

/* cpu_backend_new - threads share the rows of each product. isa: "auto", "scalar", "avx2", "avx512".
 * ERR_USAGE for another name (listing those there are), ERR_DEVICE when this CPU lacks it. */
enum status cpu_backend_new(struct backend **out, const char *isa, size_t n_threads, struct err *err);

/* cuda_backend_new - name: "cuda", the first CUDA device; "cuda-sim", the same kernels run slowly on the host, for
 * tests. n_threads prepare weights on their way to the device. memory_b: device memory to use, 0 = what is free. ERR_DEVICE where there is none or the build has
 * no CUDA, ERR_USAGE for another name, ERR_MEMORY with the numbers when memory_b is more than is free. */
enum status cuda_backend_new(struct backend **out, const char *name, size_t n_threads, uint64_t memory_b,
                             struct err *err);

/* cpu_isa_list - NUL-ended list of the instruction sets this CPU can run, best last. Static. */
const char *const *cpu_isa_list(void);

#endif
