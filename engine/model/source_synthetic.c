/* synthetic:NAME[,seed=N]: the shapes of a registered model, weights from a generator, no tokenizer. */
#include "model/source.h"
#include "model/synthetic.h"

static enum status config(struct source *o)
{
    const struct synthetic *of = o->own;
    if (!of) {
        void *p;
        enum status s = arena_alloc(o->m->arena, &p, 1, sizeof *of, o->err);
        if (s || (s = synthetic_parse(p, o->text, o->err)))
            return s;
        of = p;
    }
    o->own = of;
    o->m->config = of->config;
    o->name = of->name;
    o->dir = "";
    return OK;
}

static enum status vocabulary(struct source *o)
{
    (void)o;
    return OK;
}

/* What the backend will hold: every tensor as it is, vectors as fp32, and a tied embedding as the head too. */
static uint64_t needed_b(const struct model *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < tensors_count(m->tensors); i++) {
        const struct tensor *t = tensors_at(m->tensors, i);
        n += t->n_dims == 1 ? 2 * t->n_bytes : t->n_bytes;
    }
    if (m->config.tied)
        n += (uint64_t)m->config.vocab_size * m->config.d_model * 2;
    return n;
}

static enum status weights(struct source *o)
{
    struct model *m = o->m;
    enum status s = synthetic_tensors(&m->tensors, o->own, o->err);
    if (s)
        return s;
    uint64_t needed = needed_b(m);
    uint64_t available = mem_available_b("/proc/meminfo");
    if (needed > available) // a page that is not there is found by being killed, long after
        return err_set(o->err, ERR_MEMORY, "model '%s': expected %.2f GB of memory for its weights, found %.2f GB available",
                       o->text, (double)needed / 1e9, (double)available / 1e9);
    m->info.synthetic = true;
    m->info.definition = tensors_generator(m->tensors);
    return OK;
}

const struct source_kind source_synthetic = {
    .matches = synthetic_matches, .config = config, .vocabulary = vocabulary, .weights = weights};
