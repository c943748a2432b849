#ifndef ASSAY_ENGINE_H
#define ASSAY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/chat.h"
#include "text/tokenizer.h"

/* libengine's public face: tokens in; tokens, logits and timestamps out. Tools include this and base/,
 * nothing else of the engine. It never prints, never exits, and holds no globals.
 *
 *   model    weights and tokenizer, read-only after loading, on one backend
 *   session  a KV cache and a scheduler: requests go in, steps are run, events come out
 * A session belongs to one thread at a time; several sessions of one model may not run concurrently
 * (they share the model's thread pool). */

struct model;
struct session;

struct model_options {
    const char *isa;  /* "auto" or a name of cpu_isa_list */
    size_t n_threads; /* 0 = one per online CPU */
    const char *backend;      /* "cpu" (or NULL), "cuda", "cuda-sim" (backend.h) */
    uint64_t device_memory_b; /* of a cuda backend; 0 = what is free */
    bool yarn_truncate;       /* floor and ceil the ends of YaRN's ramp as llama.cpp always does: for comparison with
                                 it. Another model: its name says so. ERR_USAGE for a model without YaRN */
    const char *tile_cache_dir; /* keep the tiled weights there, mapped, for the next start; NULL = do not */
};

/* Everything a result row or statement says about a model. Strings borrowed until model_free. */
struct model_info {
    const char *name;         /* last part of the source's path, without .gguf; "+yarn-truncate" if so asked */
    const char *arch;         /* "gpt-oss", "qwen3", "llama" */
    const char *weight_format; /* the types of the matrices as stored, fewest bits first: "mxfp4+bf16", "q8_0" */
    const char *backend;      /* "cpu", "cuda", "cuda-sim" */
    const char *isa;          /* in use */
    const char *numerics;     /* "exact" */
    bool synthetic;           /* made by synth or by a synthetic: source (metadata says so) */
    size_t n_threads;
    size_t n_layers, d_model, n_ff, n_heads, n_kv_heads, head_dim, vocab_size;
    size_t n_experts, n_experts_used; /* 0 for dense models */
    size_t window;                    /* 0 = none */
    size_t max_context_tok;
    uint64_t total_params, active_params; /* models.md 1.1; active counts lm_head, not the embedding */
    uint64_t weights_file_b;              /* data bytes of the tensors in the files */
    uint64_t weights_b;                   /* bytes the backend holds for them */
    uint64_t decode_weights_b;            /* of those, what one token reads at batch 1: k experts, one embedding row */
    uint64_t expert_b;                    /* bytes of one expert, all layers together; 0 for dense models */
    uint64_t kv_b_per_tok_full;           /* by formula, every layer keeping all */
    uint64_t kv_b_per_tok_window;         /* by formula, past the window */
    uint64_t load_ns;
    size_t n_files;
    const char *const *files; /* every file that was read, base names, sorted */
    const char *dir;          /* directory they lie in */
    const char *definition;   /* of weights that lie in no file: all that they are made from; else NULL */
    size_t n_stop_ids;
    const int32_t *stop_ids;
    int32_t bos_id;    /* stands before every plain text, by the rule of the model's own files; -1: none does */
    const char *chat_note; /* a sentence if the chat template that came with the files is of another format; else NULL */
    int32_t prefix_id; /* stands for an empty text: BOS, else EOS, of the tokenizer, else of the config; -1 */
};

/* model_open - load a model: a Hugging Face directory, one in gpt-oss's original layout, a .gguf file (of
 * several parts the first), or synthetic:NAME. Weights are re-tiled tensor by tensor.
 * ERR_MISSING, ERR_FORMAT, ERR_SHAPE, ERR_UNSUPPORTED, ERR_RANGE with file, position, expected and
 * found. The caller frees. */
enum status model_open(struct model **out, const char *source, const struct model_options *opt, struct err *err);
void model_free(struct model *m); /* NULL is fine */
const struct model_info *model_info(const struct model *m);
const struct tokenizer *model_tokenizer(const struct model *m); /* borrowed */
enum chat_format model_chat_format(const struct model *m);

/* isa_list - names that model_options.isa takes on this machine, NULL-ended, best last. */
const char *const *isa_list(void);

struct sampling {
    double temperature; /* 0 = argmax, lowest id on ties */
    double top_p;       /* 1 = off */
    double min_p;       /* 0 = off */
    size_t top_k;       /* 0 = off */
    uint64_t seed;
};

/* One piece of work. Everything pointed to is borrowed until its EVENT_DONE (or session_free).
 * n_score > 0 makes it a log-likelihood request: score[] is fed after the prompt, nothing is sampled.
 * max_tokens 0 without score: the prompt is run and nothing is generated (for all_positions).
 * An empty prompt is ERR_USAGE: the caller chooses BOS. */
struct request {
    const char *id; /* keys the random numbers (with the seed); "" allowed */
    const int32_t *prompt;
    size_t n_prompt;
    const int32_t *score;
    size_t n_score;
    size_t max_tokens;
    struct sampling sampling;
    bool ignore_stop_ids;
    bool want_logprob;             /* TOKEN events of generated tokens carry logprob too (it costs a pass over V) */
    bool all_positions;            /* an EVENT_LOGITS for every prompt position that yields no token: one row each */
    const char *const *stop_texts; /* generation ends when the decoded text contains one */
    size_t n_stop_texts;
    const uint16_t *forced_experts; /* tests: (n_layers, n_prompt, k) or NULL; prompt positions only */
};

