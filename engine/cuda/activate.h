#ifndef ASSAY_CUDA_ACTIVATE_H
#define ASSAY_CUDA_ACTIVATE_H

#include "cuda/kernels.h"
#include "cuda/simt.h"

/* simt_activate - the gated activation of one unit (engine/cpu/ref.c, choice 4). */
SIMT_FN float simt_activate(const struct device_glu *k, float g, float u)
{
    if (!k->clamped)
        return g * fmf_sigmoid(g) * u;
    g = g > k->limit ? k->limit : g;
    u = u > k->limit ? k->limit : u;
    u = u < -k->limit ? -k->limit : u;
    return g * fmf_sigmoid(k->alpha * g) * (u + k->up_add);
}

#endif
