#include "drive/blocks.h"

#include "base/rng.h"

void block_order(uint64_t seed, size_t block, size_t n, size_t *order)
{
    const struct rng_key k = rng_key(seed, "block-order");
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)rng_below(&k, (uint64_t)(block / 2) << 20 | i, i + 1);
        size_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    if (block % 2 == 0)
        return;
    for (size_t i = 0; i < n / 2; i++) {
        size_t t = order[i];
        order[i] = order[n - 1 - i];
        order[n - 1 - i] = t;
    }
}
