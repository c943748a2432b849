#ifndef ASSAY_MODEL_BIND_INTERNAL_H
#define ASSAY_MODEL_BIND_INTERNAL_H

#include "model/bind_rows.h"
#include "model/model.h"

/* What bind.c finds and bind_make.c makes of it. */

struct binding {
    struct model *m;
    const struct tensors *set;
    const struct layout *layout;
    bool *used;             // (count) tensors that found a place
    bool types[QUANT_NONE]; // of the matrices
    const struct tensor *t[ROLE_COUNT]; // of one layer; NULL: it has none
    enum tensor_kind kinds[ROLE_COUNT];
    struct err *err;
};

/* bind_in_file - put the tensor's file before the sentence of a failure. Returns s. */
enum status bind_in_file(const struct binding *b, const struct tensor *t, enum status s);

/* make_layer - all of a layer from b->t. make_vector, make_matrix: one role; a vector the layer lacks stays
 * NULL. Each drops its source's pages. */
enum status make_layer(struct binding *b, struct layer *l);
enum status make_vector(struct binding *b, enum role role, float **out);
enum status make_matrix(struct binding *b, const struct tensor *t, struct matrix **out);

#endif
