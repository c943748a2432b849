#ifndef ASSAY_DRIVE_BLOCKS_H
#define ASSAY_DRIVE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* block_order - the order of n cells in one block of a randomised complete block design
 * (measurement.md 7): each block holds every cell once; even blocks are shuffled from (seed,
 * block / 2), the odd block after it runs the same order reversed, so that a linear drift cancels
 * within the pair.
 * order (n) receives 0..n-1. Allocates nothing. */
void block_order(uint64_t seed, size_t block, size_t n, size_t *order);

#endif
