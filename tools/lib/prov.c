#define _XOPEN_SOURCE 700
#include "lib/prov.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "lib/canon.h"
#include "lib/paths.h"

struct input {
    const char *path; /* as the user named it; NULL for none */
    const char *name;
    const char *definition; /* text whose digest hex is, for a model without files; else NULL */
    char hex[DIGEST_HEX_LEN + 1];
    enum result_class class;
};

enum { TIME_B = 32, MAX_INPUTS_GROW = 16 };

struct prov {
    struct arena *arena;
    const char *tool, *root;
    cJSON *params, *options, *numeric, *machine;
    struct input *inputs;
    size_t n_inputs, cap_inputs;
    uint64_t seed;
    bool has_seed;
    char numerics[16];
    char model_hex[DIGEST_HEX_LEN + 1];
    char started[TIME_B];
    bool failed; /* an allocation of a consumed value failed */
};

static void now_text(char out[TIME_B])
{
    time_t t = time(NULL);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, TIME_B, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

/* Put value under key, replacing an older one. Consumes value. */
static void put(struct prov *p, cJSON *object, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    if (!value || !cJSON_AddItemToObject(object, key, value)) {
        cJSON_Delete(value);
        p->failed = true;
    }
}

static void put_text(struct prov *p, cJSON *object, const char *key, const char *value)
{
    if (value && *value)
        put(p, object, key, cJSON_CreateString(value));
}

static enum status copy(struct prov *p, const char *text, const char **out, struct err *err)
{
    char *c;
    enum status s = arena_strndup(p->arena, &c, text, strlen(text), err);
    if (!s)
        *out = c;
    return s;
}

static void describe_machine(struct prov *p)
{
    struct platform m;
    platform_get(&m);
    put_text(p, p->machine, "cpu", m.cpu);
    if (m.cores > 0)
        put(p, p->machine, "cores", cJSON_CreateNumber((double)m.cores));
    if (m.memory_b > 0)
        put(p, p->machine, "memoryBytes", cJSON_CreateNumber((double)m.memory_b));
    put_text(p, p->machine, "os", m.os);
    put_text(p, p->machine, "governor", m.governor);
    put_text(p, p->machine, "microcode", m.microcode);
    put_text(p, p->numeric, "arch", m.arch);
    put_text(p, p->numeric, "compiler", build_info()->compiler);
    put_text(p, p->numeric, "flags", build_info()->flags);
}

enum status prov_new(struct prov **out, const char *tool, const char *root, struct err *err)
{
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct prov), "provenance", err);
    if (s)
        return s;
    struct prov *p = mem;
    memcpy(p->numerics, "exact", 6);
    now_text(p->started);
    p->params = cJSON_CreateObject();
    p->options = cJSON_CreateObject();
    p->numeric = cJSON_CreateObject();
    p->machine = cJSON_CreateObject();
    if (!p->params || !p->options || !p->numeric || !p->machine)
        s = err_set(err, ERR_MEMORY, "cannot allocate provenance");
    if (!s)
        s = arena_new(&p->arena, 0, err);
    if (!s)
        s = copy(p, tool, &p->tool, err);
    if (!s && root)
        s = copy(p, root, &p->root, err);
    if (s) {
        prov_free(p);
        return s;
    }
    describe_machine(p);
    *out = p;
    return OK;
}

void prov_free(struct prov *p)
{
    if (!p)
        return;
    cJSON_Delete(p->params);
    cJSON_Delete(p->options);
    cJSON_Delete(p->numeric);
    cJSON_Delete(p->machine);
    mem_free(p->inputs);
    arena_free(p->arena);
    mem_free(p);
}

void prov_param(struct prov *p, const char *name, cJSON *value)
{
    put(p, p->params, name, value);
}

void prov_seed(struct prov *p, uint64_t seed)
{
    p->seed = seed;
    p->has_seed = true;
}

void prov_numerics(struct prov *p, const char *numerics)
{
    (void)snprintf(p->numerics, sizeof p->numerics, "%s", numerics);
}

