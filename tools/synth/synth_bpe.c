#include "synth/synth_bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { MOST_MERGES = 512, CUT = -1 };

static bool stands_for_itself(unsigned byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

unsigned synth_byte_id(uint8_t byte)
{
    unsigned before_letters = 0, before_others = 0, n_letters = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool letter = stands_for_itself(b);
        n_letters += letter;
        if (b < byte) {
            before_letters += letter;
            before_others += !letter;
        }
    }
    return stands_for_itself(byte) ? before_letters : n_letters + before_others;
}

uint32_t synth_byte_code_point(uint8_t byte)
{
    if (stands_for_itself(byte))
        return byte;
    uint32_t cp = 0x100;
    for (unsigned b = 0; b < byte; b++)
        cp += !stands_for_itself(b);
    return cp;
}

enum kind { LETTER, DIGIT, BLANK, NEWLINE, OTHER };

/* Good for the characters of the corpus, not for Unicode: engine/text has the real classes. */
static enum kind kind_of(uint32_t cp)
{
    if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z'))
        return LETTER;
    if (cp >= '0' && cp <= '9')
        return DIGIT;
    if (cp == '\n')
        return NEWLINE;
    if (cp == ' ')
        return BLANK;
    bool other = cp < 0xC0 || cp == 0xD7 || cp == 0xF7 || (cp >= 0x2000 && cp <= 0x2BFF) ||
                 (cp >= 0x3000 && cp <= 0x303F) || (cp >= 0xFF00 && cp <= 0xFF20) || cp >= 0x1F000;
    return other ? OTHER : LETTER;
}

struct at {
    enum kind kind;
    size_t n; /* bytes; 0 at the end of the text */
};

static struct at look(const char *s, size_t n)
{
    uint32_t cp = 0;
    if (n == 0)
        return (struct at){.kind = OTHER, .n = 0};
    size_t k = utf8_decode((const uint8_t *)s, n, &cp);
    return (struct at){.kind = kind_of(cp), .n = k == 0 ? 1 : k};
}

static size_t run(const char *s, size_t n, enum kind kind, size_t most)
{
    size_t i = 0;
    for (struct at a = look(s, n); most > 0 && a.n > 0 && a.kind == kind; a = look(s + i, n - i), most--)
        i += a.n;
    return i;
}

/* Length of the first stretch of s[0..n), n >= 1. */
static size_t stretch(const char *s, size_t n, enum synth_cut cut)
{
    struct at a = look(s, n);
    struct at b = look(s + a.n, n - a.n);
    bool prefix = a.kind == BLANK || (a.kind == OTHER && cut != SYNTH_CUT_SPM);
    if (a.kind == LETTER || (prefix && b.n > 0 && b.kind == LETTER))
        return a.n + run(s + a.n, n - a.n, LETTER, SIZE_MAX);
    if (a.kind == DIGIT)
        return run(s, n, DIGIT, cut == SYNTH_CUT_O200K ? 3 : 1);
    if (a.kind == OTHER || (a.kind == BLANK && b.n > 0 && b.kind == OTHER)) {
        size_t k = a.n + run(s + a.n, n - a.n, OTHER, SIZE_MAX);
        return cut == SYNTH_CUT_SPM ? k : k + run(s + k, n - k, NEWLINE, SIZE_MAX);
    }
    if (a.kind == NEWLINE)
        return cut == SYNTH_CUT_SPM ? a.n : run(s, n, NEWLINE, SIZE_MAX);
    size_t k = run(s, n, BLANK, SIZE_MAX);
    return k > 1 && k < n ? k - 1 : k; // the last blank goes with what follows
}

/* The text as symbols: base ids, CUT between stretches. */
struct symbols {
    int32_t *v;
    size_t n;
};

static enum status join_lines(struct buf *text, const char *const *lines, struct err *err)
{
    for (size_t i = 0; lines[i] != NULL; i++) {
        buf_str(text, lines[i]);
        buf_char(text, '\n');
    }
    return buf_status(text, "training text", err);
}

static enum status add_piece(struct synth_pieces *p, const char *a, size_t na, const char *b, size_t nb,
                             struct err *err)
{
    void *text = NULL;
    enum status st = mem_alloc(&text, na + nb, 1, "vocabulary piece", err);
    if (st != OK)
        return st;
    memcpy(text, a, na);
    if (nb > 0)
        memcpy((char *)text + na, b, nb);
    p->v[p->n++] = (struct synth_piece){.text = text, .n = na + nb, .left_n = na};
    return OK;
}

size_t synth_pieces_find(const struct synth_pieces *p, const char *text, size_t n)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].n == n && memcmp(p->v[i].text, text, n) == 0)
            return i;
    return SIZE_MAX;
}

static enum status add_bytes(struct synth_pieces *p, struct err *err)
{
    enum status st = OK;
    for (unsigned id = 0; st == OK && id < 256; id++)
        for (unsigned b = 0; b < 256; b++)
            if (synth_byte_id((uint8_t)b) == id) {
                char c = (char)(unsigned char)b;
                st = add_piece(p, &c, 1, NULL, 0, err);
                break;
            }
    return st;
}

struct tally {
    uint32_t cp;
    uint32_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->cp > y->cp) - (x->cp < y->cp);
}

