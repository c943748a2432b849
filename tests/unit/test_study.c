// The published study's formats: a miniature made up here (four cells, round numbers), and, when
// ../shared is there, its real files against its own unified and efficiency files to 1e-12.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mapfile.h"
#include "lib/csvio.h"
#include "study/study.h"

static const char latency_csv[] =
    "model,model_type,prompt_tokens,gen_tokens,TTFT_ms,p50_ms,p95_ms,p99_ms,TPOT_tokps\n"
    "openai/gpt-oss-20b,chat_template,2048,128,500,3675,3700,3700,34.8\n"
    "openai/gpt-oss-20b,chat_template,2048,64,500,2075,2100,2100,30.8\n"
    "Qwen/Qwen3-32B,chat_template,2048,64,400,2920,2950,2950,21.9\n"
    "01-ai/Yi-34B,completion,2048,64,380,2270,2300,2300,28.2\n";
static const char memory_head[] =
    "model,device_name,context_length,gen_tokens,total_tokens,baseline_alloc_mb,baseline_reserved_mb,"
    "after_tokenize_alloc_mb,after_tokenize_reserved_mb,after_generate_alloc_mb,after_generate_reserved_mb,"
    "peak_alloc_mb,peak_reserved_mb,tokenize_delta_alloc_mb,generate_delta_alloc_mb,total_delta_alloc_mb,"
    "kv_cache_alloc_mb,kv_cache_reserved_mb,memory_per_token_alloc_mb,memory_per_token_reserved_mb,"
    "util_after_percent_alloc,util_peak_percent_alloc,util_peak_percent_reserved,total_gpu_memory_mb\n";
static const char energy_head[] =
    "model,device,gpu_index,context_length,gen_tokens,num_runs,ttft_ms,ttft_joules,decode_tokens_per_second,"
    "total_tokens_per_second,avg_gpu_power_watts,baseline_gpu_power_watts,avg_gpu_utilization_percent,"
    "avg_memory_utilization_percent,baseline_gpu_utilization_percent,baseline_memory_utilization_percent,"
    "energy_per_decoded_token_joules,energy_per_1k_decoded_tokens_joules,energy_per_total_token_joules\n";

struct study_data {
    struct table *latency, *memory, *energy;
};

static struct table *parse(const char *schema, const char *text, size_t n, const char *name)
{
    struct table *t = NULL;
    struct err err = ERR_INIT;
    if (table_parse(&t, schema, text, n, name, TABLE_ANY, &err) != OK)
        fail_msg("%s", err.text);
    return t;
}

/* Stack the parts of each kind into the study's own unified tables; frees the parts. */
static void stack(struct table **latency, struct table **memory, struct table **energy, size_t n, struct study_data *out)
{
    struct err err = ERR_INIT;
    if (study_unify_latency((const struct table *const *)latency, n, &out->latency, &err) != OK ||
        study_unify_memory((const struct table *const *)memory, n, &out->memory, &err) != OK ||
        study_unify_energy((const struct table *const *)energy, n, &out->energy, &err) != OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) {
        table_free(latency[i]);
        table_free(memory[i]);
        table_free(energy[i]);
    }
}

static void release(struct study_data *d)
{
    table_free(d->latency);
    table_free(d->memory);
    table_free(d->energy);
}

static void miniature(struct study_data *out)
{
    static const struct {
        const char *model;
        double weights, peak, live, tok_s, w;
    } rows[3] = {
        {"openai/gpt-oss-20b", 40000, 43000, 99, 31.25, 300},
        {"Qwen/Qwen3-32B", 62000, 64000, 528, 25, 320},
        {"01-ai/Yi-34B", 65000, 66000, 495, 28, 350},
    };
    char memory[4096];
    char energy[4096];
    size_t m = (size_t)snprintf(memory, sizeof memory, "%s", memory_head);
    size_t e = (size_t)snprintf(energy, sizeof energy, "%s", energy_head);
    for (size_t i = 0; i < 3; i++) {
        m += (size_t)snprintf(memory + m, sizeof memory - m,
                              "%s,NVIDIA H100 NVL,2048,64,2112,%g,50000,%g,50000,%g,50000,%g,70000,0.03,%g,%g,%g,5000,%g,"
                              "2.4,42,46,47,95000\n",
                              rows[i].model, rows[i].weights, rows[i].weights, rows[i].weights + rows[i].live,
                              rows[i].peak, rows[i].live, rows[i].live, rows[i].peak - rows[i].weights,
                              (rows[i].peak - rows[i].weights) / 2112);
        e += (size_t)snprintf(energy + e, sizeof energy - e,
                              "%s,cuda:0,0,2048,64,5,450,140,%g,1000,%g,290,70,45,70,50,%.17g,%.17g,0.3\n", rows[i].model,
                              rows[i].tok_s, rows[i].w, rows[i].w / rows[i].tok_s, 1000 * rows[i].w / rows[i].tok_s);
    }
    struct table *l = parse("study_latency", latency_csv, sizeof latency_csv - 1, "latency.csv");
    struct table *mem = parse("study_memory", memory, m, "memory.csv");
    struct table *en = parse("study_energy", energy, e, "energy.csv");
    stack(&l, &mem, &en, 1, out);
}

