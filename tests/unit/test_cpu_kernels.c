#include "cpu_test.h"

#include "cpu/kernels.h"
#include "quant/quant.h"

/* Every kernel of every instruction set against the scalar twin, bit for bit, odd lengths first, with
 * the values that break naive code: zeros of both signs, subnormals, bounds, infinities, NaN. The twin
 * itself is held against formulas written out here. */

static const struct cpu_kernels *tables[8];

static int find_tables(void **state)
{
    (void)state;
    size_t n = 0;
    struct err err = ERR_INIT;
    for (const char *const *isa = cpu_isa_list(); *isa; isa++)
        if (cpu_kernels_select(&tables[n++], *isa, &err))
            return -1;
    return 0;
}

static const size_t lengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 100, 511, 512, 513, 2880};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0], LONGEST = 2880 };

static float from_image(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

// mostly normals, with every nasty value now and then
static void nasty(float *x, size_t n, const char *name, bool finite)
{
    static const uint32_t images[] = {
        0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x237f7fff, 0x237f8000, 0x237fffff,
        0xa3800000, 0x5d7f7fff, 0x3f808000, 0x3f818000, 0xbf807fff, 0xc2aeac4f, 0xc2aeac50, 0x42b17217,
        0x5d7f8000, 0x5d800000, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x7fffffff,
    };
    size_t n_images = finite ? 16 : sizeof images / sizeof images[0];
    struct rng_key k = rng_key(3, name);
    for (size_t i = 0; i < n; i++) {
        uint64_t r = rng_u64(&k, i);
        x[i] = r % 5 ? random_float(name, i) * 3.0f : from_image(images[(r >> 8) % n_images]);
    }
}

static void same(const float *a, const float *b, size_t n) // equal bits, any NaN equal to any other
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("element %zu of %zu: %a is not %a", i, n, (double)a[i], (double)b[i]);
}

static void test_operands(void **state)
{
    (void)state;
    float x[LONGEST], back[LONGEST];
    uint16_t want[LONGEST], got[LONGEST];
    for (size_t i = 0; i < N_LENGTHS; i++) {
        for (int finite = 0; finite < 2; finite++) {
            size_t n = lengths[i];
            nasty(x, n, "operands", finite);
            bool good = true;
            for (size_t j = 0; j < n; j++) {
                uint16_t b = bf16_from_f32(x[j]);
                bool fits = !isnan(x[j]) && fabsf(bf16_to_f32(b)) < 0x1p60f;
                good = good && fits;
                want[j] = !fits || fabsf(bf16_to_f32(b)) < 0x1p-56f ? 0 : b;
            }
            for (size_t t = 0; tables[t]; t++) {
                memset(got, 0xee, sizeof got);
                assert_int_equal(tables[t]->operands(x, n, got), good);
                assert_memory_equal(got, want, n * sizeof *got);
                size_t staged = n & ~(size_t)3;
                tables[t]->stage(got, staged, back);
                for (size_t j = 0; j < staged; j++) {
                    uint16_t half = got[tile_input(tables[t]->order, j)];
                    float wide = bf16_to_f32(half);
                    const uint8_t *at = (const uint8_t *)back + j * tables[t]->staged_b;
                    assert_memory_equal(at, tables[t]->staged_b == 2 ? (void *)&half : (void *)&wide, tables[t]->staged_b);
                }
            }
        }
    }
    // a single bad value anywhere is seen
    for (size_t at = 0; at < 33; at++) {
        for (size_t j = 0; j < 33; j++)
            x[j] = j == at ? (at % 2 ? NAN : 0x1p60f) : 1.0f;
        for (size_t t = 0; tables[t]; t++) {
            assert_false(tables[t]->operands(x, 33, got));
            for (size_t j = 0; j < 33; j++)
                assert_int_equal(got[j], j == at ? 0 : 0x3f80);
        }
    }
}

