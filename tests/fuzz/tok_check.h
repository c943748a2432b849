#ifndef ASSAY_FUZZ_TOK_CHECK_H
#define ASSAY_FUZZ_TOK_CHECK_H

/* What must hold of a tokenizer file's tables whichever reader made them, for the fuzzers of those readers. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz/scratch.h"
#include "text/encode.h"
#include "text/nfc.h"
#include "text/utf8_text.h"

static inline void tok_check_merges(const struct tokfile *f)
{
    int32_t last = -1;
    for (size_t i = 0; i < f->n_merges; i++) {
        const struct tokfile_merge *m = &f->merges[i];
        size_t a;
        size_t b;
        size_t n;
        const char *left = tokfile_text(f, m->left, &a);
        const char *right = tokfile_text(f, m->right, &b);
        const char *whole = tokfile_text(f, m->result, &n);
        demand(n == a + b && a > 0 && b > 0 && memcmp(whole, left, a) == 0 && memcmp(whole + a, right, b) == 0);
        demand(m->result >= last);
        demand(f->kind == TOKFILE_SPM || m->prio == (uint32_t)m->result);
        for (int side = 0; side < 3; side++) {
            unsigned flags = f->flags[side == 0 ? m->left : side == 1 ? m->right : m->result];
            demand(!(flags & (TOKFILE_ADDED | TOKFILE_BYTE | TOKFILE_USER)));
        }
        last = m->result;
    }
}

static inline void tok_check_tables(const struct tokfile *f)
{
    size_t n_added = 0;
    demand(f->n_tokens >= 256 && f->n_tokens <= (size_t)TOKFILE_MAX_ID + 1);
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t n;
        const char *s = tokfile_text(f, (int32_t)id, &n);
        demand((n > 0) == ((f->flags[id] & TOKFILE_PRESENT) != 0));
        n_added += (f->flags[id] & TOKFILE_ADDED) != 0;
        if (!n)
            continue;
        demand(f->tokens[id].at <= f->bytes.n && n <= f->bytes.n - f->tokens[id].at);
        demand(tokfile_find(f, s, n) == (int32_t)id); // one id a text
    }
    demand(f->n_added == n_added && (f->flags[f->n_tokens - 1] & TOKFILE_PRESENT));
    for (size_t b = 0; b < 256; b++) {
        int32_t id = f->byte_id[b];
        demand(id >= 0 && (size_t)id < f->n_tokens && !(f->flags[id] & TOKFILE_ADDED));
    }
    demand(f->bos_id >= -1 && f->bos_id < (int32_t)f->n_tokens && f->n_reserved >= 0);
    demand(f->kind == TOKFILE_SPM ? !f->nfc && !f->ignore_merges : !f->dummy_prefix && f->split != TOKFILE_SPLIT_NONE);
    tok_check_merges(f);
}

/* U+2581 stands for a blank in SPM files. */
static inline void tok_blanks(struct buf *b, const struct tokfile *f)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < b->n; i++) {
        bool mark = f->kind == TOKFILE_SPM && b->n - i >= 3 && memcmp(b->data + i, "\xE2\x96\x81", 3) == 0;
        buf_char(&out, mark ? ' ' : b->data[i]);
        i += mark ? 2 : 0;
    }
    buf_release(b);
    *b = out;
}

/* decode(encode(x)) = x: its NFC where the file says so (not across parsed tokens, so not checked there). */
static inline void tok_check_round_trip(const struct tokenizer *t, const char *s, size_t n, bool parse)
{
    struct buf want = BUF_INIT;
    struct buf got = BUF_INIT;
    struct ids ids = {.v = NULL};
    struct err err = ERR_INIT;
    utf8_lossy(s, n, &want);
    if (t->file.nfc && !parse) {
        struct buf normal = BUF_INIT;
        demand(nfc(want.data ? want.data : "", want.n, &normal, &err) == OK);
        buf_release(&want);
        want = normal;
    }
    demand((parse ? tokenizer_encode_parsed : tokenizer_encode)(t, s, n, &ids, &err) == OK);
    demand(tokenizer_decode_text(t, ids.v, ids.n, false, &got, &err) == OK);
    tok_blanks(&got, &t->file);
    tok_blanks(&want, &t->file);
    if (!t->file.nfc || !parse)
        demand(got.n == want.n && (got.n == 0 || memcmp(got.data, want.data, got.n) == 0));
    // what a user writes never becomes a mark of a chat
    ids.n = 0;
    demand(tokenizer_encode_content(t, s, n, &ids, &err) == OK);
    for (size_t i = 0; i < ids.n; i++)
        demand(!(t->file.flags[ids.v[i]] & (TOKFILE_ADDED | TOKFILE_SPECIAL)));
    buf_release(&want);
    buf_release(&got);
    ids_release(&ids);
}

/* tok_check_file - all of it, for tables that a reader has just filled and a text to try them on; releases f.
 * s, err: what the reader said; every refusal names the file. */
static inline void tok_check_file(struct tokfile *f, enum status s, const struct err *err, const char *text, size_t n)
{
    struct tokenizer t = {.whole = NULL};
    struct err late = ERR_INIT;
    if (s) {
        demand(err->status == s && strncmp(err->text, "fuzz", 4) == 0);
        return;
    }
    t.file = *f;
    tok_check_tables(&t.file);
    if (!(s = bpe_init(&t.bpe, &t.file, "fuzz", &late)) && !(s = special_init(&t.special, &t.file, TOKFILE_ADDED, &late))) {
        demand((t.file.kind == TOKFILE_SPM ? spm_init(&t.spm, &t.file, &t.bpe, &late) : encode_find_whole(&t, &late)) == OK);
        n = n < 300 ? n : 300;
        tok_check_round_trip(&t, text, n, false);
        tok_check_round_trip(&t, text, n, true);
        static const char fixed[] = " hello <|end|> \xE4\xB8\xAD\xFF 123'S aaaaaaaa\n\n<|im_end|>e\xCC\x81";
        tok_check_round_trip(&t, fixed, sizeof fixed - 1, true);
    } else {
        demand(s == ERR_FORMAT); // a merge listed twice
    }
    bpe_release(&t.bpe);
    special_release(&t.special);
    spm_release(&t.spm);
    tokfile_release(&t.file);
    mem_free(t.whole);
}

#endif