static void near_to(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static size_t named(const struct table *t, const char *column, const char *text)
{
    for (size_t i = 0; i < table_n_rows(t); i++)
        if (strcmp(table_text(t, i, column), text) == 0)
            return i;
    fail_msg("no row with %s = %s", column, text);
    return 0;
}

static void test_miniature(void **state)
{
    (void)state;
    struct study_data d;
    miniature(&d);
    assert_int_equal(table_n_rows(d.latency), 4);
    const size_t gpt = study_row(d.latency, "gpt-oss-20b", 2048);
    assert_int_equal(table_i64(d.latency, gpt, "gen_tokens"), 64);
    assert_int_equal(study_row(d.latency, "gpt-oss-20b", 512), SIZE_MAX);
    near_to(table_f64(d.latency, gpt, "ttft_ms"), 500, 0);
    assert_int_equal(table_i64(d.latency, gpt, "context_length"), 2048);
    const size_t e = study_row(d.energy, "qwen3-32b", 2048);
    near_to(table_f64(d.energy, e, "tokens_per_watt"), 25.0 / 320, 1e-15);
    near_to(table_f64(d.energy, e, "TPOT_tokps"), 25, 0);
    near_to(table_f64(d.memory, study_row(d.memory, "yi-34b", 2048), "memory_efficiency"), 2112.0 / 66000, 1e-15);

    struct table *ape = NULL;
    struct table *corrected = NULL;
    struct table *headlines = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(study_ape(d.latency, d.memory, d.energy, &ape, &err), OK);
    assert_int_equal(table_n_rows(ape), 3); // one generated length a context
    near_to(table_f64(ape, named(ape, "model_id", "gpt-oss-20b"), "throughput_per_activeB_tokps_per_B"), 30.8 / 3.6, 1e-12);
    near_to(table_f64(ape, named(ape, "model_id", "yi-34b"), "tokens_per_GB_tokps_per_GB"), 28.2 / (66000.0 / 1024), 1e-12);

    assert_int_equal(study_corrected(d.latency, d.memory, d.energy, &corrected, &err), OK);
    assert_int_equal(table_n_rows(corrected), 4);
    const size_t c = named(corrected, "model", "gpt-oss-20b"); // sorted: 64 tokens first
    near_to(table_f64(corrected, c, "tpot_ms"), 25, 1e-9);
    near_to(table_f64(corrected, c, "decode_tok_s"), 40, 1e-9);
    near_to(table_f64(corrected, c, "kv_mib_per_tok_formula"), 0.046875, 0);
    near_to(table_f64(corrected, c, "kv_mib_per_tok_live"), 0.046875, 1e-9);
    near_to(table_f64(corrected, c, "j_per_1k_decode_est"), 7500, 1e-9);
    assert_false(table_has(corrected, c + 1, "peak_mib")); // 128 tokens: memory was not measured there

    assert_int_equal(study_headlines(d.latency, d.memory, d.energy, &headlines, &err), OK);
    const size_t h = named(headlines, "headline", "decode throughput against qwen3-32b");
    near_to(table_f64(headlines, h, "published_value"), 31.8, 0);
    near_to(table_f64(headlines, h, "from_csv"), 25, 1e-4);
    near_to(table_f64(headlines, h, "corrected"), 60, 1e-4); // 40 ms against 25 ms
    assert_false(table_has(headlines, named(headlines, "headline", "decode throughput against yi-34b"), "published_value"));
    table_free(headlines);
    table_free(corrected);
    table_free(ape);
    release(&d);
}

static void test_bad(void **state)
{
    (void)state;
    static const char stranger[] = "model,model_type,prompt_tokens,gen_tokens,TTFT_ms,p50_ms,p95_ms,p99_ms,TPOT_tokps\n"
                                   "acme/model,chat_template,128,64,36,1611,1682,1682,39.7\n";
    struct table *raw = parse("study_latency", stranger, sizeof stranger - 1, "strange.csv");
    struct table *out = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(study_unify_latency((const struct table *const *)&raw, 1, &out, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "strange.csv:2"));
    assert_non_null(strstr(err.text, "acme/model"));
    table_free(raw);

    // A cell without its partner is an error, not a shorter table.
    struct study_data d;
    miniature(&d);
    struct table *empty = NULL;
    assert_int_equal(table_new(&empty, "study_unified_energy", &err), OK);
    assert_int_equal(study_ape(d.latency, d.memory, empty, &out, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "energy of 'gpt-oss-20b' at context 2048"));
    assert_int_equal(study_headlines(d.latency, d.memory, empty, &out, &err), ERR_FORMAT);
    table_free(empty);
    release(&d);
}

/* ---- the real files ---- */

static const char *study_dir(void)
{
    const char *shared = getenv("ASSAY_SHARED");
    static char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/reference/paper/new_results", shared ? shared : "../shared");
    return dir;
}

static struct table *read_raw(const char *schema, const char *file)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", study_dir(), file);
    struct mapfile m;
    struct err err = ERR_INIT;
    if (mapfile_open(&m, path, &err) != OK)
        fail_msg("%s", err.text);
    struct table *t = parse(schema, (const char *)m.data, m.size, file);
    mapfile_close(&m);
    return t;
}