static void test_norm(void **state)
{
    (void)state;
    float x[LONGEST], w[LONGEST], y[LONGEST];
    for (size_t i = 0; i < N_LENGTHS; i++) {
        size_t n = lengths[i];
        nasty(x, n, "x", true);
        nasty(w, n, "w", true);
        for (size_t j = 0; j < n; j++)
            x[j] = fabsf(x[j]) > 1e15f ? 1e15f : x[j];
        float sum = chains_of(x, x, n);
        float r = sqrtf(sum / (float)n + 1e-5f);
        for (size_t t = 0; tables[t]; t++) {
            float got = tables[t]->sum_squares(x, n);
            same(&got, &sum, 1);
            tables[t]->norm_scale(x, w, r, n, y);
            for (size_t j = 0; j < n; j++) {
                float want = x[j] / r;
                want = want * w[j];
                same(&y[j], &want, 1);
            }
        }
    }
}

static void test_rope(void **state)
{
    (void)state;
    static const size_t halves[] = {1, 3, 8, 12, 32, 64};
    float v0[128], v[128], c[64], s[64];
    for (size_t i = 0; i < 6; i++) {
        size_t half = halves[i];
        nasty(v0, 2 * half, "v", true);
        nasty(c, half, "c", true);
        nasty(s, half, "s", true);
        for (size_t t = 0; tables[t]; t++) {
            memcpy(v, v0, sizeof v);
            tables[t]->rope(v, c, s, half);
            for (size_t j = 0; j < half; j++) {
                float a = v0[j], b = v0[j + half];
                float bs = b * s[j], as = a * s[j];
                float want[2] = {fmaf(a, c[j], -bs), fmaf(b, c[j], as)};
                same(&v[j], &want[0], 1);
                same(&v[j + half], &want[1], 1);
            }
        }
    }
}

static void test_glu(void **state)
{
    (void)state;
    float z[2 * LONGEST];
    uint16_t want[LONGEST], got[LONGEST];
    for (size_t i = 0; i < N_LENGTHS; i++) {
        for (int kind = 0; kind < 4; kind++) {
            size_t n = lengths[i];
            struct glu k = {.kind = kind < 2 ? GLU_SILU : GLU_CLAMPED, .limit = 7.0f, .alpha = 1.702f, .up_add = 1.0f};
            nasty(z, 2 * n, "z", kind % 2 == 0);
            bool good = true;
            for (size_t j = 0; j < n; j++) {
                float g = z[2 * j], u = z[2 * j + 1], a;
                if (k.kind == GLU_SILU) {
                    float silu = g * fm_sigmoid(g);
                    a = silu * u;
                } else {
                    g = g > 7.0f ? 7.0f : g;
                    u = u > 7.0f ? 7.0f : u < -7.0f ? -7.0f : u;
                    float ag = k.alpha * g;
                    float left = g * fm_sigmoid(ag);
                    float right = u + 1.0f;
                    a = left * right;
                }
                uint16_t b = bf16_operand(a);
                good = good && bf16_in_range(b);
                want[j] = bf16_in_range(b) ? b : 0;
            }
            for (size_t t = 0; tables[t]; t++) {
                memset(got, 0xee, sizeof got);
                assert_int_equal(tables[t]->glu(&k, z, n, got), good);
                assert_memory_equal(got, want, n * sizeof *got);
            }
        }
    }
}

