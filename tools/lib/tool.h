#ifndef ASSAY_LIB_TOOL_H
#define ASSAY_LIB_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "lib/cli.h"
#include "lib/progress.h"
#include "lib/prov.h"
#include "lib/records.h"
#include "lib/table.h"

/* The frame every command shares. A tool is an argument struct, an option table, a run function and
 *     int main(int argc, char **argv) { return tool_main(&latency, argc, argv); }
 * tool_main parses, answers --help --help-man --version, calls run, prints `latency: sentence` on
 * stderr when run fails, and turns the status into the exit code of architecture.md:
 *   0 done   1 done and the answer is no (tool_answer_no)   2 bad usage or bad input
 *   3 cannot run here (ERR_MEMORY, ERR_DEVICE)
 *
 * Data flows through tool_read_* and tool_put_*: what is read is hashed and becomes an input of the
 * statement; what is put is checked against its schema, written canonically to a temporary, and gets its
 * statement FILE.prov.json beside it. When run has ended well, every file whose bytes changed is renamed
 * into place, in the order they were put: bad input or a full disk leaves no output file, not one of several. */
struct tool;

/* Common options a tool takes besides --quiet, --root, --statement and --recipe, which all have. */
enum tool_common {
    TOOL_OUT = 1 << 0,    /* -o, --out FILE (OUTPUT; "-" and absent = stdout) */
    TOOL_FORMAT = 1 << 1, /* --format csv|json (RECIPE) */
    TOOL_SEED = 1 << 2,   /* --seed N (the recipe's seed) */
    TOOL_THREADS = 1 << 3 /* --threads N (RUN; 0 = one per online CPU) */
};

struct tool_def {
    const char *name;
    const char *summary;  /* one clause, lower case */
    const char *operands; /* "FILE..." or NULL when there are none */
    size_t min_operands, max_operands;
    bool operands_are_inputs;         /* each operand is read as a file and recorded by name */
    const struct cli_option *options; /* ends with CLI_END; may be NULL */
    unsigned common;                  /* enum tool_common */
    size_t args_b;                    /* sizeof of the argument struct, zeroed before parsing */
    /* Returns OK or the failure that ends the program. args is the filled argument struct. */
    enum status (*run)(struct tool *t, const void *args, struct err *err);
    const struct tool_def *const *commands; /* subcommands (`accuracy grade`), NULL-ended; run may then be NULL */
};

int tool_main(const struct tool_def *def, int argc, char **argv);

/* Values of the common options. */
const char *tool_out(const struct tool *t); /* NULL = stdout */
bool tool_json(const struct tool *t);       /* --format json */
uint64_t tool_seed(const struct tool *t);
size_t tool_threads(const struct tool *t); /* never 0 */
bool tool_given(const struct tool *t, const char *option);
struct cli_texts tool_operands(const struct tool *t);
struct progress *tool_progress(struct tool *t);
struct prov *tool_prov(struct tool *t);

/* tool_answer_no - the work is done and the answer is no: exit 1. */
void tool_answer_no(struct tool *t);

/* tool_catch_interrupt - from now on the first SIGINT or SIGTERM only sets tool_interrupted, so that a
 * measuring loop can end cleanly with what it has; a second one ends the program. Without this call
 * either signal ends the program at once; temporaries are removed both ways. */
void tool_catch_interrupt(struct tool *t);
bool tool_interrupted(const struct tool *t);

/* tool_note - one line `TOOL: text` on stderr unless --quiet. tool_warn - the same, always. */
void tool_note(struct tool *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tool_warn(struct tool *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Reading: path "-" is standard input (named <stdin> in the statement). ERR_MISSING, ERR_IO, ERR_FORMAT
 * as the readers say; an input whose own statement does not match its bytes is ERR_FORMAT.
 * tool_read hands out the bytes (caller buf_release); the others parse them against a schema. */
enum status tool_read(struct tool *t, const char *path, struct buf *out, struct err *err);
enum status tool_read_table(struct tool *t, const char *path, const char *schema, struct table **out,
                            struct err *err);
enum status tool_read_records(struct tool *t, const char *path, const char *schema, struct records **out,
                              struct err *err);

/* tool_input_model - record a model: `source` as the user named it, its name, and the n base names of
 * the files that were read from dir. */
enum status tool_input_model(struct tool *t, const char *source, const char *name, const char *dir,
                             const char *const *files, size_t n, struct err *err);

/* tool_input_definition - the same for a model that lies in no file: its digest is that of the text that
 * defines it. */
enum status tool_input_definition(struct tool *t, const char *source, const char *name, const char *definition,
                                  struct err *err);

/* Writing: path NULL or "-" is stdout (then no statement, unless --statement names one). With
 * --format json tool_put_table writes {"rows":[...],"schema":...} instead of CSV. tool_put takes
 * bytes that have no table form (SVG, .gp, .tex, JSON documents) and the name of their schema. */
enum status tool_put_table(struct tool *t, const char *path, struct table *table, struct err *err);
enum status tool_put_records(struct tool *t, const char *path, struct records *records, struct err *err);
enum status tool_put(struct tool *t, const char *path, const char *schema, const void *data, size_t n,
                     struct err *err);

/* tool_commit - rename what was put so far now, for a tool that must do something after that (a journal is
 * removed once its results are safe). The frame calls it after run. */
enum status tool_commit(struct tool *t, struct err *err);

#endif
