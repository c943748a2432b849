#include "eval/extract_regex.h"

#include <string.h>

#include "base/utf8.h"
#include "eval/extract_regex_internal.h"
#include "lib/extract_text.h"

/* The compiler: recursive descent over the pattern, nodes in the regex's own arena. */

enum { MAX_NEST = 32, MAX_REPEAT = 1000, MAX_PATTERN_B = 4096 };

struct parser {
    struct regex *re;
    const char *text;
    size_t n;
    size_t at;
    size_t depth;
    struct err *err;
};

static enum status bad(const struct parser *p, enum status s, const char *expected)
{
    return err_set(p->err, s, "regex \"%.200s\" at %zu: expected %s", p->text, p->at, expected);
}

static int peek(const struct parser *p)
{
    return p->at < p->n ? (unsigned char)p->text[p->at] : -1;
}

static bool take(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    if (p->n - p->at < len || memcmp(p->text + p->at, word, len) != 0)
        return false;
    p->at += len;
    return true;
}

static enum status new_node(struct parser *p, enum node_kind kind, struct node **out)
{
    void *v;
    enum status s = arena_alloc(p->re->arena, &v, 1, sizeof(struct node), p->err);
    if (s)
        return s;
    *out = v;
    (*out)->kind = kind;
    return OK;
}

static enum status take_cp(struct parser *p, uint32_t *cp)
{
    size_t len = utf8_decode((const uint8_t *)p->text + p->at, p->n - p->at, cp);
    if (!len)
        return bad(p, ERR_FORMAT, "valid UTF-8");
    p->at += len;
    return OK;
}

/* The Unicode white space that \s stands for. */
static const struct range space_ranges[] = {
    {0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};
enum { N_SPACE_RANGES = sizeof space_ranges / sizeof space_ranges[0] };

/* After a backslash: a code point, or 's'/'S' through *set. */
static enum status parse_escape(struct parser *p, uint32_t *cp, int *set)
{
    const char *letters = "ntrfv";
    const char *values = "\n\t\r\f\v";
    int c = peek(p);
    *set = 0;
    if (c < 0)
        return bad(p, ERR_FORMAT, "a character after the backslash");
    const char *hit = strchr(letters, c);
    if (hit) {
        *cp = (uint32_t)values[hit - letters];
    } else if (c == 's' || c == 'S') {
        *set = c;
    } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        return bad(p, ERR_UNSUPPORTED, "\\n \\t \\r \\f \\v \\s \\S or escaped punctuation");
    } else {
        return take_cp(p, cp);
    }
    p->at++;
    return OK;
}

static enum status parse_class(struct parser *p, struct node **out)
{
    struct node *nd;
    enum status s = new_node(p, NODE_CLASS, &nd);
    if (s)
        return s;
    void *v;
    // every member takes at least one byte of the pattern, and \s takes two bytes for its ten ranges
    if ((s = arena_alloc(p->re->arena, &v, (p->n - p->at) * N_SPACE_RANGES, sizeof(struct range), p->err)))
        return s;
    nd->ranges = v;
    nd->negated = take(p, "^");
    for (bool first = true;; first = false) {
        uint32_t lo;
        uint32_t hi;
        int set = 0;
        if (peek(p) < 0)
            return bad(p, ERR_FORMAT, "the ']' of a class");
        if (!first && take(p, "]"))
            break;
        if (take(p, "\\"))
            s = parse_escape(p, &lo, &set);
        else
            s = take_cp(p, &lo);
        if (s)
            return s;
        if (set == 'S')
            return bad(p, ERR_UNSUPPORTED, "no \\S inside a class");
        if (set) {
            memcpy(nd->ranges + nd->n_ranges, space_ranges, sizeof space_ranges);
            nd->n_ranges += N_SPACE_RANGES;
            continue;
        }
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            if (take(p, "\\"))
                s = parse_escape(p, &hi, &set);
            else
                s = take_cp(p, &hi);
            if (s)
                return s;
            if (set || hi < lo)
                return bad(p, ERR_FORMAT, "a range that goes up");
        }
        nd->ranges[nd->n_ranges++] = (struct range){.lo = lo, .hi = hi};
    }
    *out = nd;
    return OK;
}

static enum status parse_alternatives(struct parser *p, struct alternative **out);

