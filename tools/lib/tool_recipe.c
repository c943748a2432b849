#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "lib/paths.h"
#include "lib/tool_internal.h"

/* Options into a statement, and back out of one: `TOOL --recipe FILE.prov.json --into DIR` runs what
 * FILE records, so verify needs no knowledge of any tool's options. */

/* Options about this run's surroundings are no part of any record. */
static bool unrecorded(const char *name)
{
    static const char *const names[] = {"root", "statement", "recipe", "into", "quiet", "help", "version", "help-man"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The value of an INPUT option: recorded names in place of paths. Consumes v. */
static enum status input_names(struct tool *t, const char *option, cJSON *v, cJSON **out, struct err *err)
{
    bool list = cJSON_IsArray(v);
    cJSON *result = list ? cJSON_CreateArray() : NULL;
    enum status s = OK;
    for (const cJSON *c = list ? v->child : v; c && !s; c = list ? c->next : NULL) {
        if (!cJSON_IsString(c))
            break;
        const char *name = prov_input_name(t->prov, c->valuestring);
        if (!name) {
            s = err_set(err, ERR_USAGE, "input '%s' of %s was not recorded when the output was written",
                        c->valuestring, option);
            break;
        }
        cJSON *text = cJSON_CreateString(name);
        if (!list) {
            result = text;
        } else if (!text || !cJSON_AddItemToArray(result, text)) {
            cJSON_Delete(text);
            s = err_set(err, ERR_MEMORY, "cannot record %s", option);
        }
    }
    cJSON_Delete(v);
    if (s)
        cJSON_Delete(result);
    else
        *out = result ? result : cJSON_CreateNull();
    return s;
}

/* A path of a RUN or OUTPUT option must not leave this machine: its base name stays. */
static void strip_path(cJSON *v)
{
    if (cJSON_IsString(v) && strchr(v->valuestring, '/'))
        (void)cJSON_SetValuestring(v, path_base(v->valuestring));
}

static enum status record(struct tool *t, const struct cli_option *o, struct err *err)
{
    char label[96];
    (void)snprintf(label, sizeof label, "--%s", o->name);
    cJSON *v = cli_value(t->cli, o);
    if (!v)
        return err_set(err, ERR_MEMORY, "cannot record %s", label);
    enum status s = OK;
    switch (o->role) {
    case CLI_INPUT:
        s = input_names(t, label, v, &v, err);
        if (s)
            return s;
        prov_param(t->prov, o->name, v);
        break;
    case CLI_RECIPE:
        prov_param(t->prov, o->name, v);
        break;
    case CLI_RUN:
    case CLI_OUTPUT:
        strip_path(v);
        prov_run_option(t->prov, o->name, v);
        break;
    }
    return s;
}

enum status tool_record_options(struct tool *t, struct err *err)
{
    enum status s = OK;
    const struct cli_option *o;
    for (size_t i = 0; !s && (o = cli_at(t->cli, i, NULL)); i++) {
        if (unrecorded(o->name))
            continue;
        if (strcmp(o->name, "seed") == 0)
            prov_seed(t->prov, tool_seed(t));
        else
            s = record(t, o, err);
    }
    struct cli_texts operands = cli_operands(t->cli);
    if (s || operands.n == 0)
        return s;
    cJSON *list = cJSON_CreateStringArray(operands.items, (int)operands.n);
    if (list && t->def->operands_are_inputs)
        s = input_names(t, "the operands", list, &list, err);
    if (!s)
        prov_param(t->prov, "operands", list);
    return s;
}

/* Text of a JSON scalar as it would be typed. */
static enum status typed(const cJSON *v, const char *name, struct buf *out, struct err *err)
{
    char number[NUM_TEXT_B];
    if (cJSON_IsString(v)) {
        buf_str(out, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        num_format_f64(v->valuedouble, number);
        buf_str(out, number);
    } else {
        return err_set(err, ERR_FORMAT, "recipe: parameter '%.64s' has a type no option has", name);
    }
    return buf_status(out, "text", err);
}

/* Like typed, with an input's recorded name turned back into a path. */
static enum status value_text(struct tool *t, const cJSON *v, bool input, const char *name, struct buf *out,
                              struct err *err)
{
    if (input && cJSON_IsString(v))
        return path_resolve(v->valuestring, t->common.root, out, err);
    return typed(v, name, out, err);
}

static enum status apply(struct tool *t, const struct cli_option *o, const cJSON *v, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = OK;
    bool many = o->kind == CLI_KIND_TEXTS;
    if (cJSON_IsNull(v) || cJSON_IsFalse(v)) {
        return OK;
    } else if (cJSON_IsTrue(v)) {
        s = cli_set(t->cli, o->name, "", err);
    } else if (cJSON_IsArray(v)) {
        const cJSON *c;
        cJSON_ArrayForEach(c, v)
        {
            if (s)
                break;
            if (many)
                buf_clear(&text);
            else if (text.n)
                buf_char(&text, ',');
            s = many ? value_text(t, c, o->role == CLI_INPUT, o->name, &text, err) : typed(c, o->name, &text, err);
            if (!s && many)
                s = cli_set(t->cli, o->name, text.data, err);
        }
        if (!s && !many && text.n)
            s = cli_set(t->cli, o->name, text.data, err);
    } else {
        s = value_text(t, v, o->role == CLI_INPUT, o->name, &text, err);
        if (!s)
            s = cli_set(t->cli, o->name, text.data, err);
    }
    buf_release(&text);
    return s;
}

static enum status apply_parameters(struct tool *t, const cJSON *params, struct err *err)
{
    enum status s = OK;
    const cJSON *v;
    cJSON_ArrayForEach(v, params)
    {
        if (s)
            return s;
        if (strcmp(v->string, "operands") == 0) {
            const cJSON *c;
            cJSON_ArrayForEach(c, v)
            {
                struct buf text = BUF_INIT;
                s = value_text(t, c, t->def->operands_are_inputs, "operands", &text, err);
                if (!s)
                    cli_add_operand(t->cli, text.data);
                buf_release(&text);
                if (s)
                    return s;
            }
            continue;
        }
        const struct cli_option *o = cli_find(t->cli, v->string);
        if (!o)
            return err_set(err, ERR_FORMAT, "recipe: %s has no option '--%.64s'", t->program, v->string);
        if (!cli_given(t->cli, v->string))
            s = apply(t, o, v, err);
    }
    return s;
}

/* Output options, under the directory of --into. */
static enum status apply_outputs(struct tool *t, const cJSON *options, struct err *err)
{
    const cJSON *v;
    enum status s = OK;
    cJSON_ArrayForEach(v, options)
    {
        const struct cli_option *o = cli_find(t->cli, v->string);
        if (s || !o || o->role != CLI_OUTPUT || !cJSON_IsString(v) || cli_given(t->cli, v->string))
            continue;
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", t->common.into, path_base(v->valuestring));
        s = buf_status(&path, "path", err);
        if (!s)
            s = cli_set(t->cli, v->string, path.data, err);
        buf_release(&path);
    }
    return s;
}

enum status tool_apply_recipe(struct tool *t, struct err *err)
{
    cJSON *doc = NULL;
    const char *path = t->common.recipe;
    const char *tool = "";
    int64_t seed = 0;
    enum status s = json_read_file(&doc, path, err);
    const cJSON *predicate = s ? NULL : json_get(doc, "predicate");
    const cJSON *recipe = json_get(predicate, "recipe");
    if (!s)
        s = json_get_str(recipe, "tool", path, &tool, err);
    if (!s && strcmp(tool, t->program) != 0)
        s = err_set(err, ERR_USAGE, "'%s' is a recipe of %.64s, not of %s", path, tool, t->program);
    if (!s)
        s = apply_parameters(t, json_get(recipe, "parameters"), err);
    if (!s && json_get(recipe, "seed") && cli_find(t->cli, "seed") && !cli_given(t->cli, "seed")) {
        s = json_get_i64(recipe, "seed", 0, 9007199254740991, path, &seed, err);
        t->common.seed = seed;
    }
    if (!s && t->common.into)
        s = apply_outputs(t, json_get(json_get(predicate, "run"), "options"), err);
    cJSON_Delete(doc);
    return s;
}
