#ifndef ASSAY_EVAL_EXTRACT_REGEX_H
#define ASSAY_EVAL_EXTRACT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Regular expressions with the meaning of Python's `re` on str, so that a task file can carry the very
 * pattern its score is defined by. POSIX regcomp finds the longest match and is not equivalent; a
 * pattern means one thing here on every machine because nothing depends on a library's version.
 *
 * Leftmost match, first alternative that fits, backtracking. Taken: literals, `.`, [classes] with
 * ranges and ^, (groups), (?:groups), |, * + ? {m} {m,} {m,n} and their lazy forms, ^ $, \A \Z, \s \S,
 * \n \t \r \f \v, escaped punctuation, (?=..) (?!..), (?<=..) (?<!..) of one fixed width, and a
 * leading (?s), (?i) or (?si). `.` stops at \n unless (?s); `$` also matches before a final \n; \s is
 * Unicode white space; (?i) folds ASCII letters only. Everything else (\d \w \b, back references) is
 * ERR_UNSUPPORTED rather than almost right. Positions are bytes of valid UTF-8. */
struct regex;

enum { REGEX_MAX_GROUPS = 16 };
#define REGEX_UNSET ((size_t)-1)

struct regex_match {
    size_t start[REGEX_MAX_GROUPS]; /* [0] is the whole match; REGEX_UNSET for a group that took no part */
    size_t end[REGEX_MAX_GROUPS];
};

/* regex_new - compile. ERR_FORMAT with pattern, offset and what was expected; ERR_UNSUPPORTED;
 * ERR_MEMORY. The caller frees. */
enum status regex_new(struct regex **out, const char *pattern, struct err *err);
void regex_free(struct regex *r); /* NULL is fine */

/* regex_n_groups - capturing groups, the whole match not counted. */
size_t regex_n_groups(const struct regex *r);

/* regex_search - leftmost match in text[0..n). after NULL: from the start; else the next match after
 * *after, as Python's findall and sub go on: at its end, and not empty there if *after was empty.
 * ERR_RANGE when the pattern needs too many steps on this text (a bound, so that no output can hang
 * the grader). m may be the object that after points to. */
enum status regex_search(const struct regex *r, const char *text, size_t n, const struct regex_match *after,
                         bool *found, struct regex_match *m, struct err *err);

#endif
