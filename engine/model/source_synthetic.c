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

static enum status weights(struct source *o)
{
    struct model *m = o->m;
    enum status s = synthetic_tensors(&m->tensors, o->own, o->err);
    if (s)
        return s;
    m->info.synthetic = true;
    m->info.definition = tensors_generator(m->tensors);
    return OK;
}

const struct source_kind source_synthetic = {
    .matches = synthetic_matches, .config = config, .vocabulary = vocabulary, .weights = weights};
