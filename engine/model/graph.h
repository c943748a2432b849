#ifndef ASSAY_MODEL_GRAPH_H
#define ASSAY_MODEL_GRAPH_H

#include <stddef.h>

#include "base/err.h"

/* The operator vocabulary of the architectures: what a layer can be made of. Each reads and adds to
 * the residual stream of the step that forward_run is in. */

struct forward;

/* graph_attention - x += Wo attend(rope(Wqkv norm(x))), with what the layer has of biases, q/k norms,
 * sinks and window. */
enum status graph_attention(struct forward *f, size_t layer, struct err *err);

/* graph_dense - x += Wdown (silu(Wgate n) * Wup n), n = norm(x). */
enum status graph_dense(struct forward *f, size_t layer, struct err *err);

/* graph_experts - x += sum of the chosen experts of norm(x), in the router's order. */
enum status graph_experts(struct forward *f, size_t layer, struct err *err);

#endif
