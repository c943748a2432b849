#ifndef ASSAY_SYNTH_SYNTH_TENSORS_H
#define ASSAY_SYNTH_SYNTH_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "synth/synth_shape.h"

/* The list of tensors of a synthetic model in file order: names and shapes as in the real
 * checkpoints (models.md 2.2), and the recipe of models.md 8 for what is in them. */
enum synth_fill {
    SYNTH_NORMAL, /* BF16: mean + sd * normal */
    SYNTH_CODES,  /* U8: uniform bytes, two E2M1 codes each */
    SYNTH_SCALES, /* U8: scale_lo or scale_lo + 1 */
    SYNTH_DECODED /* BF16 (E, in, out): what the codes and scales of the same name stand for */
};

enum { SYNTH_MAX_DIMS = 4, SYNTH_NAME_B = 96 };

struct synth_tensor {
    char name[SYNTH_NAME_B];
    size_t n_dims;
    size_t shape[SYNTH_MAX_DIMS];
    enum synth_fill fill;
    double mean, sd;
    uint8_t scale_lo;
};

struct synth_tensors {
    struct synth_tensor *v; /* owned */
    size_t n, cap;
};

/* synth_tensors_list - all tensors of a checked shape. ERR_MEMORY. Release with _release. */
enum status synth_tensors_list(struct synth_tensors *out, const struct synth_shape *s, struct err *err);
void synth_tensors_release(struct synth_tensors *t);

size_t synth_tensor_values(const struct synth_tensor *t); /* product of the shape */
size_t synth_tensor_bytes(const struct synth_tensor *t);
const char *synth_tensor_dtype(const struct synth_tensor *t); /* "BF16" or "U8" */

/* synth_tensor_fill - bytes of the values [from, from + n) of a tensor. A value depends on (seed, name,
 * index) alone, through the counter-based generator of base/rng.h; scaling is + * and sqrt in double
 * and one rounding to nearest even, so the bytes are the same on every machine.
 * out: n * 2 bytes little-endian for BF16, n bytes for U8. from must be a multiple of 8 for codes. */
void synth_tensor_fill(const struct synth_tensor *t, uint64_t seed, size_t from, size_t n, uint8_t *out);

#endif
