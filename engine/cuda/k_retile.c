#include "cuda/kernels.h"
#include "cuda/layout.h"

/* Stored rows into tiles (layout.h), a tile a block of threads. The rows come through a staging buffer a
 * few at a time, so a matrix is never held twice. */

SIMT_KERNEL(retile_bf16)
{
    const uint32_t tile = a.row0 / TILE_ROWS + BLOCK_X;
    PHASE(t)
    {
        for (uint32_t i = t; i < a.n_blocks * 4 * TILE_ROWS; i += THREADS) {
            const uint32_t local = BLOCK_X * TILE_ROWS + i % TILE_ROWS;
            const uint32_t k0 = i / TILE_ROWS * 8;
            struct quad q = {{0}};
            for (uint32_t j = 0; local < a.n && j < 8 && k0 + j < a.n_cols; j++) {
                uint32_t v = load_half(a.rows + (size_t)local * a.row_b + (size_t)(k0 + j) * 2);
                if ((v & 0x7fffu) >= BF16_OPERAND_END)
                    simt_min(a.bad, a.row0 + local);
                v = (v & 0x7fffu) < BF16_OPERAND_MIN ? 0 : v;
                q.w[j / 2] |= v << (j % 2 * 16);
            }
            store_quad(a.codes + code_at(DEVICE_BF16, a.n_blocks, tile, k0 / BLOCK_INPUTS, k0 / 8 % 4, i % TILE_ROWS), q);
        }
    }
}

/* ggml's nibbles: byte i holds values i and i + 16. Ours: value k in nibble k. */
SIMT_FN struct quad natural_nibbles(const uint8_t *bytes)
{
    struct quad q = {{0}};
    for (uint32_t i = 0; i < 16; i++) {
        q.w[i / 8] |= (uint32_t)(bytes[i] & 15u) << (i % 8 * 4);
        q.w[2 + i / 8] |= (uint32_t)(bytes[i] >> 4) << (i % 8 * 4);
    }
    return q;
}

SIMT_FN struct quad bytes_quad(const uint8_t *bytes) // at any address
{
    struct quad q = {{0}};
    for (uint32_t i = 0; i < 16; i++)
        q.w[i / 4] |= (uint32_t)bytes[i] << (i % 4 * 8);
    return q;
}

enum {
    SCALE_LEAST = 127 - 55,   // the block's sum may be multiplied by scales from here (numerics.md)
    SCALE_MOST = 127 + 60 - 3 // to here: 6 x 2^(s - 127) is below 2^60
};

SIMT_KERNEL(retile_mxfp4)
{
    const uint32_t tile = a.row0 / TILE_ROWS + BLOCK_X;
    PHASE(t)
    {
        for (uint32_t i = t; i < a.n_blocks * TILE_ROWS; i += THREADS) {
            const uint32_t row = i % TILE_ROWS;
            const uint32_t b = i / TILE_ROWS;
            const uint32_t local = BLOCK_X * TILE_ROWS + row;
            struct quad q = {{0}};
            uint32_t scale = 127;
            if (local < a.n) {
                const uint8_t *data = a.rows + (size_t)local * a.row_b;
                if (a.scale_rows) {
                    q = bytes_quad(data + (size_t)b * 16);
                    scale = a.scale_rows[(size_t)local * a.scale_row_b + b];
                } else {
                    q = natural_nibbles(data + (size_t)b * 17 + 1);
                    scale = data[(size_t)b * 17];
                }
                if (scale < SCALE_LEAST || scale > SCALE_MOST)
                    simt_mark(a.extreme, 1);
            }
            store_quad(a.codes + code_at(DEVICE_MXFP4, a.n_blocks, tile, b, 0, row), q);
            a.scales[scale_at(DEVICE_MXFP4, a.n_blocks, tile, b, row)] = (uint8_t)scale;
        }
    }
}

SIMT_KERNEL(retile_q)
{
    const uint32_t tile = a.row0 / TILE_ROWS + BLOCK_X;
    const uint32_t block_b = a.format == DEVICE_Q8_0 ? 34 : 18;
    PHASE(t)
    {
        for (uint32_t i = t; i < a.n_blocks * TILE_ROWS; i += THREADS) {
            const uint32_t row = i % TILE_ROWS;
            const uint32_t b = i / TILE_ROWS;
            const uint32_t local = BLOCK_X * TILE_ROWS + row;
            struct quad q[2] = {{{0}}, {{0}}};
            uint32_t d = 0;
            if (local < a.n) {
                const uint8_t *data = a.rows + (size_t)local * a.row_b + (size_t)b * block_b;
                d = data[0] | (uint32_t)data[1] << 8;
                q[0] = a.format == DEVICE_Q8_0 ? bytes_quad(data + 2) : natural_nibbles(data + 2);
                if (a.format == DEVICE_Q8_0)
                    q[1] = bytes_quad(data + 18);
                if ((d & 0x7c00u) == 0x7c00u)
                    simt_min(a.bad, a.row0 + local);
            }
            for (uint32_t l = 0; l < loads_of(a.format); l++)
                store_quad(a.codes + code_at(a.format, a.n_blocks, tile, b, l, row), q[l]);
            uint8_t *scale = a.scales + scale_at(a.format, a.n_blocks, tile, b, row);
            scale[0] = (uint8_t)d;
            scale[1] = (uint8_t)(d >> 8);
        }
    }
}
