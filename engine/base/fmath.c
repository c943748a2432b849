#include "base/fmath.h"

#include "base/fmath_formula.h"

float fm_exp(float x)
{
    return fmf_exp(x);
}

float fm_sigmoid(float x)
{
    return fmf_sigmoid(x);
}

uint16_t bf16_from_f32(float x)
{
    return fmf_bf16(x);
}

float bf16_to_f32(uint16_t b)
{
    return fmf_from_bf16(b);
}

uint16_t bf16_operand(float x)
{
    return fmf_operand(x);
}
