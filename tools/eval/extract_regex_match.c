#include <string.h>

#include "base/utf8.h"
#include "eval/extract_regex.h"
#include "eval/extract_regex_internal.h"

/* The matcher: backtracking with explicit continuations. A repeat of one character is a loop, so the
 * C stack grows with the pattern, not with the text; a repeated group does recurse and is bounded. */

enum { MAX_DEPTH = 4000, MAX_STEPS = 50 * 1000 * 1000 };

enum cont_kind { CONT_GROUP, CONT_REPEAT, CONT_STOP };

/* What to do when a sequence ends. Lives on the C stack of the caller that pushed it. */
struct cont {
    enum cont_kind kind;
    const struct node *node; /* the group or repeat that is being finished */
    size_t start;            /* GROUP: where it began; REPEAT: where this round began */
    size_t count;            /* REPEAT: rounds done, this one included */
    const struct cont *up;
};

struct run {
    const struct regex *re;
    const char *text;
    size_t n;
    size_t start;   /* of this attempt */
    size_t barred;  /* an empty match here is not taken (REGEX_UNSET: anywhere is fine) */
    size_t end;
    size_t steps;
    size_t depth;
    bool exhausted;
    struct regex_match *m;
};

static bool walk(struct run *r, const struct node *nd, size_t at, const struct cont *k);

static uint32_t fold(uint32_t cp)
{
    return cp >= 'A' && cp <= 'Z' ? cp + ('a' - 'A') : cp;
}

static bool in_ranges(const struct node *nd, uint32_t cp)
{
    for (size_t i = 0; i < nd->n_ranges; i++)
        if (cp >= nd->ranges[i].lo && cp <= nd->ranges[i].hi)
            return true;
    return false;
}

/* Bytes that a one-character node takes at `at`, or 0. */
static size_t take_one(const struct run *r, const struct node *nd, size_t at)
{
    uint32_t cp;
    if (at >= r->n)
        return 0;
    size_t len = utf8_decode((const uint8_t *)r->text + at, r->n - at, &cp);
    if (!len)
        return 0;
    bool ok = false;
    if (nd->kind == NODE_ANY) {
        ok = r->re->dot_all || cp != '\n';
    } else if (nd->kind == NODE_CHAR) {
        ok = cp == nd->cp || (r->re->ignore_case && fold(cp) == fold(nd->cp));
    } else if (nd->kind == NODE_CLASS) {
        ok = in_ranges(nd, cp);
        if (!ok && r->re->ignore_case && cp < 128) {
            uint32_t low = fold(cp);
            ok = in_ranges(nd, low) || (low >= 'a' && low <= 'z' && in_ranges(nd, low - ('a' - 'A')));
        }
        ok = ok != nd->negated;
    }
    return ok ? len : 0;
}

static bool is_single(const struct node *nd)
{
    return nd->kind == NODE_CHAR || nd->kind == NODE_ANY || nd->kind == NODE_CLASS;
}

static bool spend(struct run *r)
{
    if (++r->steps > MAX_STEPS || r->depth > MAX_DEPTH)
        r->exhausted = true;
    return !r->exhausted;
}

/* x* x+ x? of one character: as many as allowed, then back off (or forward, when lazy). */
static bool repeat_single(struct run *r, const struct node *nd, size_t at, const struct cont *k)
{
    size_t count = 0;
    size_t len;
    while (count < nd->min) {
        if (!(len = take_one(r, nd->child, at)))
            return false;
        at += len;
        count++;
    }
    if (nd->lazy) {
        for (;;) {
            if (walk(r, nd->next, at, k))
                return true;
            if (r->exhausted || count >= nd->max || !(len = take_one(r, nd->child, at)))
                return false;
            at += len;
            count++;
        }
    }
    size_t floor = at;
    while (count < nd->max && (len = take_one(r, nd->child, at))) {
        at += len;
        count++;
        if (!spend(r))
            return false;
    }
    for (;;) {
        if (walk(r, nd->next, at, k))
            return true;
        if (r->exhausted || at == floor)
            return false;
        do
            at--;
        while (((unsigned char)r->text[at] & 0xC0) == 0x80);
    }
}

/* One more round of a repeated group, or on to what follows it, in the order that greed decides. */
static bool repeat_group(struct run *r, const struct node *nd, size_t at, size_t count, const struct cont *k)
{
    struct cont round = {.kind = CONT_REPEAT, .node = nd, .start = at, .count = count + 1, .up = k};
    if (count < nd->min)
        return walk(r, nd->child, at, &round);
    if (nd->lazy)
        return walk(r, nd->next, at, k) || (count < nd->max && walk(r, nd->child, at, &round));
    return (count < nd->max && walk(r, nd->child, at, &round)) || walk(r, nd->next, at, k);
}

