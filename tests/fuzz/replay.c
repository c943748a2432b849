/* A fuzzer without clang: its seeds and up to 1000 damaged copies of each go through its entry, the same
 * ones in every run, so that `make test` fuzzes a little everywhere. Linked once a fuzzer; the program is
 * called replay_NAME and reads tests/fuzz/seeds/NAME.
 *   replay_NAME SEED COPY   writes that damaged copy to standard output instead */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_COPIES = 1000, MAX_SEEDS = 64, MAX_DAMAGES = 3, SEED_MS = 300, HANG_S = 60 };

/* What runs right now, for the handler: an entry that aborts says which input it was. */
static char now[300];

static void on_abort(int sig)
{
    static const char start[] = "not ok 1 - ";
    ssize_t n = write(1, start, sizeof start - 1);
    n += write(1, now, strlen(now));
    n += write(1, "\n", 1);
    _exit(n > 0 ? 1 : 2);
    (void)sig;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run(const void *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1); // of the very size, so that ASan sees a step past its end
    if (!copy)
        exit(3);
    if (n)
        memcpy(copy, data, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

/* One damage: bytes changed, cut out, put in or over from elsewhere, or a word that parsers stumble over. */
static void damage(struct buf *b, const struct rng_key *key, uint64_t *i)
{
    static const char *const words[] = {"\"", "{", "}", "[", "]", ",", "\n", "\r\n", "0", "-1", "1e999", "\xff", "\\u0000",
                                        "9223372036854775808", "null", "\xef\xbb\xbf", "\xff\xff\xff\xff\xff\xff\xff\x7f"};
    struct buf out = BUF_INIT;
    size_t at = (size_t)rng_below(key, ++*i, b->n + 1);
    size_t from = (size_t)rng_below(key, ++*i, b->n + 1);
    size_t len = (size_t)rng_below(key, ++*i, 16) + 1;
    size_t cut = len < b->n - at ? len : b->n - at;
    size_t copy = len < b->n - from ? len : b->n - from;
    const char *word = words[rng_below(key, ++*i, sizeof words / sizeof *words)];
    buf_add(&out, b->data, at);
    switch (rng_below(key, ++*i, 5)) {
    case 0:
        if (at < b->n)
            buf_char(&out, (char)rng_below(key, ++*i, 256));
        at += at < b->n;
        break;
    case 1:
        at += cut;
        break;
    case 2:
        buf_add(&out, b->data + from, copy);
        break;
    case 3:
        buf_add(&out, b->data + from, copy);
        at += copy < b->n - at ? copy : b->n - at;
        break;
    default:
        buf_str(&out, word);
        break;
    }
    buf_add(&out, b->data + at, b->n - at);
    buf_release(b);
    *b = out;
}

static void make_copy(const struct mapfile *m, const char *name, int k, struct buf *b)
{
    struct rng_key key = rng_key((uint64_t)k, name);
    uint64_t i = 0;
    buf_add(b, m->data ? (const void *)m->data : "", m->size);
    buf_char(b, '\0'); // never empty, so that data is not NULL
    b->n--;
    for (uint64_t times = 1 + rng_below(&key, ++i, MAX_DAMAGES); times; times--)
        damage(b, &key, &i);
}

/* Slow entries get through fewer copies: the first ones, so what one run finds another can repeat. */
static int replay(const struct mapfile *m, const char *path, const char *name)
{
    int k = 0;
    uint64_t start = clock_ns();
    (void)snprintf(now, sizeof now, "%.200s", path);
    run(m->data, m->size);
    for (; k < N_COPIES && clock_ns() - start < SEED_MS * UINT64_C(1000000); k++) {
        struct buf b = BUF_INIT;
        (void)snprintf(now, sizeof now, "%.200s, damaged copy %d", path, k);
        make_copy(m, name, k, &b);
        run(b.data, b.n);
        buf_release(&b);
    }
    return k;
}

static void open_seed(struct mapfile *m, const char *path)
{
    struct err err = ERR_INIT;
    if (mapfile_open(m, path, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(3);
    }
}

static size_t list_seeds(const char *folder, char *seeds[MAX_SEEDS])
{
    size_t n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && n < MAX_SEEDS && (e = readdir(d));)
        if (e->d_name[0] != '.' && !(seeds[n++] = strdup(e->d_name)))
            exit(3);
    if (d)
        (void)closedir(d);
    qsort(seeds, n, sizeof *seeds, by_name);
    return n;
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "replay_");
    char *seeds[MAX_SEEDS];
    char path[512];
    struct mapfile m;
    if (!name || (argc != 1 && argc != 3))
        return 2;
    name += strlen("replay_");
    if (argc == 3) {
        struct buf b = BUF_INIT;
        (void)snprintf(path, sizeof path, "tests/fuzz/seeds/%.100s/%.200s", name, argv[1]);
        open_seed(&m, path);
        make_copy(&m, argv[1], atoi(argv[2]), &b);
        return fwrite(b.data, 1, b.n, stdout) != b.n;
    }
    (void)snprintf(path, sizeof path, "tests/fuzz/seeds/%.100s", name);
    size_t n = list_seeds(path, seeds);
    int copies = 0;
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGALRM, on_abort);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "tests/fuzz/seeds/%.100s/%.200s", name, seeds[i]);
        open_seed(&m, path);
        (void)alarm(HANG_S);
        copies += replay(&m, path, seeds[i]);
        mapfile_close(&m);
        free(seeds[i]);
    }
    (void)printf("%s 1 - fuzz %s: %zu seeds, %d damaged copies\n1..1\n", n ? "ok" : "not ok", name, n, copies);
    return n ? 0 : 1;
}
