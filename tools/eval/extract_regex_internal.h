#ifndef ASSAY_EVAL_EXTRACT_REGEX_INTERNAL_H
#define ASSAY_EVAL_EXTRACT_REGEX_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "eval/extract_regex.h"

/* The pattern as a tree: compile (extract_regex.c) builds it, match (extract_regex_match.c) walks it. */
enum node_kind {
    NODE_CHAR,       /* cp */
    NODE_ANY,        /* . */
    NODE_CLASS,      /* ranges, negated */
    NODE_START,      /* ^ \A */
    NODE_END,        /* $ */
    NODE_END_STRICT, /* \Z */
    NODE_GROUP,      /* alternatives; group > 0 captures */
    NODE_REPEAT,     /* child, min, max, lazy */
    NODE_AHEAD,      /* alternatives, negated */
    NODE_BEHIND      /* alternatives, negated, width in code points */
};

struct range {
    uint32_t lo;
    uint32_t hi;
};

struct alternative {
    struct node *first; /* NULL: matches the empty text */
    struct alternative *next;
};

struct node {
    enum node_kind kind;
    struct node *next; /* in sequence */
    uint32_t cp;
    struct range *ranges;
    size_t n_ranges;
    bool negated;
    bool lazy;
    size_t group;
    size_t width;
    size_t min;
    size_t max; /* SIZE_MAX: no bound */
    struct node *child;
    struct alternative *alternatives;
};

struct regex {
    struct arena *arena;
    struct alternative *top;
    size_t n_groups;
    bool dot_all;
    bool ignore_case;
    const char *pattern;
};

#endif