/* Characters by falling count, ties by code point; a space is written U+2581. */
static enum status add_characters(struct synth_pieces *p, const struct buf *text, size_t most, struct err *err)
{
    void *v = NULL;
    size_t n = 0;
    enum status st = mem_alloc(&v, text->n, sizeof(struct tally), "character counts", err);
    if (st != OK)
        return st;
    struct tally *t = v;
    for (size_t i = 0; i < text->n;) {
        uint32_t cp = 0;
        i += utf8_decode((const uint8_t *)text->data + i, text->n - i, &cp);
        cp = cp == ' ' ? 0x2581 : cp;
        size_t k = 0;
        while (k < n && t[k].cp != cp)
            k++;
        if (k == n)
            t[n++] = (struct tally){.cp = cp};
        t[k].count++;
    }
    qsort(t, n, sizeof *t, by_count);
    for (size_t i = 0; st == OK && i < n && i < most && t[i].count > 1; i++) {
        uint8_t utf8[4];
        size_t k = utf8_encode(t[i].cp, utf8);
        st = add_piece(p, (const char *)utf8, k, NULL, 0, err);
    }
    mem_free(v);
    return st;
}

static void add_symbols(struct symbols *out, const struct synth_pieces *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        int32_t id = (int32_t)synth_byte_id((uint8_t)s[i]);
        if (p->characters) {
            k = look(s + i, n - i).n;
            size_t found = s[i] == ' ' ? synth_pieces_find(p, "\xE2\x96\x81", 3) : synth_pieces_find(p, s + i, k);
            id = found == SIZE_MAX ? CUT : (int32_t)found;
        }
        out->v[out->n++] = id;
        i += k;
    }
    out->v[out->n++] = CUT;
}

static enum status make_symbols(struct symbols *out, const struct synth_pieces *p, const struct buf *text,
                                enum synth_cut cut, struct err *err)
{
    void *v = NULL;
    enum status st = mem_alloc(&v, 2 * text->n + 1, sizeof *out->v, "training symbols", err); // a cut each, at most
    *out = (struct symbols){.v = v};
    for (size_t i = 0; st == OK && i < text->n;) {
        size_t k = stretch(text->data + i, text->n - i, cut);
        add_symbols(out, p, text->data + i, k);
        i += k;
    }
    return st;
}

struct pair {
    int32_t left, right;
};

/* The most frequent pair whose joined text is not a piece yet; left = CUT when none occurs twice. A
 * text that already is a piece is passed over: two ids for one text would be two tokens. */
static struct pair best_pair(const struct symbols *s, const struct synth_pieces *p, uint32_t *counts, size_t width,
                             struct buf *joined)
{
    memset(counts, 0, width * width * sizeof *counts);
    for (size_t i = 0; i + 1 < s->n; i++)
        if (s->v[i] != CUT && s->v[i + 1] != CUT)
            counts[(size_t)s->v[i] * width + (size_t)s->v[i + 1]]++;
    for (;;) {
        size_t best = 0;
        for (size_t k = 1; k < p->n * width; k++)
            if (counts[k] > counts[best])
                best = k;
        if (counts[best] < 2)
            return (struct pair){CUT, CUT};
        const struct synth_piece *a = &p->v[best / width], *b = &p->v[best % width];
        buf_clear(joined);
        buf_add(joined, a->text, a->n);
        buf_add(joined, b->text, b->n);
        if (joined->failed || synth_pieces_find(p, joined->data, joined->n) == SIZE_MAX)
            return (struct pair){(int32_t)(best / width), (int32_t)(best % width)};
        counts[best] = 0;
    }
}

static void join(struct symbols *s, struct pair pair, int32_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool hit = i + 1 < s->n && s->v[i] == pair.left && s->v[i + 1] == pair.right;
        s->v[n++] = hit ? id : s->v[i];
        i += hit;
    }
    s->n = n;
}

static enum status add_joins(struct synth_pieces *p, struct symbols *s, size_t n_merges, struct err *err)
{
    size_t width = p->n + n_merges;
    void *counts = NULL;
    struct buf joined = BUF_INIT;
    enum status st = mem_alloc(&counts, width * width, sizeof(uint32_t), "pair counts", err);
    for (size_t i = 0; st == OK && i < n_merges; i++) {
        struct pair best = best_pair(s, p, counts, width, &joined);
        st = buf_status(&joined, "joined piece", err);
        if (st != OK || best.left == CUT)
            break;
        struct synth_piece left = p->v[best.left], right = p->v[best.right];
        st = add_piece(p, left.text, left.n, right.text, right.n, err);
        join(s, best, (int32_t)p->n - 1);
    }
    buf_release(&joined);
    mem_free(counts);
    return st;
}

enum status synth_bpe_train(struct synth_pieces *out, enum synth_cut cut, const char *const *lines,
                            size_t max_characters, size_t n_merges, struct err *err)
{
    struct synth_pieces p = {.characters = cut == SYNTH_CUT_SPM};
    struct symbols s = {.v = NULL};
    struct buf text = BUF_INIT;
    void *v = NULL;
    size_t n_most = p.characters ? max_characters : 256;
    n_merges = n_merges < MOST_MERGES ? n_merges : MOST_MERGES;
    enum status st = join_lines(&text, lines, err);
    st = st ? st : mem_alloc(&v, n_most + n_merges, sizeof *p.v, "vocabulary", err);
    p.v = v;
    if (st == OK)
        st = p.characters ? add_characters(&p, &text, n_most, err) : add_bytes(&p, err);
    p.n_base = p.n;
    st = st ? st : make_symbols(&s, &p, &text, cut, err);
    st = st ? st : add_joins(&p, &s, n_merges, err);
    mem_free(s.v);
    buf_release(&text);
    if (st != OK) {
        synth_pieces_release(&p);
        return st;
    }
    *out = p;
    return OK;
}

void synth_pieces_release(struct synth_pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        mem_free(p->v[i].text);
    mem_free(p->v);
    *p = (struct synth_pieces){.v = NULL};
}
