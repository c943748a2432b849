#ifndef ASSAY_CONVERT_CONVERT_WRITE_H
#define ASSAY_CONVERT_CONVERT_WRITE_H

#include "base/err.h"
#include "base/pool.h"
#include "convert/convert_plan.h"
#include "format/gguf_write.h"
#include "lib/outfile.h"
#include "lib/progress.h"

/* plan_announce - put the plan's tensors into the head of a file. */
enum status plan_announce(const struct plan *p, struct gguf_writer *w, struct err *err);

/* plan_write - the tensors' data, in order, each padded: read in slabs of some megabytes, encoded by all
 * threads of the pool, written, and the source's pages dropped, so that memory does not grow with the model.
 * ERR_RANGE, naming tensor and row, for a value that is not finite or that its type cannot hold. */
enum status plan_write(const struct plan *p, const struct tensors *set, struct pool *pool, struct outfile *out,
                       struct progress *progress, struct err *err);

#endif
