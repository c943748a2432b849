#ifndef ASSAY_LIB_PLATFORM_H
#define ASSAY_LIB_PLATFORM_H

#include <stdint.h>

/* The machine in facts that matter to numbers: no serials, no host or user names. Empty = unknown. */
struct platform {
    char cpu[128];        /* model name */
    int64_t cores;        /* online logical CPUs */
    int64_t memory_b;     /* physical */
    char os[128];         /* distribution and kernel version, no build host */
    char arch[32];        /* x86_64 */
    char governor[32];
    char microcode[32];
};

void platform_get(struct platform *out);

/* What was built: fixed at compile time (build/<config>/gen/lib/buildinfo.h). */
struct build_info {
    const char *version;
    const char *commit;  /* 40 hex digits, or "unknown" outside a clone */
    int dirty;           /* 1 when tracked files differed from the commit */
    const char *engine;  /* git tree id, or "sha256:HEX" of contents when dirty or outside a clone */
    const char *tools;
    const char *compiler;
    const char *flags;
    const char *config;  /* release, asan, ... */
};
const struct build_info *build_info(void);

#endif
