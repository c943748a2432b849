// RAPL through the kernel's powercap tree: packages and their DRAM. Cores and uncore lie inside the
// package, psys around it: adding them would count twice. Source: Linux Documentation/power/powercap.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "meter/meter_internal.h"

enum { MAX_ZONES = 64, ZONE_B = 64, PATH_B = 1024 };

struct rapl {
    size_t n;
    char paths[METER_MAX_CHANNELS][PATH_B]; // of energy_uj
};

/* root/zone/file, or "" when that is too long: then it cannot be opened either. */
static void join(char out[PATH_B], const char *root, const char *zone, const char *file)
{
    const int n = snprintf(out, PATH_B, "%s/%s/%s", root, zone, file);
    if (n < 0 || n >= PATH_B)
        out[0] = '\0';
}

/* First line of a small file without its LF. False when it cannot be read. */
static bool read_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    const bool got = fgets(out, (int)n, f) != NULL;
    const int saved = errno;
    (void)fclose(f);
    errno = saved;
    if (got)
        out[strcspn(out, "\n")] = '\0';
    return got;
}

static bool read_u64(const char *path, uint64_t *out)
{
    char text[64];
    int64_t v;
    errno = 0;
    if (!read_line(path, text, sizeof text) || num_parse_i64(text, 0, INT64_MAX, path, &v, NULL) != OK)
        return false;
    *out = (uint64_t)v;
    return true;
}

static void rapl_read(void *state, uint64_t since_ns, uint64_t *values, bool *ok)
{
    (void)since_ns;
    const struct rapl *r = state;
    for (size_t i = 0; i < r->n; i++)
        ok[i] = read_u64(r->paths[i], &values[i]);
}

/* One zone directory: taken if it is a package or DRAM. Returns OK for those that are not. */
static enum status add_zone(struct meter_driver *d, struct rapl *r, const char *root, const char *zone, struct err *err)
{
    char path[PATH_B];
    char name[32];
    join(path, root, zone, "name");
    if (!read_line(path, name, sizeof name))
        return OK;
    const bool package = strncmp(name, "package-", 8) == 0;
    if (!package && strcmp(name, "dram") != 0)
        return OK;
    if (r->n == METER_MAX_CHANNELS)
        return err_set(err, ERR_DEVICE, "'%s' has more than %d RAPL zones", root, METER_MAX_CHANNELS);
    struct meter_channel *c = &d->channels[r->n];
    *c = (struct meter_channel){.scope = package ? "cpu_pkg" : "dram", .kind = METER_COUNTER};
    if (package)
        (void)snprintf(c->name, sizeof c->name, "%.31s", name);
    else // intel-rapl:0:2 is the DRAM of package 0
        (void)snprintf(c->name, sizeof c->name, "dram-%.*s", (int)strcspn(zone + 11, ":"), zone + 11);
    join(path, root, zone, "max_energy_range_uj");
    if (!read_u64(path, &c->range_uj))
        return err_set(err, ERR_DEVICE, "cannot read '%s'", path);
    char *energy = r->paths[r->n];
    join(energy, root, zone, "energy_uj");
    uint64_t now;
    if (!read_u64(energy, &now)) {
        if (errno == EACCES || errno == EPERM)
            return err_set(err, ERR_DEVICE, "cannot read the RAPL counter of '%s': permission denied (root may)",
                           c->name);
        return err_set(err, ERR_DEVICE, "cannot read the RAPL counter of '%s'", c->name);
    }
    r->n++;
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}


static size_t list_zones(DIR *dir, char zones[MAX_ZONES][ZONE_B])
{
    size_t n = 0;
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL && n < MAX_ZONES)
        // intel-rapl-mmio shows the same package a second time
        if (strncmp(e->d_name, "intel-rapl:", 11) == 0 && strlen(e->d_name) < ZONE_B)
            (void)snprintf(zones[n++], ZONE_B, "%.*s", ZONE_B - 1, e->d_name);
    qsort(zones, n, sizeof zones[0], by_name); // readdir has no order
    return n;
}

enum status meter_rapl_open(struct meter_driver *d, const char *root, struct err *err)
{
    root = root ? root : "/sys/class/powercap";
    DIR *dir = opendir(root);
    if (!dir)
        return err_set_errno(err, ERR_DEVICE, errno, "no RAPL: cannot open '%s'", root);
    char zones[MAX_ZONES][ZONE_B];
    const size_t n_zones = list_zones(dir, zones);
    (void)closedir(dir);
    void *p = NULL;
    enum status s = mem_alloc(&p, 1, sizeof(struct rapl), "RAPL", err);
    if (s != OK)
        return s;
    struct rapl *r = p;
    for (size_t i = 0; i < n_zones && s == OK; i++)
        s = add_zone(d, r, root, zones[i], err);
    if (s == OK && r->n == 0)
        s = err_set(err, ERR_DEVICE, "no RAPL: no package zone in '%s'", root);
    if (s != OK) {
        mem_free(r);
        return s;
    }
    d->source = "rapl";
    d->state = r;
    d->n_channels = r->n;
    d->read = rapl_read;
    d->close = mem_free;
    return OK;
}
