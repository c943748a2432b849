#include <string.h>

#include "base/utf8.h"
#include "format/tokbuild.h"

/* SentencePiece's tokenizer.model: one protobuf message, ModelProto. Field numbers are those of
 * google/sentencepiece sentencepiece_model.proto; fields not named here decide nothing and are stepped over. */
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_MODEL_TYPE = 3, TRAINER_SPACE_AS_SUFFIX = 24, TRAINER_BYTE_FALLBACK = 35 };
enum { NORM_CHARSMAP = 2, NORM_DUMMY_PREFIX = 3, NORM_REMOVE_SPACES = 4, NORM_ESCAPE_SPACES = 5 };
enum { MODEL_TYPE_UNIGRAM = 1, MODEL_TYPE_BPE = 2 };
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Part of the file; every message in it is another. */
struct wire {
    const uint8_t *s;
    size_t n, at;
    size_t base; /* where s begins in the file, for messages */
};

struct field {
    unsigned number, wire;
    uint64_t value;     /* VARINT, 64, 32 */
    struct wire bytes;  /* BYTES */
};

struct spm {
    struct tokbuild b;
    unsigned model_type;
    bool byte_fallback, space_as_suffix, remove_spaces, escape_spaces;
    bool maps_chars; /* a normaliser or denormaliser that changes characters */
    int64_t n_pieces;
};

static enum status damaged(const struct spm *m, const struct wire *w, const char *expected)
{
    return err_set(m->b.err, ERR_FORMAT, "%s: byte %zu: expected %s, found something else", m->b.name, w->base + w->at,
                   expected);
}

static enum status varint(const struct spm *m, struct wire *w, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (w->at == w->n)
            break;
        uint8_t byte = w->s[w->at];
        if (shift == 63 && byte > 1)
            break;
        w->at++;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = v;
            return OK;
        }
    }
    return damaged(m, w, "a protobuf number");
}

/* The next field of a message; *more is false at its end. */
static enum status next(const struct spm *m, struct wire *w, struct field *f, bool *more)
{
    uint64_t key;
    uint64_t len;
    enum status s;
    *more = w->at < w->n;
    if (!*more)
        return OK;
    if ((s = varint(m, w, &key)))
        return s;
    *f = (struct field){.number = (unsigned)(key >> 3 & 0x1FFFFFFF), .wire = (unsigned)(key & 7)};
    if (f->number == 0 || key >> 32)
        return damaged(m, w, "a protobuf field");
    switch (f->wire) {
    case WIRE_VARINT:
        return varint(m, w, &f->value);
    case WIRE_64:
    case WIRE_32:
        len = f->wire == WIRE_64 ? 8 : 4;
        break;
    case WIRE_BYTES:
        if ((s = varint(m, w, &len)))
            return s;
        break;
    default:
        return damaged(m, w, "a protobuf field");
    }
    if (len > w->n - w->at)
        return damaged(m, w, "as many bytes as the field says");
    f->bytes = (struct wire){.s = w->s + w->at, .n = (size_t)len, .base = w->base + w->at};
    for (size_t i = 0; f->wire != WIRE_BYTES && i < len; i++)
        f->value |= (uint64_t)w->s[w->at + i] << (8 * i);
    w->at += (size_t)len;
    return OK;
}

static enum status want_wire(const struct spm *m, const struct wire *w, const struct field *f, unsigned wire)
{
    return f->wire == wire ? OK : damaged(m, w, "a field of its own wire type");
}

static enum status add_piece(struct spm *m, struct wire w)
{
    struct wire text = {.s = NULL};
    uint32_t score_bits = 0;
    uint64_t type = TYPE_NORMAL;
    struct field f;
    bool more;
    enum status s;
    while (!(s = next(m, &w, &f, &more)) && more) {
        if (f.number == PIECE_TEXT && !(s = want_wire(m, &w, &f, WIRE_BYTES)))
            text = f.bytes;
        if (f.number == PIECE_SCORE && !(s = want_wire(m, &w, &f, WIRE_32)))
            score_bits = (uint32_t)f.value;
        if (f.number == PIECE_TYPE && !(s = want_wire(m, &w, &f, WIRE_VARINT)))
            type = f.value;
        if (s)
            return s;
    }
    if (s)
        return s;
    float score;
    memcpy(&score, &score_bits, sizeof score);
    struct tokbuild *b = &m->b;
    int64_t id = m->n_pieces++;
    unsigned flags = 0;
    switch (type) {
    case TYPE_NORMAL:
        break;
    case TYPE_UNKNOWN:
    case TYPE_CONTROL:
        flags = TOKFILE_ADDED | TOKFILE_SPECIAL;
        break;
    case TYPE_USER:
        flags = TOKFILE_USER;
        break;
    case TYPE_BYTE:
        flags = TOKFILE_BYTE;
        break;
    default: // merges go through unused pieces and are undone at the end: not built, since no known file has one
        s = err_set(b->err, type == TYPE_UNUSED ? ERR_UNSUPPORTED : ERR_FORMAT,
                    "expected a type from 1 to 4 or 6, found %llu", (unsigned long long)type);
        break;
    }
    if (!s && text.n && utf8_valid_prefix(text.s, text.n) != text.n)
        s = err_set(b->err, ERR_FORMAT, "expected valid UTF-8, found something else");
    if (!s)
        s = tokbuild_add(b, id, (const char *)text.s, text.n, flags, score);
    if (s)
        err_prefix(b->err, "%s: piece %lld", b->name, (long long)id);
    return s;
}