static bool enter_group(struct run *r, const struct node *nd, size_t at, const struct cont *k)
{
    struct cont done = {.kind = CONT_GROUP, .node = nd, .start = at, .count = 0, .up = k};
    for (const struct alternative *a = nd->alternatives; a; a = a->next)
        if (walk(r, a->first, at, &done))
            return true;
    return false;
}

static bool look(struct run *r, const struct node *nd, size_t at)
{
    struct cont stop = {.kind = CONT_STOP, .node = nd, .start = at, .count = 0, .up = NULL};
    size_t saved_end = r->end;
    struct regex_match saved = *r->m;
    bool hit = false;
    bool room = true;
    if (nd->kind == NODE_BEHIND) {
        for (size_t i = 0; i < nd->width && room; i++) {
            room = at > 0;
            while (room && ((unsigned char)r->text[--at] & 0xC0) == 0x80)
                room = at > 0;
        }
    }
    for (const struct alternative *a = nd->alternatives; room && a && !hit; a = a->next)
        hit = walk(r, a->first, at, &stop);
    r->end = saved_end;
    if (!hit || nd->negated)
        *r->m = saved;
    return hit != nd->negated;
}

static bool finish(struct run *r, size_t at, const struct cont *k)
{
    if (!k && at == r->start && at == r->barred)
        return false;
    if (!k || k->kind == CONT_STOP) {
        r->end = at;
        return true;
    }
    if (k->kind == CONT_REPEAT) {
        if (at == k->start && k->count > k->node->min) // an empty round: going on would never end
            return walk(r, k->node->next, at, k->up);
        return repeat_group(r, k->node, at, k->count, k->up);
    }
    size_t g = k->node->group;
    size_t old_start = r->m->start[g];
    size_t old_end = r->m->end[g];
    if (g) {
        r->m->start[g] = k->start;
        r->m->end[g] = at;
    }
    if (walk(r, k->node->next, at, k->up))
        return true;
    if (g) {
        r->m->start[g] = old_start;
        r->m->end[g] = old_end;
    }
    return false;
}

static bool walk_inner(struct run *r, const struct node *nd, size_t at, const struct cont *k)
{
    for (; nd; nd = nd->next) {
        size_t len;
        switch (nd->kind) {
        case NODE_CHAR:
        case NODE_ANY:
        case NODE_CLASS:
            if (!(len = take_one(r, nd, at)))
                return false;
            at += len;
            break;
        case NODE_START:
            if (at != 0)
                return false;
            break;
        case NODE_END:
            if (at != r->n && !(at + 1 == r->n && r->text[at] == '\n'))
                return false;
            break;
        case NODE_END_STRICT:
            if (at != r->n)
                return false;
            break;
        case NODE_AHEAD:
        case NODE_BEHIND:
            if (!look(r, nd, at))
                return false;
            break;
        case NODE_GROUP:
            return enter_group(r, nd, at, k);
        case NODE_REPEAT:
            return is_single(nd->child) ? repeat_single(r, nd, at, k) : repeat_group(r, nd, at, 0, k);
        }
    }
    return finish(r, at, k);
}

static bool walk(struct run *r, const struct node *nd, size_t at, const struct cont *k)
{
    if (!spend(r))
        return false;
    r->depth++;
    bool ok = walk_inner(r, nd, at, k);
    r->depth--;
    return ok && !r->exhausted;
}

/* A pattern that opens with (?s).* and fails at one place fails at every later one, so it is tried
 * once: what makes `(?s).*#### ` linear on a long text without a mark. */
static bool opens_with_all(const struct regex *re)
{
    const struct node *nd = re->top->first;
    return re->dot_all && !re->top->next && nd && nd->kind == NODE_REPEAT && nd->child->kind == NODE_ANY &&
           nd->min == 0 && nd->max == REGEX_UNSET;
}

enum status regex_search(const struct regex *re, const char *text, size_t n, const struct regex_match *after,
                         bool *found, struct regex_match *m, struct err *err)
{
    size_t from = after ? after->end[0] : 0;
    bool was_empty = after && after->start[0] == after->end[0];
    struct run r = {.re = re, .text = text, .n = n, .barred = was_empty ? from : REGEX_UNSET, .m = m};
    *found = false;
    for (size_t at = from; at <= n && !*found; at++) {
        if (at < n && ((unsigned char)text[at] & 0xC0) == 0x80)
            continue;
        r.start = at;
        for (size_t g = 0; g < REGEX_MAX_GROUPS; g++)
            m->start[g] = m->end[g] = REGEX_UNSET;
        for (const struct alternative *a = re->top; a && !*found; a = a->next)
            *found = walk(&r, a->first, at, NULL);
        if (r.exhausted)
            return err_set(err, ERR_RANGE, "regex \"%.200s\": more than %d steps or %d levels on a text of %zu bytes",
                           re->pattern, MAX_STEPS, MAX_DEPTH, n);
        if (*found) {
            m->start[0] = at;
            m->end[0] = r.end;
        }
        if (opens_with_all(re))
            break;
    }
    return OK;
}
