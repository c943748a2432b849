#ifndef ASSAY_CHECK_CHECK_H
#define ASSAY_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "lib/schema.h"
#include "lib/table.h"

/* Checks of a results tree (provenance.md 5, 8, 9). One function per check, each with a name in the
 * output; one verdict type; nothing that was not run counts as passed. The functions return a status
 * only when they could not work at all; what is wrong with the tree goes into the report. */

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_MISSING, VERDICT_SKIP, VERDICT_OLD, VERDICT_DERIVED, N_VERDICTS };
const char *verdict_name(enum verdict v);

struct finding {
    enum verdict verdict;
    bool allowed; /* SKIP with a reason that is accepted */
    const char *check, *subject, *detail; /* borrowed from the report; detail may be "" */
};

struct report; /* findings in order */
enum status report_new(struct report **out, struct err *err);
void report_free(struct report *r);
/* report_add - a failed allocation is remembered and makes report_good false: an incomplete report never passes. */
void report_add(struct report *r, enum verdict v, const char *check, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
size_t report_count(const struct report *r);
const struct finding *report_at(const struct report *r, size_t i);
size_t report_total(const struct report *r, enum verdict v);
/* report_good - at least one finding, and all are PASS, OLD, or an allowed SKIP. */
bool report_good(const struct report *r);
/* report_allow - allow SKIPs by a list: lines `CHECK GLOB reason...`, '#' comments. The list's own digest
 * becomes a finding of check "allow". */
enum status report_allow(struct report *r, const char *path, struct err *err);
/* report_text, report_json - details of what is not PASS (all: of everything), then one line of counts. */
void report_text(const struct report *r, const char *program, bool all, struct buf *out);
enum status report_json(const struct report *r, struct buf *out, struct err *err);

/* A statement, parsed. Strings borrowed from doc. */
struct statement {
    cJSON *doc;
    const cJSON *predicate, *recipe, *inputs; /* inputs: array, or NULL */
    const char *subject, *sha256, *class, *schema, *numerics, *tool;
    bool sound; /* every required member is there with the right type */
};

struct tree_file {
    const char *name; /* relative to the tree, '/' between parts */
    char sha256[65];
    bool is_statement;
    bool is_manifest;
    bool is_special; /* link, device, ...: never allowed */
    struct statement *statement; /* of a payload: the one beside it; of a statement: itself; or NULL */
    const char *broken;          /* of a statement: why it could not be parsed, or NULL */
};

struct tree {
    const char *dir;
    size_t n;
    struct tree_file *files; /* sorted by name */
    struct schema_set *schemas;
    void *owned;
};

/* tree_open - read, hash and parse everything below dir. ERR_MISSING when dir does not exist. */
enum status tree_open(struct tree **out, const char *dir, struct err *err);
void tree_free(struct tree *t);
const struct tree_file *tree_find(const struct tree *t, const char *name); /* NULL when absent */
/* tree_read - bytes of one of its files. */
enum status tree_read(const struct tree *t, const struct tree_file *f, struct buf *out, struct err *err);
bool tree_is_payload(const struct tree_file *f);
/* tree_after_manifest - figures, numbers and paper, which print the manifest's digest and are re-made
 * instead of listed (provenance.md 3, Chain). */
bool tree_after_manifest(const struct tree *t, const struct tree_file *f);
/* tree_manifest - the text of SHA256SUMS: `sha256  name` sorted by name, a line per listed file. */
enum status tree_manifest(const struct tree *t, struct buf *out, struct err *err);
/* tree_expected - lines of the payloads whose chain is exact to the leaves. */
enum status tree_expected(const struct tree *t, struct buf *out, struct err *err);

/* tree_models - `sha256  model:NAME` of every model its statements name, sorted and unique: the lines of
 * pipelines/models.lock. ERR_FORMAT when one name has two digests. */
enum status tree_models(const struct tree *t, struct buf *out, struct err *err);

/* Surroundings of a verification. Paths may be NULL where absent. */
struct check_context {
    const struct tree *tree;
    struct report *report;
    const char *bin;      /* folder of the sibling tools, for check_rerun */
    const char *models;   /* pipelines/models.lock */
    const char *expected; /* results/expected/<profile>.sha256 */
};

enum status check_files(const struct check_context *c, struct err *err);      /* special, pair */
enum status check_manifest(const struct check_context *c, struct err *err);   /* manifest */
enum status check_statements(const struct check_context *c, struct err *err); /* statement, digest, recipe, old, privacy */
enum status check_payloads(const struct check_context *c, struct err *err);   /* schema */
enum status check_chain(const struct check_context *c, struct err *err);      /* inputs, class */
enum status check_expected_digests(const struct check_context *c, struct err *err);   /* expected */
enum status check_rerun(const struct check_context *c, struct err *err);      /* rerun */
enum status check_all(const struct check_context *c, struct err *err);

/* check_compare - a new tree against a committed one (check "compare"): exact and pinned by digest,
 * measured by keys, counts, token digests and bands. bands may be NULL. */
enum status check_compare(const struct tree *a, const struct tree *b, const char *bands, struct report *r,
                          struct err *err);

#endif
