#include "figure/figure_query.h"

#include <string.h>

/* A cursor over the words of a query. */
struct words {
    const char *at;
    const char *where;
    struct arena *a;
};

/* The next word, unquoted; NULL at the end. Quotes may stand inside a word: level="a b". */
static enum status next_word(struct words *w, const char **out, struct err *err)
{
    while (*w->at == ' ' || *w->at == '\t')
        w->at++;
    *out = NULL;
    if (!*w->at)
        return OK;
    char *word = NULL;
    enum status st = arena_strndup(w->a, &word, w->at, strlen(w->at), err);
    if (st)
        return st;
    size_t n = 0;
    bool quoted = false;
    for (; *w->at && (quoted || (*w->at != ' ' && *w->at != '\t')); w->at++) {
        if (*w->at == '"')
            quoted = !quoted;
        else
            word[n++] = *w->at;
    }
    word[n] = '\0';
    if (quoted)
        return err_set(err, ERR_FORMAT, "%s: a double quote is not closed", w->where);
    *out = word;
    return OK;
}

static bool is_keyword(const char *word)
{
    static const char *const all[] = {"by", "key", "from", "with", "where", "take"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(word, all[i]) == 0)
            return true;
    return false;
}

/* Append word to a list that is sized for the whole text beforehand. */
static enum status list_new(const char ***list, size_t cap, struct arena *a, struct err *err)
{
    void *mem = NULL;
    enum status st = arena_alloc(a, &mem, cap, sizeof(char *), err);
    *list = mem;
    return st;
}

static enum status parse_term(struct query_term *t, char *word, struct words *w, struct err *err)
{
    char *eq = strchr(word, '=');
    if (!eq || eq == word || (eq == word + 1 && *word == '!'))
        return err_set(err, ERR_FORMAT, "%s: expected COL=VALUE or COL!=VALUE, found '%s'", w->where, word);
    t->differs = eq[-1] == '!';
    eq[t->differs ? -1 : 0] = '\0';
    t->col = word;
    char *v = eq + 1;
    if (strcmp(v, "@min") == 0 || strcmp(v, "@max") == 0) {
        if (t->differs)
            return err_set(err, ERR_FORMAT, "%s: %s!=%s has no meaning", w->where, word, v);
        t->extreme = v[2] == 'i' ? -1 : 1;
        return OK;
    }
    enum status st = list_new(&t->value, strlen(v) + 1, w->a, err);
    if (st)
        return st;
    for (char *bar = NULL;; v = bar + 1) {
        bar = strchr(v, '|');
        if (bar)
            *bar = '\0';
        t->value[t->n_values++] = v;
        if (!bar)
            return OK;
    }
}

static enum status parse_clause(struct query_clause *c, struct words *w, size_t cap, const char **word,
                                struct err *err)
{
    void *terms = NULL;
    enum status st = arena_alloc(w->a, &terms, cap, sizeof(struct query_term), err);
    c->term = terms;
    if (!st)
        st = list_new(&c->take, cap, w->a, err);
    c->optional = strcmp(*word, "with") == 0;
    if (!st)
        st = next_word(w, &c->table, err);
    if (!st && !c->table)
        st = err_set(err, ERR_FORMAT, "%s: expected an input after '%s', found the end", w->where, *word);
    if (!st)
        st = next_word(w, word, err);
    if (!st && *word && strcmp(*word, "where") == 0) {
        while (!(st = next_word(w, word, err)) && *word && !is_keyword(*word)) {
            char *copy = NULL;
            st = arena_strndup(w->a, &copy, *word, strlen(*word), err);
            if (!st)
                st = parse_term(&c->term[c->n_terms++], copy, w, err);
            if (st)
                return st;
        }
    }
    if (st)
        return st;
    if (!*word || strcmp(*word, "take") != 0)
        return err_set(err, ERR_FORMAT, "%s: expected 'take', found '%s'", w->where,
                       *word ? *word : "the end");
    while (!(st = next_word(w, word, err)) && *word && !is_keyword(*word))
        c->take[c->n_take++] = *word;
    if (!st && !c->n_take)
        st = err_set(err, ERR_FORMAT, "%s: expected a column after 'take'", w->where);
    return st;
}

static enum status parse_keys(struct query *q, struct words *w, const char **word, struct err *err)
{
    enum status st = OK;
    if (*word && strcmp(*word, "by") == 0) {
        st = next_word(w, &q->key[0], err);
        if (!st && (!q->key[0] || is_keyword(q->key[0])))
            st = err_set(err, ERR_FORMAT, "%s: expected a column after 'by'", w->where);
        if (st)
            return st;
        q->by = true;
        q->n_keys = 1;
        st = next_word(w, word, err);
    }
    if (!st && *word && strcmp(*word, "key") == 0) {
        while (!(st = next_word(w, word, err)) && *word && !is_keyword(*word)) {
            if (strcmp(*word, "*") == 0)
                q->keyless = true;
            else
                q->key[q->n_keys++] = *word;
        }
    }
    return st;
}

enum status query_parse(struct query *q, const char *text, const char *where, struct arena *a,
                        struct err *err)
{
    struct words w = {.at = text, .where = where, .a = a};
    const char *word = NULL;
    size_t cap = strlen(text) + 1; // no list is longer than the text has characters
    void *clauses = NULL;

    *q = (struct query){0};
    enum status st = arena_alloc(a, &clauses, cap / 5 + 1, sizeof(struct query_clause), err);
    q->clause = clauses;
    if (!st)
        st = list_new(&q->key, cap, a, err);
    if (!st)
        st = next_word(&w, &q->name, err);
    if (!st && (!q->name || is_keyword(q->name)))
        st = err_set(err, ERR_FORMAT, "%s: expected a name first", where);
    if (!st)
        st = next_word(&w, &word, err);
    if (!st)
        st = parse_keys(q, &w, &word, err);
    while (!st && word) {
        if (strcmp(word, "from") != 0 && strcmp(word, "with") != 0)
            return err_set(err, ERR_FORMAT, "%s: expected 'from' or 'with', found '%s'", where, word);
        st = parse_clause(&q->clause[q->n_clauses++], &w, cap, &word, err);
    }
    if (st)
        return st;
    if (!q->n_clauses || q->clause[0].optional)
        return err_set(err, ERR_FORMAT, "%s: expected 'from INPUT ... take COL'", where);
    if (q->keyless && (q->n_clauses > 1 || q->n_keys > (q->by ? 1U : 0U)))
        return err_set(err, ERR_FORMAT, "%s: 'key *' takes one 'from' and no other key", where);
    return OK;
}