/* Width in code points of a sequence that always takes the same number, else REGEX_UNSET. */
static size_t fixed_width(const struct alternative *a);

static size_t node_width(const struct node *nd)
{
    switch (nd->kind) {
    case NODE_CHAR:
    case NODE_ANY:
    case NODE_CLASS:
        return 1;
    case NODE_START:
    case NODE_END:
    case NODE_END_STRICT:
    case NODE_AHEAD:
    case NODE_BEHIND:
        return 0;
    case NODE_GROUP:
        return fixed_width(nd->alternatives);
    case NODE_REPEAT: {
        size_t w = node_width(nd->child);
        return w == REGEX_UNSET || nd->min != nd->max ? REGEX_UNSET : w * nd->min;
    }
    }
    return REGEX_UNSET;
}

static size_t fixed_width(const struct alternative *a)
{
    size_t width = REGEX_UNSET;
    for (bool first = true; a; a = a->next, first = false) {
        size_t w = 0;
        for (const struct node *nd = a->first; nd; nd = nd->next) {
            size_t one = node_width(nd);
            if (one == REGEX_UNSET)
                return REGEX_UNSET;
            w += one;
        }
        if (!first && w != width)
            return REGEX_UNSET;
        width = w;
    }
    return width;
}

static enum status parse_group(struct parser *p, struct node **out)
{
    enum node_kind kind = NODE_GROUP;
    bool negated = false;
    bool captures = false;
    if (take(p, "?:")) {
    } else if (take(p, "?=")) {
        kind = NODE_AHEAD;
    } else if (take(p, "?!")) {
        kind = NODE_AHEAD;
        negated = true;
    } else if (take(p, "?<=")) {
        kind = NODE_BEHIND;
    } else if (take(p, "?<!")) {
        kind = NODE_BEHIND;
        negated = true;
    } else if (peek(p) == '?') {
        return bad(p, ERR_UNSUPPORTED, "(?: (?= (?! (?<= or (?<!");
    } else {
        captures = true;
    }
    struct node *nd;
    enum status s = new_node(p, kind, &nd);
    if (s)
        return s;
    nd->negated = negated;
    if (captures) {
        if (p->re->n_groups + 1 >= REGEX_MAX_GROUPS)
            return bad(p, ERR_UNSUPPORTED, "fewer than 16 groups");
        nd->group = ++p->re->n_groups;
    }
    if (++p->depth > MAX_NEST)
        return bad(p, ERR_RANGE, "at most 32 nested groups");
    if ((s = parse_alternatives(p, &nd->alternatives)))
        return s;
    p->depth--;
    if (!take(p, ")"))
        return bad(p, ERR_FORMAT, "')'");
    if (kind == NODE_BEHIND && (nd->width = fixed_width(nd->alternatives)) == REGEX_UNSET)
        return bad(p, ERR_FORMAT, "a look-behind of one fixed width");
    *out = nd;
    return OK;
}

static enum status parse_atom(struct parser *p, struct node **out)
{
    struct node *nd = NULL;
    enum status s = OK;
    int set = 0;
    uint32_t cp = 0;
    if (take(p, "("))
        return parse_group(p, out);
    if (take(p, "["))
        return parse_class(p, out);
    if (take(p, "."))
        return new_node(p, NODE_ANY, out);
    if (take(p, "^") || take(p, "\\A"))
        return new_node(p, NODE_START, out);
    if (take(p, "$"))
        return new_node(p, NODE_END, out);
    if (take(p, "\\Z"))
        return new_node(p, NODE_END_STRICT, out);
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?')
        return bad(p, ERR_FORMAT, "something to repeat");
    if (take(p, "\\"))
        s = parse_escape(p, &cp, &set);
    else
        s = take_cp(p, &cp);
    if (s || (s = new_node(p, set ? NODE_CLASS : NODE_CHAR, &nd)))
        return s;
    nd->cp = cp;
    if (set) {
        void *v;
        if ((s = arena_alloc(p->re->arena, &v, N_SPACE_RANGES, sizeof(struct range), p->err)))
            return s;
        memcpy(v, space_ranges, sizeof space_ranges);
        nd->ranges = v;
        nd->n_ranges = N_SPACE_RANGES;
        nd->negated = set == 'S';
    }
    *out = nd;
    return OK;
}