void prov_run_option(struct prov *p, const char *key, cJSON *value)
{
    put(p, p->options, key, value);
}

void prov_platform_fact(struct prov *p, bool numeric, const char *key, cJSON *value)
{
    put(p, numeric ? p->numeric : p->machine, key, value);
}

void prov_backend(struct prov *p, const char *backend, const char *isa)
{
    put_text(p, p->numeric, "backend", backend);
    put_text(p, p->numeric, "isa", isa);
}

/* Add an input; the same path or name with the same digest counts once, with another digest is refused. */
static enum status add_input(struct prov *p, const struct input *in, struct err *err)
{
    for (size_t i = 0; i < p->n_inputs; i++) {
        const struct input *old = &p->inputs[i];
        if (strcmp(old->name, in->name) != 0)
            continue;
        if (strcmp(old->hex, in->hex) != 0)
            return err_set(err, ERR_USAGE, "two inputs are called '%s' and differ; put both under one --root", in->name);
        if (!old->path || !in->path || strcmp(old->path, in->path) == 0)
            return OK;
    }
    if (p->n_inputs == p->cap_inputs) {
        void *mem;
        size_t cap = p->cap_inputs + MAX_INPUTS_GROW;
        enum status s = mem_alloc(&mem, cap, sizeof *in, "inputs", err);
        if (s)
            return s;
        if (p->n_inputs)
            memcpy(mem, p->inputs, p->n_inputs * sizeof *in);
        mem_free(p->inputs);
        p->inputs = mem;
        p->cap_inputs = cap;
    }
    struct input fresh = *in;
    enum status s = copy(p, in->name, &fresh.name, err);
    if (!s && in->path)
        s = copy(p, in->path, &fresh.path, err);
    if (!s && in->definition)
        s = copy(p, in->definition, &fresh.definition, err);
    if (!s)
        p->inputs[p->n_inputs++] = fresh;
    return s;
}

/* An input made by one of our tools has a statement beside it: it must describe these bytes, and its
 * class is handed on. A file without one (a task, a figure description) is a leaf and counts as exact. */
static enum status input_class(const char *path, const char *hex, enum result_class *out, struct err *err)
{
    struct buf name = BUF_INIT;
    cJSON *doc = NULL;
    *out = CLASS_EXACT;
    buf_printf(&name, "%s" PROV_SUFFIX, path);
    enum status s = buf_status(&name, "path", err);
    if (!s && path_exists(name.data)) {
        s = json_read_file(&doc, name.data, err);
        const cJSON *subject = s ? NULL : cJSON_GetArrayItem(json_get(doc, "subject"), 0);
        const char *sha = "";
        const char *class = "";
        if (!s)
            s = json_get_str(json_get(subject, "digest"), "sha256", name.data, &sha, err);
        if (!s)
            s = json_get_str(json_get(doc, "predicate"), "class", name.data, &class, err);
        if (!s && strcmp(sha, hex) != 0)
            s = err_set(err, ERR_FORMAT, "'%s': expected SHA-256 %.12s... as its statement says, found %.12s...", path,
                        sha, hex);
        if (!s && !result_class_parse(class, out))
            s = err_set(err, ERR_FORMAT, "%s: unknown class '%.40s'", name.data, class);
    }
    cJSON_Delete(doc);
    buf_release(&name);
    return s;
}

static enum status add_file(struct prov *p, const char *path, const uint8_t d[DIGEST_B], struct err *err)
{
    struct input in = {.path = path, .name = "<stdin>", .class = CLASS_EXACT};
    struct buf name = BUF_INIT;
    enum status s = OK;
    digest_hex(d, in.hex);
    if (strcmp(path, "-") != 0) {
        s = path_name(path, p->root, &name, err);
        if (!s)
            s = input_class(path, in.hex, &in.class, err);
        in.name = name.data;
    }
    if (!s)
        s = add_input(p, &in, err);
    buf_release(&name);
    return s;
}

