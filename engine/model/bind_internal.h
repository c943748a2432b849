#ifndef ASSAY_MODEL_BIND_INTERNAL_H
#define ASSAY_MODEL_BIND_INTERNAL_H

#include "format/layout.h"
#include "model/bind_rows.h"
#include "model/model.h"

/* What bind.c has found and bind_make.c makes of it. */

struct binding {
    struct model *m;
    const struct tensors *set;
    struct layout_search find; // the layer being bound
    bool types[QUANT_NONE];    // of the matrices
    struct err *err;
};

/* bind_in_file - put the tensor's file before the sentence of a failure. Returns s. */
enum status bind_in_file(const struct binding *b, const struct tensor *t, enum status s);

/* make_layer - all of a layer from b->find.t. make_vector, make_matrix: one role; a vector the layer lacks stays
 * NULL. Each drops its source's pages. */
enum status make_layer(struct binding *b, struct layer *l);
enum status make_vector(struct binding *b, enum role role, float **out);
enum status make_matrix(struct binding *b, const struct tensor *t, struct matrix **out);

#endif
