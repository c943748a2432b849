#ifndef ASSAY_DRIVE_INFER_TRANSCRIPT_H
#define ASSAY_DRIVE_INFER_TRANSCRIPT_H

#include "drive/infer_run.h"
#include "lib/tool.h"

/* Results as rows: transcripts/1 (exact: keys and content only) and transcripts_timing/1 (measured). */

/* infer_row - the transcript of one result as a new object. The caller owns it. */
enum status infer_row(const struct model *m, const struct infer_request *q, const struct infer_result *r, cJSON **out,
                      struct err *err);

struct infer_files {
    const char *requests;   /* path as given, "-" = standard input */
    const char *out;        /* transcripts; NULL = standard output, without timings and journal */
    const char *timing_out; /* NULL: `out` with .timing.csv in place of .jsonl */
    const char *journal;    /* NULL: `out` with .journal */
};

/* infer_transcribe - run a whole requests file. Each finished request is appended to the journal, so a
 * run that was killed goes on where it was; the outputs appear at the end, whole. recipe_key names
 * everything besides model and requests that decides a transcript (defaults of the options), so that a
 * journal of another run is refused. A request that fails makes a row with its status, and the tool's
 * answer is no. */
enum status infer_transcribe(struct tool *t, struct model *m, const struct infer_files *files,
                             const struct infer_defaults *d, const struct session_options *opt, const char *recipe_key,
                             struct err *err);

#endif