enum status prov_input_bytes(struct prov *p, const char *path, const void *data, size_t n, struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = digest_bytes(data, n, d, err);
    return s ? s : add_file(p, path, d, err);
}

enum status prov_input_file(struct prov *p, const char *path, struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = digest_file(path, d, err);
    return s ? s : add_file(p, path, d, err);
}

static enum status add_model(struct prov *p, const char *source, const char *name, const char *definition,
                             const uint8_t d[DIGEST_B], struct err *err)
{
    struct input in = {.path = source, .definition = definition, .class = CLASS_EXACT};
    struct buf label = BUF_INIT;
    digest_hex(d, in.hex);
    buf_printf(&label, "model:%s", name);
    enum status s = buf_status(&label, "name", err);
    in.name = label.data;
    if (!s)
        s = add_input(p, &in, err);
    if (!s)
        memcpy(p->model_hex, in.hex, sizeof p->model_hex);
    buf_release(&label);
    return s;
}

enum status prov_input_model(struct prov *p, const char *source, const char *name, const char *dir,
                             const char *const *files, size_t n, struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = model_digest(dir, files, n, false, NULL, d, err);
    return s ? s : add_model(p, source, name, NULL, d, err);
}

enum status prov_input_definition(struct prov *p, const char *source, const char *name, const char *definition,
                                  struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = digest_bytes(definition, strlen(definition), d, err);
    return s ? s : add_model(p, source, name, definition, d, err);
}

/* The name of directory path (n bytes) from the name of in, a file below it: both end alike, and what
 * is left of the name is the directory's. A file outside of every tree has its base name only; then the
 * directory has its own. */
static const char *directory_name(const struct prov *p, const struct input *in, const char *path, size_t n)
{
    const char *tail = in->path + n;
    size_t n_tail = strlen(tail);
    size_t n_name = strlen(in->name);
    const char *from = in->name;
    size_t n_dir = n_name - n_tail;
    if (n_name <= n_tail || strcmp(in->name + n_dir, tail) != 0) {
        for (n_dir = 0; n_dir < n && path[n - 1 - n_dir] != '/'; n_dir++)
            ;
        from = path + n - n_dir;
    }
    char *name = NULL;
    return arena_strndup(p->arena, &name, from, n_dir, NULL) ? NULL : name;
}

const char *prov_input_name(const struct prov *p, const char *path)
{
    for (size_t i = 0; i < p->n_inputs; i++)
        if (p->inputs[i].path && strcmp(p->inputs[i].path, path) == 0)
            return p->inputs[i].name;
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    for (size_t i = 0; i < p->n_inputs; i++)
        if (p->inputs[i].path && n > 0 && strncmp(p->inputs[i].path, path, n) == 0 && p->inputs[i].path[n] == '/')
            return directory_name(p, &p->inputs[i], path, n);
    return NULL;
}

const char *prov_model_digest(const struct prov *p)
{
    return p->model_hex;
}

static enum result_class weakest_class(const struct prov *p, const struct schema *schema)
{
    enum result_class c = schema->class;
    if (c == CLASS_EXACT && strcmp(p->numerics, "exact") != 0)
        c = CLASS_PINNED;
    for (size_t i = 0; i < p->n_inputs; i++)
        if (p->inputs[i].class > c)
            c = p->inputs[i].class;
    return c;
}

