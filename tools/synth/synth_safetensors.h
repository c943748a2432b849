#ifndef ASSAY_SYNTH_SYNTH_SAFETENSORS_H
#define ASSAY_SYNTH_SYNTH_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "synth/synth_tensors.h"

/* synth_weights_write - model.safetensors, or n_shards files and model.safetensors.index.json, in dir.
 * File: u64 little-endian header length, JSON header padded with spaces to a multiple of 8, data without
 * holes in the order of the list. `__metadata__` is {"format": "pt", "generator": mark}: transformers
 * refuses files without the first; the second lets readers say `weights=synthetic`.
 * Shards are runs of the list, cut where the bytes so far pass i/n_shards of the total.
 * Values are made and written 64 Ki at a time: memory does not grow with the model.
 * n_shards is in 1..number of tensors. ERR_IO with the file's name. */
enum status synth_weights_write(const char *dir, const struct synth_tensors *t, uint64_t seed, size_t n_shards,
                                const char *mark, struct err *err);

/* synth_file_write - data[0..n) as dir/name, flushed to the device. */
enum status synth_file_write(const char *dir, const char *name, const void *data, size_t n, struct err *err);

#endif
