#ifndef ASSAY_MODEL_SYNTHETIC_H
#define ASSAY_MODEL_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/config.h"
#include "format/tensors.h"

/* Models whose shapes are those of a published one and whose weights come from a generator: nothing is
 * on disk, and nothing is in memory but what the backend keeps. For speed, memory and energy. */

/* Version of names, recipe and random streams; changes whenever any value would. */
#define SYNTHETIC_GENERATOR "1"

enum { SYNTHETIC_NAME_B = 64 };

/* What a source "synthetic:NAME[,seed=N][,format=q8_0|q4_0]" says. */
struct synthetic {
    char name[SYNTHETIC_NAME_B]; // as the registry writes it, "-q8_0" behind it with a format
    struct model_config config;
    uint64_t seed;     // 0 when not given
    enum quant format; // of matrices; QUANT_BF16, the published one, when not given
};

bool synthetic_matches(const char *source); // begins with "synthetic:"

/* synthetic_parse - ERR_USAGE for an unknown name (listing those there are), option or format, ERR_FORMAT or
 * ERR_RANGE for the seed. */
enum status synthetic_parse(struct synthetic *out, const char *source, struct err *err);

/* synthetic_tensors - the tensors of a model in Hugging Face's layout (models.md 2.2) and true format:
 * MXFP4 experts and BF16 for gpt-oss, BF16 for the others, with a fill each; any range, any thread.
 *   normal tensors   bf16(mean + sd * n), n the synthetic normal of numerics.md (bulk.h)
 *   MXFP4            random codes, scales of two neighbouring powers of two
 * With a format: the same values as `convert --type` writes them to GGUF. Matrices in that format, the output
 * matrix (or the embedding that serves as one) in q8_0, vectors and the router in F32, experts still MXFP4.
 * Keyed by (seed, tensor name, index); means, sds and scales by the recipe of models.md 8, the scales moved
 * by whole powers of two to keep its activations at any width. Double + - * sqrt and one rounding: the same
 * bytes on every machine.
 * tensors_generator: "assay synthetic 1 NAME,seed=N", which defines every byte.
 * ERR_MEMORY. The caller closes. */
enum status synthetic_tensors(struct tensors **out, const struct synthetic *s, struct err *err);

#endif
