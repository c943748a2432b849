#ifndef ASSAY_TESTS_RUN_SUPPORT_H
#define ASSAY_TESTS_RUN_SUPPORT_H

/* Models and runs for the tests of engine/run: synth writes a model, run_all drives a session to its
 * end and keeps what each request got. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/rng.h"
#include "engine.h"
#include "synth/synth_model.h"

enum { MAX_OUT = 600, N_FAMILIES = 3 };

static const char *const families[N_FAMILIES] = {"gptoss-tiny", "qwen3-tiny", "yi-tiny"};

/* A scratch folder with the three models; made once a program. */
struct models {
    char dir[64];
};

static inline void model_path(const struct models *ms, size_t family, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", ms->dir, families[family]);
}

/* The presets' families at a fraction of their work, for tests of many tokens: two layers, and a window
 * that is no multiple of a page. */
static inline void shrink(struct synth_shape *s)
{
    s->n_layers = 2;
    s->d_model = s->d_ff = 64;
    s->n_heads = 4;
    s->n_kv_heads = 2;
    s->head_dim = 16;
    if (s->n_experts) {
        s->n_experts = 3;
        s->n_experts_used = 2;
        s->window = 40;
    }
}

static inline int models_make(void **state, bool small)
{
    struct models *ms = calloc(1, sizeof *ms);
    if (!ms)
        return -1;
    (void)snprintf(ms->dir, sizeof ms->dir, "/tmp/assay-run-XXXXXX");
    if (!mkdtemp(ms->dir))
        return -1;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        struct synth_shape shape;
        bool changed;
        struct err err = ERR_INIT;
        char path[256];
        model_path(ms, i, path);
        enum status s = synth_preset(&shape, families[i], &err);
        if (!s && small)
            shrink(&shape);
        if (s || synth_model_write(path, &shape, 1, &changed, &err)) {
            (void)fprintf(stderr, "%s\n", err.text);
            return -1;
        }
    }
    *state = ms;
    return 0;
}

static inline int models_setup(void **state)
{
    return models_make(state, false);
}

static inline int small_models_setup(void **state)
{
    return models_make(state, true);
}

static inline int models_teardown(void **state)
{
    struct models *ms = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", ms->dir);
    int rc = system(command);
    free(ms);
    return rc;
}

static inline struct model *open_model(const struct models *ms, size_t family, const char *isa, size_t n_threads)
{
    struct model *m = NULL;
    struct err err = ERR_INIT;
    char path[256];
    model_path(ms, family, path);
    const struct model_options opt = {.isa = isa, .n_threads = n_threads};
    if (model_open(&m, path, &opt, &err))
        fail_msg("%s", err.text);
    return m;
}

struct outcome {
    int32_t ids[MAX_OUT];
    size_t n, n_logits;
    double logprob;
    bool all_greedy;
    enum finish_reason finish;
    enum status status;
    char message[256];
    struct digest *d;
    char sha[DIGEST_HEX_LEN + 1]; /* of the rows of logits of its events, in order */
};

/* Run n requests to the end in one session; counters and memory are optional. */
static inline void run_all(struct model *m, const struct session_options *opt, const struct request *r, size_t n,
                           struct outcome *out, struct session_counters *counters, uint64_t *expert_hits,
                           struct memory_bytes *memory)
{
    struct session *s = NULL;
    struct err err = ERR_INIT;
    size_t done = 0;
    size_t V = model_info(m)->vocab_size;
    if (session_new(&s, m, opt, &err))
        fail_msg("%s", err.text);
    uint64_t first = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t handle;
        if (session_submit(s, &r[i], &handle, &err))
            fail_msg("%s", err.text);
        first = i ? first : handle;
        out[i] = (struct outcome){.all_greedy = true};
        assert_int_equal(digest_new(&out[i].d, NULL), OK);
    }
    while (!session_idle(s)) {
        const struct event *e;
        size_t n_events;
        if (session_step(s, &e, &n_events, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < n_events; i++) {
            struct outcome *o = &out[e[i].handle - first];
            if (e[i].kind == EVENT_DONE) {
                uint8_t sha[DIGEST_B];
                o->finish = e[i].finish;
                o->status = e[i].status;
                (void)snprintf(o->message, sizeof o->message, "%s", e[i].message);
                assert_int_equal(digest_finish(o->d, sha, NULL), OK);
                digest_hex(sha, o->sha);
                digest_free(o->d);
                o->d = NULL;
                done++;
                continue;
            }
            assert_int_equal(digest_add(o->d, e[i].logits, V * sizeof(float), NULL), OK);
            o->n_logits++;
            if (e[i].kind == EVENT_TOKEN) {
                o->all_greedy &= e[i].is_greedy;
                o->logprob += e[i].logprob;
                o->ids[o->n++] = e[i].token;
            }
        }
    }
    assert_int_equal(done, n);
    if (counters)
        session_counters(s, counters);
    if (expert_hits)
        memcpy(expert_hits, counters->expert_hits,
               model_info(m)->n_layers * model_info(m)->n_experts * sizeof *expert_hits);
    if (memory)
        session_memory(s, memory);
    if (counters)
        counters->expert_hits = NULL;
    session_free(s);
}

/* n random ids for a name, all inside the vocabulary. */
static inline void random_prompt(const char *name, size_t vocab_size, int32_t *out, size_t n)
{
    struct rng_key k = rng_key(11, name);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)rng_below(&k, i, vocab_size);
}

#endif
