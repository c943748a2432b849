#ifndef ASSAY_DRIVE_FRAME_H
#define ASSAY_DRIVE_FRAME_H

#include "engine.h"

/* The ids a chat format puts before and after one user message, so that a prompt of an exact length can
 * be built inside the template: cutting after the template loses the assistant's header (study.md,
 * mistake 9). */
struct chat_frame {
    struct ids before, after; /* owned */
};

/* chat_frame_of - of a model's own format. ERR_UNSUPPORTED when it has none, or when its markup does not
 * stand unchanged around the content. Release with chat_frame_release (safe on a zeroed struct). */
enum status chat_frame_of(const struct model *m, struct chat_frame *out, struct err *err);
void chat_frame_release(struct chat_frame *f);

#endif
