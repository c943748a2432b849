#ifndef ASSAY_QUANT_QUANT_H
#define ASSAY_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways in which files store weights, one file each in this room. A row of a matrix is a whole
 * number of blocks; a block is `block_b` bytes for `block` consecutive inputs. Layouts: models.md 3.4
 * (GGUF), 2.4 (MXFP4 as safetensors store it: 16 bytes of codes, the scale byte in another tensor). */

#define QUANT_MAP(X)                                                                                      \
    X(F32) X(F16) X(BF16) X(Q8_0) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) \
    X(MXFP4) X(MXFP4_SPLIT)

enum quant {
#define X(name) QUANT_##name,
    QUANT_MAP(X)
#undef X
    QUANT_NONE /* bytes that are no weights by themselves */
};

struct quant_type {
    const char *name; /* as result rows name it: "q4_k" */
    size_t block;     /* values */
    size_t block_b;   /* bytes; of the codes alone for MXFP4_SPLIT */
    /* decode - `block` fp32 values of one block, exactly as the format defines them: products and sums
     * in fp32 in the order of models.md 3.4, each rounded. A NaN scale gives NaN. NULL for MXFP4_SPLIT,
     * whose blocks have no scale: mxfp4.h. */
    void (*decode)(const uint8_t *block, float *out);
    /* encode - one block of the nearest values by the rules of ggml's reference quantiser (0 differences from
     * the package gguf): ties of Q8_0 go away from zero, of Q4_0 up, of MXFP4 towards zero, of the floats to
     * even; Q8_0 d = max|x| / 127, Q4_0 d = (first largest value) / -8, MXFP4 scale = floor(log2 max|x|) - 2.
     * Same bytes with subnormals flushed and not. false: a value is not finite or too large for the format.
     * NULL where nothing here writes the format. */
    bool (*encode)(const float *x, uint8_t *block);
};

/* quant_type - never NULL for a real type; NULL for QUANT_NONE and for types this build cannot decode. */
const struct quant_type *quant_type(enum quant q);

/* quant_row_b - bytes of a row of n values. false: n is no whole number of blocks, or the type has no
 * decoder. */
bool quant_row_b(enum quant q, size_t n, size_t *row_b);

/* Decoders of the table; one file a family. */
void f32_decode(const uint8_t *block, float *out);
void f16_decode(const uint8_t *block, float *out);
void bf16_decode(const uint8_t *block, float *out);
void q8_0_decode(const uint8_t *block, float *out);
void q4_0_decode(const uint8_t *block, float *out);
void q4_1_decode(const uint8_t *block, float *out);
void q5_0_decode(const uint8_t *block, float *out);
void q5_1_decode(const uint8_t *block, float *out);
void q2_k_decode(const uint8_t *block, float *out);
void q3_k_decode(const uint8_t *block, float *out);
void q4_k_decode(const uint8_t *block, float *out);
void q5_k_decode(const uint8_t *block, float *out);
void q6_k_decode(const uint8_t *block, float *out);
void mxfp4_block_decode(const uint8_t *block, float *out); /* GGUF's 17 bytes: scale, then byte j = values j, j+16 */

bool f32_encode(const float *x, uint8_t *block);
bool f16_encode(const float *x, uint8_t *block);
bool bf16_encode(const float *x, uint8_t *block);
bool q8_0_encode(const float *x, uint8_t *block);
bool q4_0_encode(const float *x, uint8_t *block);
bool mxfp4_block_encode(const float *x, uint8_t *block);

/* f16_to_f32 - IEEE half to fp32, exact; subnormals too. f16_from_f32 - to nearest even; from 65520 on infinite. */
float f16_to_f32(uint16_t h);
uint16_t f16_from_f32(float x);

/* Rows of one stored matrix: in place for as long as the reader lives, or made on demand (copied out of
 * order, transposed, generated). Rows may be asked for by several threads at once. */
struct row_reader {
    const uint8_t *base; /* row r at base + r * row_b; NULL: ask read */
    void (*read)(const void *ctx, size_t row, size_t n, uint8_t *out); /* n rows of row_b bytes, packed */
    const void *ctx;
};

/* row_reader_get - n rows from `row` on: a pointer into place, or scratch (n * row_b bytes) filled. */
static inline const uint8_t *row_reader_get(const struct row_reader *r, size_t row, size_t n, size_t row_b,
                                            uint8_t *scratch)
{
    if (r->base)
        return r->base + row * row_b;
    r->read(r->ctx, row, n, scratch);
    return scratch;
}

#endif
