#ifndef ASSAY_LIB_PROV_H
#define ASSAY_LIB_PROV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "lib/platform.h"
#include "lib/schema.h"

/* One run's account of itself, and the statements (provenance.md 3) of the files it writes.
 *
 * Names. A file under the tree root is named by its path below it ("any/gptoss-tiny/infer/transcripts.jsonl"),
 * so that a set keeps its digests when it moves; else a file under the source root (the nearest
 * directory upwards that holds engine/engine.h) by its path below that ("tasks/mc/task.json"); else by
 * its base name. The tree root is --root, else the nearest directory upwards of the file that holds
 * SHA256SUMS. No host, user or absolute path is ever written. */

#define PROV_PREDICATE_TYPE "assay/result/v1"
#define PROV_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PROV_SUFFIX ".prov.json"

struct prov;

/* prov_new - `tool` as recorded ("accuracy grade"); root may be NULL. Takes the start time. */
enum status prov_new(struct prov **out, const char *tool, const char *root, struct err *err);
void prov_free(struct prov *p); /* NULL is fine */

/* Facts of the recipe. prov_param consumes value (a NULL value is an allocation failure, reported when
 * the statement is built). */
void prov_param(struct prov *p, const char *name, cJSON *value);
void prov_seed(struct prov *p, uint64_t seed);
void prov_numerics(struct prov *p, const char *numerics); /* "exact" (default) or "fast": then exact files become pinned */

/* Inputs. prov_input_bytes: bytes already in memory that came from path ("-" = standard input); its own
 * statement beside it, if any, must match and gives the input's class. prov_input_file hashes the file
 * itself. */
enum status prov_input_bytes(struct prov *p, const char *path, const void *data, size_t n, struct err *err);
enum status prov_input_file(struct prov *p, const char *path, struct err *err);
enum status prov_input_model(struct prov *p, const char *source, const char *name, const char *dir,
                             const char *const *files, size_t n, struct err *err);

/* prov_input_definition - a model without files: its digest is the SHA-256 of the definition, the text that all
 * its weights follow from, which the statement holds too. */
enum status prov_input_definition(struct prov *p, const char *source, const char *name, const char *definition,
                                  struct err *err);

/* prov_input_name - recorded name of an input given by path, or of a directory something below which was
 * read (a task folder); NULL when there is none. Borrowed. */
const char *prov_input_name(const struct prov *p, const char *path);

/* prov_model_digest - lower-case hex digest recorded for "model:NAME" (empty string when there is none). */
const char *prov_model_digest(const struct prov *p);

/* Facts of platform and run. prov_backend: "cpu", isa in use. */
void prov_backend(struct prov *p, const char *backend, const char *isa);
void prov_platform_fact(struct prov *p, bool numeric, const char *key, cJSON *value); /* consumes */
void prov_run_option(struct prov *p, const char *key, cJSON *value);                  /* consumes */

/* prov_statement - the statement of one payload as canonical JSON + LF. The class is the weakest of the
 * schema's own, the numerics' and the inputs'. name is the payload's base name. */
enum status prov_statement(struct prov *p, const struct schema *schema, const char *name,
                           const uint8_t payload[DIGEST_B], struct buf *out, struct err *err);

/* model_digest - SHA-256 of the sorted `sha256  name` lines of the files (n base names in dir). File
 * digests are cached by (device, inode, size, mtime ns, ctime ns) under $ASSAY_CACHE, else
 * $XDG_CACHE_HOME/assay, else ~/.cache/assay; full = true ignores the cache. lines may be NULL. */
enum status model_digest(const char *dir, const char *const *files, size_t n, bool full, struct buf *lines,
                         uint8_t out[DIGEST_B], struct err *err);

#endif