static enum status read_trainer(struct spm *m, struct wire w)
{
    struct field f;
    bool more;
    enum status s;
    while (!(s = next(m, &w, &f, &more)) && more) {
        if (f.number == TRAINER_MODEL_TYPE && !(s = want_wire(m, &w, &f, WIRE_VARINT)))
            m->model_type = f.value > 100 ? 0 : (unsigned)f.value;
        if (f.number == TRAINER_SPACE_AS_SUFFIX && !(s = want_wire(m, &w, &f, WIRE_VARINT)))
            m->space_as_suffix = f.value != 0;
        if (f.number == TRAINER_BYTE_FALLBACK && !(s = want_wire(m, &w, &f, WIRE_VARINT)))
            m->byte_fallback = f.value != 0;
        if (s)
            return s;
    }
    return s;
}

static enum status read_normalizer(struct spm *m, struct wire w, bool denormalizer)
{
    struct field f;
    bool more;
    enum status s;
    while (!(s = next(m, &w, &f, &more)) && more) {
        if (f.number == NORM_CHARSMAP && !(s = want_wire(m, &w, &f, WIRE_BYTES)))
            m->maps_chars = m->maps_chars || f.bytes.n;
        if (s)
            return s;
        if (denormalizer || f.number < NORM_DUMMY_PREFIX || f.number > NORM_ESCAPE_SPACES)
            continue;
        if ((s = want_wire(m, &w, &f, WIRE_VARINT)))
            return s;
        bool *flag = f.number == NORM_DUMMY_PREFIX    ? &m->b.f->dummy_prefix
                     : f.number == NORM_REMOVE_SPACES ? &m->remove_spaces
                                                      : &m->escape_spaces;
        *flag = f.value != 0;
    }
    return s;
}

static enum status refuse(const struct spm *m, const char *what)
{
    return err_set(m->b.err, ERR_UNSUPPORTED, "%s: expected a SentencePiece model of type BPE with byte fallback, blanks "
                   "escaped and no other normalisation, found %s", m->b.name, what);
}

static enum status check_rules(const struct spm *m)
{
    if (m->model_type != MODEL_TYPE_BPE)
        return refuse(m, m->model_type == MODEL_TYPE_UNIGRAM ? "type unigram" : "another type");
    if (!m->byte_fallback)
        return refuse(m, "no byte_fallback");
    if (m->maps_chars)
        return refuse(m, "a precompiled_charsmap");
    if (m->remove_spaces)
        return refuse(m, "remove_extra_whitespaces");
    if (m->space_as_suffix)
        return refuse(m, "treat_whitespace_as_suffix");
    return m->escape_spaces ? OK : refuse(m, "escape_whitespaces off");
}

static enum status read_all(struct spm *m, struct wire w)
{
    struct field f;
    bool more;
    enum status s;
    while (!(s = next(m, &w, &f, &more)) && more) {
        if (f.number != MODEL_PIECE && f.number != MODEL_TRAINER && f.number != MODEL_NORMALIZER &&
            f.number != MODEL_DENORMALIZER)
            continue;
        if ((s = want_wire(m, &w, &f, WIRE_BYTES)))
            return s;
        s = f.number == MODEL_PIECE     ? add_piece(m, f.bytes)
            : f.number == MODEL_TRAINER ? read_trainer(m, f.bytes)
                                        : read_normalizer(m, f.bytes, f.number == MODEL_DENORMALIZER);
        if (s)
            return s;
    }
    if (s || (s = check_rules(m)) || (s = tokbuild_index(&m->b)))
        return s;
    return tokbuild_derive(&m->b);
}

enum status tokfile_read_spm(struct tokfile *out, const void *data, size_t n, const char *name, struct err *err)
{
    // the defaults of the format, for fields that are absent
    struct spm m = {.model_type = MODEL_TYPE_UNIGRAM, .remove_spaces = true, .escape_spaces = true};
    tokbuild_init(&m.b, out, name, err);
    out->kind = TOKFILE_SPM;
    out->dummy_prefix = true;
    m.b.by_score = true;
    return tokbuild_end(&m.b, read_all(&m, (struct wire){.s = data, .n = n}));
}
