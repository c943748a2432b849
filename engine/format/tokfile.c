#include "format/tokfile.h"

#include "base/mem.h"

void tokfile_release(struct tokfile *f)
{
    mem_free(f->tokens);
    mem_free(f->flags);
    mem_free(f->added);
    mem_free(f->merges);
    mem_free(f->scores);
    tokmap_release(&f->index);
    buf_release(&f->bytes);
    *f = (struct tokfile){.kind = TOKFILE_BYTE_LEVEL, .bos_id = -1, .bytes = BUF_INIT};
}

int32_t tokfile_find(const struct tokfile *f, const char *s, size_t n)
{
    return tokmap_find(&f->index, f->tokens, f->bytes.data, s, n);
}

const char *tokfile_text(const struct tokfile *f, int32_t id, size_t *n)
{
    *n = f->tokens[id].n;
    return f->bytes.data + f->tokens[id].at;
}