static bool have_study(void)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", study_dir(), study_files(0)->latency);
    FILE *f = fopen(path, "r");
    if (f)
        (void)fclose(f);
    return f != NULL;
}

/* Every field of the study's file against ours: text equal, numbers to 1e-12, same columns and rows in
 * the same order. */
static void equal_to_published(struct table *ours, const char *file)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", study_dir(), file);
    struct mapfile m;
    struct err err = ERR_INIT;
    struct csv published;
    struct csv written;
    struct buf text = BUF_INIT;
    assert_int_equal(mapfile_open(&m, path, &err), OK);
    assert_int_equal(csv_parse_bytes(&published, (const char *)m.data, m.size, file, &err), OK);
    assert_int_equal(table_write_csv(ours, &text, &err), OK);
    assert_int_equal(csv_parse_bytes(&written, text.data, text.n, "ours", &err), OK);
    assert_int_equal(published.n_rows, written.n_rows);
    assert_int_equal(published.n_cols, written.n_cols);
    for (size_t r = 0; r < published.n_rows; r++)
        for (size_t c = 0; c < published.n_cols; c++) {
            const char *a = csv_at(&published, r, c)->text;
            const char *b = csv_at(&written, r, c)->text;
            char *end_a;
            char *end_b;
            const double x = strtod(a, &end_a);
            const double y = strtod(b, &end_b);
            if (*a && !*end_a && *b && !*end_b) {
                if (fabs(x - y) > 1e-12 * fabs(x))
                    fail_msg("%s row %zu column %s: found %s, published %s", file, r, csv_at(&published, 0, c)->text, b, a);
            } else if (strcmp(a, b) != 0) {
                fail_msg("%s row %zu column %zu: found '%s', published '%s'", file, r, c, b, a);
            }
        }
    csv_release(&published);
    csv_release(&written);
    buf_release(&text);
    mapfile_close(&m);
}

static void test_published(void **state)
{
    (void)state;
    if (!have_study())
        skip(); // needs ../shared/reference/paper
    struct table *l[STUDY_MODELS];
    struct table *m[STUDY_MODELS];
    struct table *e[STUDY_MODELS];
    for (size_t i = 0; i < STUDY_MODELS; i++) {
        l[i] = read_raw("study_latency", study_files(i)->latency);
        m[i] = read_raw("study_memory", study_files(i)->memory);
        e[i] = read_raw("study_energy", study_files(i)->energy);
    }
    struct study_data d;
    stack(l, m, e, STUDY_MODELS, &d);
    equal_to_published(d.latency, "unified_latency_comparison.csv");
    equal_to_published(d.memory, "unified_memory_comparison_fixed.csv");
    equal_to_published(d.energy, "unified_energy_comparison_fixed.csv");
    struct table *ape = NULL;
    struct table *headlines = NULL;
    struct table *corrected = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(study_ape(d.latency, d.memory, d.energy, &ape, &err), OK);
    equal_to_published(ape, "ape/ape_analysis.csv");

    assert_int_equal(study_headlines(d.latency, d.memory, d.energy, &headlines, &err), OK);
    // Every published figure comes out of the raw files to the digits it was printed with.
    for (size_t i = 0; i < table_n_rows(headlines); i++)
        if (table_has(headlines, i, "published_value")) {
            const bool pct = strcmp(table_text(headlines, i, "unit"), "pct") == 0;
            near_to(table_f64(headlines, i, "from_csv"), table_f64(headlines, i, "published_value"), pct ? 0.05 : 0.0005);
        }
    const struct {
        const char *name;
        double corrected, tolerance;
    } expected[] = {
        {"decode throughput against qwen3-32b", 48.6, 0.05}, {"decode throughput against yi-34b", 28.2, 0.05},
        {"KV cache per token of gpt-oss-20b", 0.0469, 5e-5}, {"KV cache per token of qwen3-32b", 0.25, 0},
        {"KV cache per token of yi-34b", 0.2344, 5e-5},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        near_to(table_f64(headlines, named(headlines, "headline", expected[i].name), "corrected"), expected[i].corrected,
                expected[i].tolerance);

    assert_int_equal(study_corrected(d.latency, d.memory, d.energy, &corrected, &err), OK);
    assert_int_equal(table_n_rows(corrected), 36);
    const size_t c = named(corrected, "model", "gpt-oss-20b");
    near_to(table_f64(corrected, c, "tpot_ms"), 25.00, 0.005);
    near_to(table_f64(corrected, c, "wh_per_1k_published"), 1.854, 0.0005);
    table_free(corrected);
    table_free(headlines);
    table_free(ape);
    release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_miniature),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