static bool take_count(struct parser *p, size_t *out)
{
    size_t v = 0;
    size_t from = p->at;
    while (peek(p) >= '0' && peek(p) <= '9' && v <= MAX_REPEAT)
        v = v * 10 + (size_t)(p->text[p->at++] - '0');
    *out = v;
    return p->at > from;
}

/* {m} {m,} {,n} {m,n}; anything else after '{' is a literal brace, as in Python. */
static enum status parse_braces(struct parser *p, size_t *min, size_t *max, bool *is_repeat)
{
    size_t from = p->at++;
    bool has_min = take_count(p, min);
    bool comma = take(p, ",");
    bool has_max = comma && take_count(p, max);
    *is_repeat = (has_min || has_max) && take(p, "}");
    if (!*is_repeat) {
        p->at = from;
        return OK;
    }
    if (!comma)
        *max = *min;
    else if (!has_max)
        *max = REGEX_UNSET;
    if (*min > MAX_REPEAT || (*max > MAX_REPEAT && *max != REGEX_UNSET) || *max < *min)
        return bad(p, ERR_FORMAT, "a repeat count of at most 1000 that goes up");
    return OK;
}

static enum status parse_repeat(struct parser *p, struct node *atom, struct node **out)
{
    size_t min = 0;
    size_t max = REGEX_UNSET;
    bool is_repeat = true;
    enum status s;
    *out = atom;
    if (take(p, "*")) {
    } else if (take(p, "+")) {
        min = 1;
    } else if (take(p, "?")) {
        max = 1;
    } else if (peek(p) == '{') {
        if ((s = parse_braces(p, &min, &max, &is_repeat)))
            return s;
    } else {
        is_repeat = false;
    }
    if (!is_repeat)
        return OK;
    if ((s = new_node(p, NODE_REPEAT, out)))
        return s;
    (*out)->child = atom;
    (*out)->min = min;
    (*out)->max = max;
    (*out)->lazy = take(p, "?");
    if (peek(p) == '*' || peek(p) == '+')
        return bad(p, ERR_FORMAT, "one repeat, not two");
    return OK;
}

static enum status parse_sequence(struct parser *p, struct node **first)
{
    struct node **tail = first;
    while (peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        struct node *nd = NULL;
        enum status s = parse_atom(p, &nd);
        if (s || (s = parse_repeat(p, nd, &nd)))
            return s;
        *tail = nd;
        tail = &nd->next;
    }
    return OK;
}

static enum status parse_alternatives(struct parser *p, struct alternative **out)
{
    struct alternative **tail = out;
    do {
        void *v;
        enum status s = arena_alloc(p->re->arena, &v, 1, sizeof(struct alternative), p->err);
        if (s)
            return s;
        *tail = v;
        if ((s = parse_sequence(p, &(*tail)->first)))
            return s;
        tail = &(*tail)->next;
    } while (take(p, "|"));
    return OK;
}

enum status regex_new(struct regex **out, const char *pattern, struct err *err)
{
    struct arena *arena = NULL;
    void *v;
    char *copy;
    size_t n = strlen(pattern);
    if (n > MAX_PATTERN_B)
        return err_set(err, ERR_RANGE, "regex of %zu bytes: expected at most %d", n, MAX_PATTERN_B);
    enum status s = arena_new(&arena, 4096, err);
    if (s)
        return s;
    if ((s = arena_alloc(arena, &v, 1, sizeof(struct regex), err)) ||
        (s = arena_strndup(arena, &copy, pattern, n, err)))
        goto fail;
    struct regex *re = v;
    re->arena = arena;
    re->pattern = copy;
    struct parser p = {.re = re, .text = copy, .n = n, .at = 0, .depth = 0, .err = err};
    if (take(&p, "(?s)"))
        re->dot_all = true;
    else if (take(&p, "(?i)"))
        re->ignore_case = true;
    else if (take(&p, "(?si)") || take(&p, "(?is)"))
        re->dot_all = re->ignore_case = true;
    if ((s = parse_alternatives(&p, &re->top)))
        goto fail;
    if (p.at != n) {
        s = bad(&p, ERR_FORMAT, "no ')' without its '('");
        goto fail;
    }
    *out = re;
    return OK;
fail:
    arena_free(arena);
    return s;
}

void regex_free(struct regex *r)
{
    if (r)
        arena_free(r->arena);
}

size_t regex_n_groups(const struct regex *r)
{
    return r->n_groups;
}