enum finish_reason { FINISH_STOP, FINISH_LENGTH, FINISH_SCORED, FINISH_ERROR, FINISH_CANCELLED };
const char *finish_reason_name(enum finish_reason r); /* "stop" "length" "scored" "error" "cancelled" */

enum event_kind {
    EVENT_LOGITS, /* logits of a prompt position (all_positions) */
    EVENT_TOKEN,  /* a token was generated (or scored): the row that produced it */
    EVENT_DONE
};

struct event {
    enum event_kind kind;
    uint64_t handle;
    size_t position;     /* of the row: token index in the sequence it was computed at */
    int32_t token;       /* TOKEN: chosen or scored id */
    double logprob;      /* TOKEN: log softmax of that id, double, chains of numerics.md; NaN unless wanted */
    bool is_greedy;      /* TOKEN: it is the argmax */
    const float *logits; /* (vocab_size) fp32 before temperature and masks; borrowed until the next step */
    uint64_t t_ns;       /* clock_ns when the step's logits were complete */
    enum finish_reason finish; /* DONE */
    enum status status;        /* DONE with FINISH_ERROR */
    const char *message;       /* DONE with FINISH_ERROR: borrowed until the next step */
    size_t n_reused;           /* DONE: tokens fed whose K and V were at hand */
};

struct session_options {
    size_t n_parallel;    /* sequences in a step, >= 1 */
    size_t context_tok;   /* longest prompt + generated; 0 = the model's own */
    size_t prefill_chunk; /* most prompt tokens of one sequence in a step, and of all of them together beside
                             sequences that decode; 0 = as many as a step takes (2048; beside decoding 512).
                             A window layer's ring has room for window + chunk positions: a small chunk keeps it small. */
    uint64_t kv_limit_b;  /* most bytes of KV pages; 0 = what n_parallel sequences of context_tok take */
    bool prefix_reuse;    /* keep K and V of what has run while the limit allows, and begin with them where a
                             request begins with the same tokens. The same bits, in less time: off where time,
                             memory or energy of the whole work is measured. */
};

/* How requests share a session. A request is admitted in order of submission, when a slot is free and the
 * pages it can need at most fit into the KV limit beside what those admitted before it can need; nobody
 * overtakes, so what waits for memory gets it when those before it end. In every step each sequence that
 * decodes has its token; prompt tokens fill the room that is left, the earliest request first. So a long
 * prompt delays a decoding sequence by no more than a chunk a step, and every prompt is reached. What is kept
 * for reuse never keeps a request waiting: it is given up, least recently used first, as pages are needed. */

/* session_new - ERR_CONTEXT if context_tok exceeds the model's length, ERR_MEMORY. */
enum status session_new(struct session **out, struct model *m, const struct session_options *opt, struct err *err);
void session_free(struct session *s);

/* session_submit - queue a request. ERR_CONTEXT if n_prompt + max_tokens, or the n_prompt + n_score - 1
 * tokens that are fed, exceed the context; ERR_MEMORY if its pages would never fit into the KV limit; ERR_RANGE
 * for a token id outside the vocabulary, ERR_USAGE for bad sampling or an empty stop text. */
enum status session_check(const struct session *s, const struct request *r, struct err *err); /* those checks alone */
enum status session_submit(struct session *s, const struct request *r, uint64_t *handle, struct err *err);
/* session_cancel - its pages are given back and its EVENT_DONE comes at the next step; of those still
 * waiting at most n_parallel a step. */
void session_cancel(struct session *s, uint64_t handle);

/* session_step - run one forward pass over all active sequences; events in slot order. Borrowed until
 * the next call. *n == 0 with session_idle false is a pure prefill step. A request whose arithmetic
 * fails ends with FINISH_ERROR; the others go on. A return other than OK is fatal to the session. */
enum status session_step(struct session *s, const struct event **events, size_t *n, struct err *err);
bool session_idle(const struct session *s); /* nothing active, nothing queued */

/* What the session and its model hold, from the allocators. */
struct memory_bytes {
    uint64_t weights;
    uint64_t kv_limit, kv_reserved, kv_live, kv_used;
    uint64_t kv_saved;    /* the part of live that is only kept for reuse */
    uint64_t kv_promised; /* most that the admitted requests can need */
    uint64_t act_peak;  /* activations, logits, operators' scratch */
    uint64_t total, peak;
};
void session_memory(const struct session *s, struct memory_bytes *out);

struct session_counters {
    uint64_t steps, rows;
    uint64_t weight_bytes_read;
    uint64_t prefill_tok, decode_tok; /* computed */
    uint64_t reused_tok;              /* of prompts, not computed: their K and V were at hand */
    uint64_t expert_rows; /* (token, layer) pairs routed */
    const uint64_t *expert_hits; /* (n_layers, n_experts), borrowed; NULL for dense models */
};
void session_counters(const struct session *s, struct session_counters *out);

/* model_poison_experts - test hook: fill the scales of the experts not in keep (n_layers, n_experts
 * flags) with NaN after loading. */
void model_poison_experts(struct model *m, const bool *keep);

#endif
