#include "cuda/kernels.h"
#include "cuda/layout.h"

/* Which rows chose which expert: pairs in ascending order within each expert (a fixed order, though no bit
 * depends on it), cut into items that one block of a product takes. On the device, so that a step needs
 * no answer from the host. */

struct group_shared {
    uint32_t count[ROUTER_EXPERTS_MAX];
    uint32_t begin[ROUTER_EXPERTS_MAX]; // first pair
    uint32_t item0[ROUTER_EXPERTS_MAX]; // first item
};

SIMT_KERNEL(group)
{
    SIMT_SHARED(struct group_shared, s);
    PHASE(t)
    {
        for (uint32_t e = t; e < a.n_experts; e += THREADS) {
            uint32_t n = 0;
            for (uint32_t i = 0; i < a.n_pairs; i++)
                n += a.ids[i] == e;
            s->count[e] = n;
        }
    }
    PHASE(t)
    {
        if (t != 0)
            continue;
        uint32_t pairs = 0;
        uint32_t items = 0;
        uint64_t bytes = 0;
        for (uint32_t e = 0; e < a.n_experts; e++) {
            s->begin[e] = pairs;
            s->item0[e] = items;
            pairs += s->count[e];
            items += (s->count[e] + a.m_max - 1) / a.m_max;
            if (s->count[e])
                bytes += a.a[e].bytes + a.b[e].bytes;
        }
        *a.n_items = items;
        simt_count(a.weight_bytes, bytes);
    }
    PHASE(t)
    {
        for (uint32_t e = t; e < a.n_experts; e += THREADS) {
            uint32_t at = s->begin[e];
            for (uint32_t i = 0; i < a.n_pairs && s->count[e]; i++)
                if (a.ids[i] == e)
                    a.pairs[at++] = i;
            for (uint32_t i = 0; i < s->count[e]; i += a.m_max) {
                const uint32_t left = s->count[e] - i;
                struct item *item = &a.items[s->item0[e] + i / a.m_max];
                item->matrix = e;
                item->first = s->begin[e] + i;
                item->m = left < a.m_max ? left : a.m_max;
            }
        }
    }
}