static void test_softmax(void **state)
{
    (void)state;
    static const size_t ranges[][2] = {{0, 1},   {0, 256}, {255, 256}, {31, 33},  {32, 64}, {0, 31},
                                       {17, 40}, {5, 200}, {100, 101}, {128, 256}, {63, 65}, {3, 4}};
    struct rng_key key = rng_key(5, "fill");
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (int kind = 0; kind < 5; kind++) {
            size_t from = ranges[i][0], to = ranges[i][1];
            float s0[256], s[256];
            uint16_t want[256], got[256];
            for (size_t j = 0; j < 256; j++) { // masked keys may hold anything
                bool see = j >= from && j < to;
                s0[j] = see ? random_float("score", j) * (kind == 1 ? 60.0f : 3.0f)
                            : from_image((uint32_t)rng_u64(&key, j));
                if (see && kind == 2)
                    s0[j] = j % 2 ? 0.0f : -0.0f;
            }
            bool good = kind < 3;
            if (kind >= 3)
                s0[(from + to) / 2] = kind == 3 ? -INFINITY : NAN;
            float scale = 0.125f, top = -INFINITY, p[256] = {0};
            for (size_t j = from; j < to; j++)
                top = s0[j] * scale > top ? s0[j] * scale : top;
            for (size_t j = from; j < to; j++)
                p[j] = fm_exp(s0[j] * scale - top);
            float sum = chains_of(p, NULL, 256); // positions mod 32, absolute: masked keys add 0
            for (size_t j = 0; j < 256; j++) {
                bool touched = j / 32 >= from / 32 && j / 32 <= (to - 1) / 32;
                want[j] = touched ? bf16_operand(p[j]) : 0xeeee;
            }
            for (size_t t = 0; tables[t]; t++) {
                float m, l;
                memcpy(s, s0, sizeof s);
                memset(got, 0xee, sizeof got);
                assert_int_equal(tables[t]->softmax(s, from, to, scale, got, &m, &l), good);
                if (!good)
                    continue; // the row has ended
                assert_true(m == top);
                same(&l, &sum, 1);
                assert_memory_equal(got, want, sizeof got);
                if (kind == 2)
                    assert_false(signbit(m));
            }
        }
    }
}

static void test_merge_combine(void **state)
{
    (void)state;
    float o0[LONGEST], p[4 * LONGEST], o[LONGEST];
    float w[4] = {0.5f, 0.25f, 0.2f, 0.05f};
    for (size_t i = 0; i < N_LENGTHS; i++) {
        size_t n = lengths[i];
        nasty(o0, n, "o", false);
        nasty(p, 4 * n, "p", false);
        for (size_t t = 0; tables[t]; t++) {
            memcpy(o, o0, sizeof o);
            tables[t]->merge(o, 0.75f, p, 0.3f, n);
            for (size_t j = 0; j < n; j++) {
                float pb = p[j] * 0.3f;
                float want = fmaf(o0[j], 0.75f, pb);
                same(&o[j], &want, 1);
            }
            for (size_t k = 1; k <= 4; k++) {
                memcpy(o, o0, sizeof o);
                tables[t]->combine(w, p, k, n, o);
                for (size_t j = 0; j < n; j++) {
                    float acc = 0.0f;
                    for (size_t e = 0; e < k; e++)
                        acc = fmaf(w[e], p[e * n + j], acc);
                    float want = o0[j] + acc;
                    same(&o[j], &want, 1);
                }
            }
        }
    }
}

/* A segment of up to 5 tiles as plain arrays, and as kernels.h lays it out, written down a second time. */
enum { TILES = 5, LANES = TILES * TILE, ROWS = 17, LDX = 520, LDC = 100 };
struct segment {
    enum tile_format format;
    size_t n_tiles, n;
    uint16_t code[LANES][SEGMENT]; // bf16 image, signed byte or nibble
    uint16_t scale[LANES][SEGMENT / 32];
};

static void put_block(const struct segment *s, size_t tile, size_t b, enum tile_order order, uint8_t *out)
{
    static const size_t chains[4] = {2, 0, 3, 1};
    static const unsigned bit[4] = {0, 8, 4, 12};
    size_t at = 0;
    for (size_t word = 0; word * (s->format == TILE_BF16 ? 2 : s->format == TILE_Q8_0 ? 1 : 8) < 32; word++) {
        for (size_t lane = 0; lane < TILE; lane++) {
            const uint16_t *code = s->code[tile * TILE + lane] + b * 32;
#define AT(place) code[order == ORDER_PAIRS ? (place) : (place) / 4 * 4 + chains[(place) % 4]]
            if (s->format == TILE_Q8_0) {
                out[at++] = (uint8_t)AT(word);
                continue;
            }
            unsigned halves[2] = {0, 0};
            for (size_t i = 0; i < 8 && s->format != TILE_BF16; i++)
                halves[i % 2] |= (unsigned)AT(8 * word + i) << bit[i / 2];
            for (size_t half = 0; half < 2; half++, at += 2) {
                if (s->format == TILE_BF16)
                    halves[half] = AT(2 * word + half);
                out[at] = (uint8_t)halves[half];
                out[at + 1] = (uint8_t)(halves[half] >> 8);
            }
        }
    }
}

