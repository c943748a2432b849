#define _XOPEN_SOURCE 700
#include "lib/platform.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Value of the first "key<blanks><sep> value" line of a small text file; quotes are dropped. */
static void find_line(const char *path, const char *key, char sep, char *out, size_t n)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return;
    char line[512];
    size_t len = strlen(key);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, key, len) != 0)
            continue;
        const char *p = line + len;
        p += strspn(p, " \t");
        if (*p != sep)
            continue;
        p++;
        p += strspn(p, " \t\"");
        (void)snprintf(out, n, "%.*s", (int)strcspn(p, "\"\r\n"), p);
        break;
    }
    (void)fclose(f);
}

static void first_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return;
    char line[256];
    if (fgets(line, sizeof line, f))
        (void)snprintf(out, n, "%.*s", (int)strcspn(line, "\r\n"), line);
    (void)fclose(f);
}

void platform_get(struct platform *out)
{
    *out = (struct platform){.cores = 0};
    find_line("/proc/cpuinfo", "model name", ':', out->cpu, sizeof out->cpu);
    find_line("/proc/cpuinfo", "microcode", ':', out->microcode, sizeof out->microcode);
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", out->governor, sizeof out->governor);
    out->cores = sysconf(_SC_NPROCESSORS_ONLN);
    char kib[64] = "";
    find_line("/proc/meminfo", "MemTotal", ':', kib, sizeof kib);
    long long v = 0;
    if (sscanf(kib, "%lld", &v) == 1)
        out->memory_b = v * 1024;
    struct utsname u;
    char name[96] = "";
    find_line("/etc/os-release", "PRETTY_NAME", '=', name, sizeof name);
    if (uname(&u) == 0) {
        // Only major.minor of the kernel: a full release string may hold a builder's own name.
        int major = 0;
        int minor = 0;
        (void)sscanf(u.release, "%d.%d", &major, &minor);
        (void)snprintf(out->os, sizeof out->os, "%s, %.16s %d.%d", name[0] ? name : "unknown", u.sysname, major, minor);
        (void)snprintf(out->arch, sizeof out->arch, "%.31s", u.machine);
    }
}
