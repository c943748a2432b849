#include "text/split.h"

#include <stdbool.h>

#include "text/unicode_tables.h"

/* The patterns, hand-coded (format/tokfile_rules.c holds them as written in the files):
 * o200k  prefix? [upper letter mark]* [lower letter mark]+ contraction?
 *      | prefix? [upper letter mark]+ [lower letter mark]* contraction?
 *      | digit{1,3} | ' '? symbol+ [CR LF /]* | blank* [CR LF]+ | blank+ (?!nonblank) | blank+
 * qwen2  contraction | prefix? anyletter+ | digit | ' '? symbol+ [CR LF]* | blanks as above
 * llama3 as qwen2, but digit{1,3}
 * prefix: anything but a letter, a digit, CR, LF; symbol: anything but a letter, a digit, a blank. */

static enum char_class class_of(uint32_t cp)
{
    if (cp >> 7 < UNICODE_PAGES) {
        uint8_t two = unicode_blocks[unicode_pages[cp >> 7]][(cp & 127) / 2];
        return (enum char_class)(cp & 1 ? two >> 4 : two & 15);
    }
    for (size_t i = 0; i < unicode_n_high; i++)
        if (cp >= unicode_high[i].first && cp <= unicode_high[i].last)
            return (enum char_class)unicode_high[i].value;
    return CLASS_OTHER;
}

/* Class of the character at s, valid UTF-8; *len its bytes. */
static enum char_class read_class(const uint8_t *s, size_t *len)
{
    uint32_t b = s[0];
    if (b < 0x80) {
        *len = 1;
        return class_of(b);
    }
    if (b < 0xE0) {
        *len = 2;
        return class_of((b & 0x1F) << 6 | (s[1] & 0x3Fu));
    }
    if (b < 0xF0) {
        *len = 3;
        return class_of((b & 0x0F) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu));
    }
    *len = 4;
    return class_of((b & 0x07) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu));
}

/* Sets of classes as bits. */
enum {
    UPPER = 1 << CLASS_UPPER,
    LOWER = 1 << CLASS_LOWER,
    LETTER = 1 << CLASS_LETTER,
    MARK = 1 << CLASS_MARK,
    DIGIT = 1 << CLASS_DIGIT,
    NEWLINE = 1 << CLASS_NEWLINE,
    SPACES = 1 << CLASS_BLANK | NEWLINE,
    ANY_LETTER = UPPER | LOWER | LETTER,
    SYMBOL = 1 << CLASS_OTHER | MARK
};

static bool in(enum char_class c, unsigned set)
{
    return (1u << c & set) != 0;
}

/* End of the run of characters in set that starts at i. */
static size_t run(const uint8_t *s, size_t n, size_t i, unsigned set)
{
    while (i < n) {
        size_t len;
        if (!in(read_class(s + i, &len), set))
            break;
        i += len;
    }
    return i;
}

/* Length of 's 't 're 've 'm 'll 'd at s, case ignored by Unicode folding (U+017F is an s); else 0. */
static size_t contraction(const uint8_t *s, size_t n)
{
    if (n < 2 || s[0] != '\'')
        return 0;
    uint8_t a = s[1] | 0x20;
    uint8_t b = n > 2 ? s[2] | 0x20 : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    return n > 2 && s[1] == 0xC5 && s[2] == 0xBF ? 3 : 0;
}

/* The two word alternatives of o200k; 0 if neither matches. */
static size_t word_o200k(const uint8_t *s, size_t n, enum char_class first, size_t first_len)
{
    size_t q = in(first, ANY_LETTER | DIGIT | NEWLINE) ? 0 : first_len; // after the optional prefix
    size_t r = q;        // end of the run of upper, letter, mark
    size_t c = 0;        // end of its last letter or mark: where backtracking stops; 0 = none
    size_t end = 0;
    while (r < n) {
        size_t len;
        enum char_class k = read_class(s + r, &len);
        if (!in(k, UPPER | LETTER | MARK))
            break;
        r += len;
        if (k != CLASS_UPPER)
            c = r;
    }
    size_t len;
    if (r < n && read_class(s + r, &len) == CLASS_LOWER)
        end = run(s, n, r, LOWER | LETTER | MARK);
    else if (c)
        end = c; // the upper-case tail starts the next piece
    else if (first == CLASS_MARK)
        end = first_len; // the prefix gives way: the mark itself is the required last letter
    else if (r > q)
        end = r;
    else
        return 0;
    return end + contraction(s + end, n - end);
}

static size_t word_qwen2(const uint8_t *s, size_t n, enum char_class first, size_t first_len)
{
    size_t q = in(first, ANY_LETTER | DIGIT | NEWLINE) ? 0 : first_len;
    size_t r = run(s, n, q, ANY_LETTER);
    return r > q ? r : 0;
}

static size_t blanks(const uint8_t *s, size_t n)
{
    size_t end = 0;
    size_t last = 0;     // where the last character of the run starts
    size_t newline = 0;  // end of its last CR or LF
    while (end < n) {
        size_t len;
        enum char_class k = read_class(s + end, &len);
        if (!in(k, SPACES))
            break;
        last = end;
        end += len;
        if (k == CLASS_NEWLINE)
            newline = end;
    }
    if (newline)
        return newline;
    return end == n || last == 0 ? end : last; // the last blank becomes the prefix of what follows
}

size_t split_next(enum split_rule rule, const uint8_t *s, size_t n)
{
    bool o200k = rule == SPLIT_O200K;
    size_t len;
    enum char_class first = read_class(s, &len);
    size_t end = o200k ? 0 : contraction(s, n);
    if (end)
        return end;
    end = o200k ? word_o200k(s, n, first, len) : word_qwen2(s, n, first, len);
    if (end)
        return end;
    if (first == CLASS_DIGIT) {
        for (int i = 0; i < (rule == SPLIT_QWEN2 ? 1 : 3) && end < n && read_class(s + end, &len) == CLASS_DIGIT; i++)
            end += len;
        return end;
    }
    size_t from = s[0] == ' ' ? 1 : 0;
    end = run(s, n, from, SYMBOL);
    if (end > from) {
        while (end < n && (s[end] == '\r' || s[end] == '\n' || (o200k && s[end] == '/')))
            end++;
        return end;
    }
    return blanks(s, n);
}
