#include "drive/procmem.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

/* Value in bytes of a line "Key:   1234 kB", -1 if the file has none. */
static int64_t field_b(const char *proc, const char *file, const char *key)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/%s", proc, file) >= (int)sizeof path)
        return -1;
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    char line[512];
    int64_t out = -1;
    size_t n = strlen(key);
    while (out < 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) != 0 || line[n] != ':')
            continue;
        char *p = line + n + 1;
        p += strspn(p, " \t");
        p[strcspn(p, " \t\n")] = '\0';
        int64_t kib;
        if (num_parse_i64(p, 0, INT64_MAX / 1024, key, &kib, NULL) == OK)
            out = kib * 1024;
    }
    (void)fclose(f);
    return out;
}

void procmem_read(const char *proc, struct procmem *out)
{
    *out = (struct procmem){
        .rss_b = field_b(proc, "status", "VmRSS"),
        .peak_rss_b = field_b(proc, "status", "VmHWM"),
        .swap_b = field_b(proc, "status", "VmSwap"),
        .pss_b = field_b(proc, "smaps_rollup", "Pss"),
    };
}

bool procmem_reset_peak(const char *proc)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/clear_refs", proc) >= (int)sizeof path)
        return false;
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool ok = fputs("5", f) >= 0;
    return fclose(f) == 0 && ok;
}