static void put_scales(const struct segment *s, size_t tile, size_t b, uint8_t *out)
{
    for (size_t lane = 0; lane < TILE && s->format != TILE_BF16; lane++) {
        *out++ = (uint8_t)s->scale[tile * TILE + lane][b];
        if (s->format != TILE_MXFP4)
            *out++ = (uint8_t)(s->scale[tile * TILE + lane][b] >> 8);
    }
}

static float segment_value(const struct segment *s, size_t row, size_t k)
{
    unsigned code = s->code[row][k];
    switch (s->format) {
    case TILE_BF16: return bf16_to_f32((uint16_t)code);
    case TILE_Q8_0: return (float)(int8_t)code;
    case TILE_Q4_0: return (float)code - 8.0f;
    case TILE_MXFP4: return mxfp4_value(code, 127);
    }
    return 0.0f;
}

static float segment_dot(const struct segment *s, size_t row, const uint16_t *x, float c)
{
    for (size_t k = 0; k < s->n; k += 32) {
        float e = 0.0f, o = 0.0f;
        for (size_t i = k; i < k + 32 && i < s->n; i += 2) {
            e = fmaf(bf16_to_f32(x[i]), segment_value(s, row, i), e);
            o = fmaf(bf16_to_f32(x[i + 1]), segment_value(s, row, i + 1), o);
        }
        float block = e + o;
        unsigned scale = s->scale[row][k / 32];
        if (s->format == TILE_MXFP4)
            block = block * (scale == 255 ? NAN : (float)ldexp(1.0, (int)scale - 127));
        c = s->format == TILE_BF16 || s->format == TILE_MXFP4 ? c + block : fmaf(f16_to_f32((uint16_t)scale), block, c);
    }
    return c;
}

static void check_segment(const struct segment *s, const uint16_t *x, size_t m)
{
    static uint8_t w[TILES * (SEGMENT * TILE * 2 + 192)];
    static float staged[ROWS * LDX], got[ROWS * LDC], want[ROWS * LDC];
    size_t n_blocks = (s->n + 31) / 32;
    size_t block_b = s->format == TILE_BF16 ? 1024 : s->format == TILE_Q8_0 ? 512 : 256;
    size_t scale_b = s->format == TILE_BF16 ? 0 : s->format == TILE_MXFP4 ? 16 : 32;
    size_t tile_b = n_blocks * (block_b + scale_b) + 64;
    for (size_t i = 0; i < m * LDC; i++) {
        size_t row = i % LDC;
        want[i] = (float)i;
        if (row < s->n_tiles * TILE)
            want[i] = segment_dot(s, row, x + i / LDC * LDX, want[i]);
    }
    for (size_t t = 0; tables[t]; t++) {
        for (size_t tile = 0; tile < s->n_tiles; tile++)
            for (size_t b = 0; b < n_blocks; b++) {
                put_block(s, tile, b, tables[t]->order, w + tile * tile_b + b * block_b);
                put_scales(s, tile, b, w + tile * tile_b + n_blocks * block_b + b * scale_b);
            }
        tables[t]->stage(x, m * LDX, staged);
        for (size_t i = 0; i < m * LDC; i++)
            got[i] = (float)i;
        const struct dot d = {.format = s->format, .w = w, .tile_b = tile_b, .n_tiles = s->n_tiles, .n = s->n,
                              .x = staged, .ldx = LDX, .m = m, .c = got, .ldc = LDC, .ahead = m % 2 ? w : NULL};
        tables[t]->dot(&d);
        same(got, want, m * LDC); // and nothing but (m, 16 n_tiles) was written
    }
}