static int compare_inputs(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static cJSON *inputs_json(struct prov *p)
{
    cJSON *list = cJSON_CreateArray();
    if (p->n_inputs)
        qsort(p->inputs, p->n_inputs, sizeof *p->inputs, compare_inputs);
    for (size_t i = 0; i < p->n_inputs; i++) {
        const struct input *in = &p->inputs[i];
        if (i && strcmp(p->inputs[i - 1].name, in->name) == 0)
            continue; // one file named by two paths
        cJSON *o = cJSON_CreateObject();
        bool good = o && list && cJSON_AddItemToArray(list, o) && cJSON_AddStringToObject(o, "name", in->name) &&
                    (!in->definition || cJSON_AddStringToObject(o, "definition", in->definition));
        cJSON *digest = good ? cJSON_AddObjectToObject(o, "digest") : NULL;
        if (!digest || !cJSON_AddStringToObject(digest, "sha256", in->hex))
            p->failed = true;
    }
    return list;
}

static cJSON *recipe_json(struct prov *p)
{
    cJSON *r = cJSON_CreateObject();
    cJSON *sources = cJSON_CreateObject();
    put_text(p, sources, "engine", build_info()->engine);
    put_text(p, sources, "tools", build_info()->tools);
    put_text(p, r, "tool", p->tool);
    put(p, r, "sources", sources);
    if (p->has_seed)
        put(p, r, "seed", cJSON_CreateNumber((double)p->seed));
    put(p, r, "parameters", cJSON_Duplicate(p->params, 1));
    put(p, r, "inputs", inputs_json(p));
    return r;
}

static cJSON *run_json(struct prov *p)
{
    char finished[TIME_B];
    now_text(finished);
    cJSON *r = cJSON_CreateObject();
    put_text(p, r, "sourceCommit", build_info()->commit);
    put(p, r, "dirty", cJSON_CreateBool(build_info()->dirty));
    put_text(p, r, "startedOn", p->started);
    put_text(p, r, "finishedOn", finished);
    put(p, r, "options", cJSON_Duplicate(p->options, 1));
    uint8_t d[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    if (!digest_file("/proc/self/exe", d, NULL)) { // nowhere else than Linux; then the member is absent
        digest_hex(d, hex);
        put_text(p, r, "toolSha256", hex);
    }
    return r;
}

static enum status build(struct prov *p, const struct schema *schema, cJSON *doc, const char *name,
                         const uint8_t payload[DIGEST_B], struct err *err)
{
    char hex[DIGEST_HEX_LEN + 1];
    cJSON *subject = cJSON_CreateObject();
    cJSON *digest = cJSON_CreateObject();
    digest_hex(payload, hex);
    put_text(p, digest, "sha256", hex);
    put_text(p, subject, "name", name);
    put(p, subject, "digest", digest);
    cJSON *subjects = cJSON_AddArrayToObject(doc, "subject");
    if (!subjects || !cJSON_AddItemToArray(subjects, subject)) {
        cJSON_Delete(subject);
        p->failed = true;
    }
    put_text(p, doc, "_type", PROV_STATEMENT_TYPE);
    put_text(p, doc, "predicateType", PROV_PREDICATE_TYPE);
    cJSON *pred = cJSON_AddObjectToObject(doc, "predicate");
    cJSON *platform = cJSON_CreateObject();
    cJSON *recipe = recipe_json(p);
    put(p, platform, "numeric", cJSON_Duplicate(p->numeric, 1));
    put(p, platform, "machine", cJSON_Duplicate(p->machine, 1));
    put_text(p, pred, "class", result_class_name(weakest_class(p, schema)));
    put_text(p, pred, "schema", schema->id);
    put_text(p, pred, "numerics", p->numerics);
    enum status s = canon_hex(recipe, hex, err);
    put_text(p, pred, "recipeDigest", hex);
    if (!s)
        s = canon_hex(p->numeric, hex, err);
    put_text(p, pred, "platformDigest", hex);
    put(p, pred, "recipe", recipe);
    put(p, pred, "platform", platform);
    put(p, pred, "run", run_json(p));
    if (!s && p->failed)
        s = err_set(err, ERR_MEMORY, "cannot build the statement of '%s'", name);
    return s;
}

enum status prov_statement(struct prov *p, const struct schema *schema, const char *name,
                           const uint8_t payload[DIGEST_B], struct buf *out, struct err *err)
{
    cJSON *doc = cJSON_CreateObject();
    enum status s = doc ? build(p, schema, doc, name, payload, err) : err_set(err, ERR_MEMORY, "cannot build a statement");
    if (!s)
        s = json_write_canonical(out, doc, err);
    buf_char(out, '\n');
    cJSON_Delete(doc);
    return s ? s : buf_status(out, "statement", err);
}
