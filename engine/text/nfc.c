#include "text/nfc.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode_tables.h"

enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7 };
enum { L_COUNT = 19, V_COUNT = 21, T_COUNT = 28, S_COUNT = L_COUNT * V_COUNT * T_COUNT };

static const struct unicode_range *range_of(const struct unicode_range *list, size_t n, uint32_t cp)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp < list[mid].first)
            hi = mid;
        else if (cp > list[mid].last)
            lo = mid + 1;
        else
            return &list[mid];
    }
    return NULL;
}

/* Whether the character at s, of *len bytes, may change or join what is before it. */
static bool checks(const char *s, size_t n, size_t *len)
{
    uint32_t cp;
    *len = utf8_decode((const uint8_t *)s, n, &cp);
    return range_of(nfc_checks, nfc_n_checks, cp) != NULL;
}

size_t nfc_find(const char *s, size_t n, size_t from)
{
    enum { FIRST_LEAD = 0xCC }; // of U+0300; no byte of a smaller code point is as large
    for (size_t i = from; i < n;) {
        size_t len = 1;
        if ((unsigned char)s[i] >= FIRST_LEAD && checks(s + i, n - i, &len))
            return i;
        i += len;
    }
    return n;
}

static uint8_t ccc_of(uint32_t cp)
{
    const struct unicode_range *r = cp < 0x300 ? NULL : range_of(nfc_ccc, nfc_n_ccc, cp);
    return r ? r->value : 0;
}

static const struct nfc_pair *decomposition(uint32_t cp)
{
    size_t lo = 0;
    size_t hi = nfc_n_decompositions;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp < nfc_decompositions[mid].whole)
            hi = mid;
        else if (cp > nfc_decompositions[mid].whole)
            lo = mid + 1;
        else
            return &nfc_decompositions[mid];
    }
    return NULL;
}

/* The composition of a pair, or 0. */
static uint32_t compose(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    size_t lo = 0;
    size_t hi = nfc_n_compositions;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct nfc_pair *p = &nfc_compositions[mid];
        if (a < p->a || (a == p->a && b < p->b))
            hi = mid;
        else if (a > p->a || b > p->b)
            lo = mid + 1;
        else
            return p->whole;
    }
    return 0;
}

/* A character with what sorting needs: class in the top 8 bits, place in the run, code point. */
static uint64_t pack(uint8_t ccc, uint32_t place, uint32_t cp)
{
    return (uint64_t)ccc << 56 | (uint64_t)place << 21 | cp;
}

static uint32_t cp_of(uint64_t v)
{
    return (uint32_t)(v & 0x1FFFFF);
}

static uint8_t ccc_part(uint64_t v)
{
    return (uint8_t)(v >> 56);
}

static int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Full canonical decomposition, appended at v[n]; returns the new n. At most 4 code points from one, and
 * never more than 3 a byte pair: v holds 2 n_bytes + 4. */
static size_t decompose(uint64_t *v, size_t n, uint32_t cp)
{
    if (cp >= S_BASE && cp < S_BASE + S_COUNT) {
        uint32_t s = cp - S_BASE;
        v[n] = pack(0, (uint32_t)n, L_BASE + s / (V_COUNT * T_COUNT));
        n++;
        v[n] = pack(0, (uint32_t)n, V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT);
        n++;
        if (s % T_COUNT) {
            v[n] = pack(0, (uint32_t)n, T_BASE + s % T_COUNT);
            n++;
        }
        return n;
    }
    const struct nfc_pair *p = cp < 0xC0 ? NULL : decomposition(cp);
    if (!p) {
        v[n] = pack(ccc_of(cp), (uint32_t)n, cp);
        return n + 1;
    }
    n = decompose(v, n, p->a); // the table is a few levels deep by construction
    return p->b ? decompose(v, n, p->b) : n;
}

/* Sort each run of marks by class, stable: the place in the packed word keeps equals in order. */
static void reorder(uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (ccc_part(v[i]) == 0) {
            i++;
            continue;
        }
        size_t from = i;
        bool sorted = true;
        for (i++; i < n && ccc_part(v[i]); i++)
            sorted = sorted && v[i - 1] < v[i];
        if (!sorted)
            qsort(v + from, i - from, sizeof *v, cmp_u64);
    }
}

/* Join each character with the last starter unless something between blocks it; returns the new n. */
static size_t recompose(uint64_t *v, size_t n)
{
    size_t out = 0;
    size_t starter = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t ccc = ccc_part(v[i]);
        if (starter != SIZE_MAX) {
            // Blocked by a mark of the same or higher class, and for a starter by any mark at all.
            bool next = out == starter + 1;
            bool blocked = !next && (ccc == 0 || ccc_part(v[out - 1]) >= ccc);
            uint32_t whole = blocked ? 0 : compose(cp_of(v[starter]), cp_of(v[i]));
            if (whole) {
                v[starter] = pack(0, 0, whole);
                continue;
            }
        }
        if (ccc == 0)
            starter = out;
        v[out++] = v[i];
    }
    return out;
}

/* A stretch taken apart, sorted and joined; v holds 2 n + 4. */
static void normalise(const char *s, size_t n, uint64_t *v, struct buf *out)
{
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode((const uint8_t *)s + i, n - i, &cp);
        m = decompose(v, m, cp);
    }
    reorder(v, m);
    m = recompose(v, m);
    for (size_t i = 0; i < m; i++) {
        uint8_t u[4];
        buf_add(out, u, utf8_encode(cp_of(v[i]), u));
    }
}

static enum status stretch(const char *s, size_t n, struct buf *out, struct err *err)
{
    enum { SHORT = 64 };
    uint64_t few[2 * SHORT + 4];
    if (n <= SHORT) {
        normalise(s, n, few, out);
        return OK;
    }
    void *p;
    enum status st = mem_alloc(&p, n * 2 + 4, sizeof(uint64_t), "text to normalise", err);
    if (st)
        return st;
    normalise(s, n, p, out);
    mem_free(p);
    return OK;
}

enum status nfc(const char *s, size_t n, struct buf *out, struct err *err)
{
    if (n > (size_t)1 << 30)
        return err_set(err, ERR_RANGE, "cannot normalise %zu bytes: expected at most %zu", n, (size_t)1 << 30);
    enum status st = OK;
    size_t done = 0;
    for (size_t at = nfc_find(s, n, 0); at < n && !st; at = nfc_find(s, n, done)) {
        size_t from = at; // the starter before belongs to it: a mark may join it
        while (from > done && ((unsigned char)s[--from] & 0xC0) == 0x80)
            ;
        size_t to = at;
        size_t len;
        while (to < n && checks(s + to, n - to, &len))
            to += len;
        buf_add(out, s + done, from - done);
        st = stretch(s + from, to - from, out, err);
        done = to;
    }
    buf_add(out, s + done, n - done);
    return st ? st : buf_status(out, "normalised text", err);
}