/* Operands of the whole legal range, and of a few exponents so that sums cancel. */
static uint16_t any_operand(const struct rng_key *key, uint64_t i)
{
    uint64_t r = rng_u64(key, i);
    if (r % 16 == 0)
        return 0;
    unsigned magnitude = r >> 60 ? 0x3f80 + (unsigned)(r >> 16) % 0x180 : 0x2380 + (unsigned)(r >> 16) % (0x5d80 - 0x2380);
    return (uint16_t)((r >> 8 & 1) << 15 | magnitude);
}

static void fill_segment(struct segment *s, uint64_t seed)
{
    struct rng_key key = rng_key(seed, "segment");
    uint64_t at = 0;
    for (size_t row = 0; row < LANES; row++) {
        for (size_t k = 0; k < SEGMENT; k++, at++) {
            uint64_t r = rng_u64(&key, at);
            s->code[row][k] = s->format == TILE_BF16   ? any_operand(&key, at + 1000000)
                              : s->format == TILE_Q8_0 ? (uint16_t)(r & 255) // -128 too
                                                       : (uint16_t)(r & 15);
        }
        for (size_t b = 0; b < SEGMENT / 32; b++) {
            uint64_t r = rng_u64(&key, at++);
            s->scale[row][b] = s->format == TILE_MXFP4 ? (uint16_t)(72 + r % 116)
                                                       : (uint16_t)((r & 0x8000) | r % 0x7c00); // subnormals too
        }
    }
}

static void test_dots(void **state)
{
    (void)state;
    static const size_t ns[] = {32, 64, 96, 480, 512, 4, 8, 12, 16, 36, 64, 124}; // from the sixth on: bf16 only
    static const enum tile_format formats[] = {TILE_BF16, TILE_MXFP4, TILE_Q8_0, TILE_Q4_0};
    static struct segment s;
    uint16_t *x = new_mem(ROWS * LDX, sizeof *x);
    struct rng_key key = rng_key(9, "dots");
    for (size_t i = 0; i < ROWS * LDX; i++)
        x[i] = any_operand(&key, i);
    for (size_t f = 0; f < 4; f++) {
        for (size_t i = 0; i < (formats[f] == TILE_BF16 ? 12 : 5); i++) {
            s.format = formats[f];
            s.n = ns[i];
            fill_segment(&s, i);
            for (size_t m = 1; m <= ROWS; m++) {
                s.n_tiles = 1 + (m + i) % TILES;
                check_segment(&s, x, m);
            }
            for (s.n_tiles = 1; s.n_tiles <= TILES; s.n_tiles++)
                check_segment(&s, x, s.n_tiles == 5 ? 1 : s.n_tiles);
        }
    }
    s.format = TILE_MXFP4; // what poisoned scales do
    s.n = 64;
    s.n_tiles = 2;
    fill_segment(&s, 0);
    for (size_t row = 0; row < LANES; row++)
        s.scale[row][row % 2] = 255;
    check_segment(&s, x, 9);
    s.format = TILE_Q8_0;
    for (size_t row = 0; row < LANES; row++)
        s.scale[row][row % 2] = 0xffff;
    check_segment(&s, x, 9);
    mem_free(x);
}

// Kernels run with FTZ and DAZ set, as in the pool.
static int numeric_env(void **state)
{
    (void)pool_numeric_env_enter();
    return find_tables(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands), cmocka_unit_test(test_norm),          cmocka_unit_test(test_rope),
        cmocka_unit_test(test_glu),      cmocka_unit_test(test_softmax),       cmocka_unit_test(test_merge_combine),
        cmocka_unit_test(test_dots),
    };
    return cmocka_run_group_tests(tests, numeric_env, NULL);
}
