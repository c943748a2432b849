#include "cpu_test.h"

#include "cpu/kernels.h"

/* Every kernel of every instruction set against the scalar twin, bit for bit, odd lengths first, with
 * the values that break naive code: zeros of both signs, subnormals, bounds, infinities, NaN. The twin
 * itself is held against formulas written out here. */

static const struct cpu_kernels *tables[4];

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
    float x[LONGEST], back[2][LONGEST];
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
                tables[t]->expand(got, n, back[t != 0]);
                for (size_t j = 0; j < n; j++)
                    assert_true(back[t != 0][j] == bf16_to_f32(got[j]));
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
            float s0[256], want[256], s[256];
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
                want[j] = touched ? bf16_to_f32(bf16_operand(p[j])) : s0[j];
            }
            for (size_t t = 0; tables[t]; t++) {
                float m, l;
                memcpy(s, s0, sizeof s);
                assert_int_equal(tables[t]->softmax(s, from, to, scale, &m, &l), good);
                if (!good)
                    continue; // the row has ended
                assert_true(m == top);
                same(&l, &sum, 1);
                same(s, want, 256);
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

// Short last blocks, accumulation onto c, rows that are not adjacent; and every code under every scale byte.
static void test_dots(void **state)
{
    (void)state;
    static const size_t pairs[] = {1, 8, 12, 15, 16, 17, 32, 64, 250};
    enum { M = 17, LDX = 520, LDC = 40 };
    uint32_t *w = new_mem(250 * TILE, sizeof *w);
    float *x = new_mem(M * LDX, sizeof *x);
    struct rng_key key = rng_key(9, "dots");
    for (size_t i = 0; i < 250 * TILE; i++)
        w[i] = (uint32_t)bf16_operand(random_float("w even", i)) | (uint32_t)bf16_operand(random_float("w odd", i)) << 16;
    for (size_t i = 0; i < M * LDX; i++)
        x[i] = bf16_to_f32(bf16_operand(random_float("x", i)));
    float c[3][M * LDC];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (size_t m = 1; m <= M; m++) {
            for (size_t t = 0; tables[t]; t++) {
                for (size_t j = 0; j < M * LDC; j++)
                    c[t][j] = (float)j;
                tables[t]->dot_bf16(w, pairs[i], x, LDX, m, c[t], LDC);
                assert_memory_equal(c[t], c[0], sizeof c[0]);
            }
            for (size_t j = 0; j < M * LDC; j++) // nothing but (m, TILE) was written
                assert_int_equal(c[0][j] == (float)j, j / LDC >= m || j % LDC >= TILE);
        }
    }
    uint8_t scales[4 * TILE];
    for (unsigned s = 0; s < 256; s++) {
        for (size_t i = 0; i < 16 * TILE; i++)
            w[i] = (uint32_t)rng_u64(&key, s * 1000 + i);
        for (size_t i = 0; i < 4 * TILE; i++)
            scales[i] = s == 255 ? 255 : (uint8_t)(72 + (s * 7 + i) % 116);
        for (size_t m = 1; m <= M; m += 1 + s % 3) {
            for (size_t t = 0; tables[t]; t++) {
                memset(c[t], 0, sizeof c[t]);
                tables[t]->dot_mxfp4(w, scales, 4, x, LDX, m, c[t], LDC);
                same(c[t], c[0], M * LDC);
                for (size_t j = 0; j < TILE && s == 255; j++)
                    assert_true(isnan(c[t][j]));
            }
        }
    }
    mem_free(w);
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
