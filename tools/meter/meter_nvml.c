// NVML's energy counter, loaded at run time: the build needs no CUDA and the tests bring a fake.
// Names and signatures: NVIDIA's NVML API reference (device queries).
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "meter/meter_internal.h"

typedef void *nvml_device; // the API's own opaque handle
enum { NVML_SUCCESS = 0 };

struct nvml {
    void *library;
    nvml_device device;
    int (*shutdown)(void);
    int (*total_energy)(nvml_device, unsigned long long *mj);
    int (*power)(nvml_device, unsigned *mw); // may be missing
    bool has_power;
};

/* A function by name. ISO C knows no cast from object to function pointer; POSIX dlsym promises the
 * same representation, so the bytes are copied. */
static bool function(void *library, const char *name, void *pointer_to_function)
{
    void *symbol = dlsym(library, name);
    memcpy(pointer_to_function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void nvml_read(void *state, uint64_t since_ns, uint64_t *values, bool *ok)
{
    (void)since_ns;
    const struct nvml *n = state;
    unsigned long long mj = 0;
    ok[0] = n->total_energy(n->device, &mj) == NVML_SUCCESS;
    values[0] = (uint64_t)mj * 1000;
    if (n->has_power) {
        unsigned mw = 0;
        ok[1] = n->power(n->device, &mw) == NVML_SUCCESS;
        values[1] = (uint64_t)mw * 1000;
    }
}

static void nvml_close(void *state)
{
    struct nvml *n = state;
    if (n->shutdown)
        (void)n->shutdown();
    if (n->library)
        (void)dlclose(n->library);
    mem_free(n);
}

static enum status load(struct nvml *n, const char *library, unsigned gpu_index, struct err *err)
{
    n->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        const char *why = dlerror();
        return err_set(err, ERR_DEVICE, "cannot load NVML '%s': %s", library, why ? why : "unknown");
    }
    int (*init)(void);
    int (*handle)(unsigned, nvml_device *);
    int (*stop)(void);
    if (!function(n->library, "nvmlInit_v2", &init) || !function(n->library, "nvmlShutdown", &stop) ||
        !function(n->library, "nvmlDeviceGetHandleByIndex_v2", &handle) ||
        !function(n->library, "nvmlDeviceGetTotalEnergyConsumption", &n->total_energy))
        return err_set(err, ERR_DEVICE, "NVML '%s' lacks nvmlDeviceGetTotalEnergyConsumption or the calls before it",
                       library);
    int e = init();
    if (e != NVML_SUCCESS)
        return err_set(err, ERR_DEVICE, "NVML '%s': nvmlInit_v2 failed with code %d", library, e);
    n->shutdown = stop; // only after a successful init
    e = handle(gpu_index, &n->device);
    if (e != NVML_SUCCESS)
        return err_set(err, ERR_DEVICE, "NVML '%s': no device %u (code %d)", library, gpu_index, e);
    unsigned long long mj;
    e = n->total_energy(n->device, &mj);
    if (e != NVML_SUCCESS)
        return err_set(err, ERR_DEVICE, "NVML '%s': device %u has no energy counter (code %d)", library, gpu_index, e);
    unsigned mw;
    n->has_power = function(n->library, "nvmlDeviceGetPowerUsage", &n->power) && n->power(n->device, &mw) == NVML_SUCCESS;
    return OK;
}

enum status meter_nvml_open(struct meter_driver *d, const char *library, unsigned gpu_index, struct err *err)
{
    void *p = NULL;
    enum status s = mem_alloc(&p, 1, sizeof(struct nvml), "NVML", err);
    if (s != OK)
        return s;
    struct nvml *n = p;
    s = load(n, library ? library : "libnvidia-ml.so.1", gpu_index, err);
    if (s != OK) {
        nvml_close(n);
        return s;
    }
    *d = (struct meter_driver){.source = "nvml", .state = n, .n_channels = n->has_power ? 2 : 1, .read = nvml_read,
                               .close = nvml_close};
    // The counter restarts with the driver, never by wrapping (64 bits of mJ).
    d->channels[0] = (struct meter_channel){.scope = "gpu", .kind = METER_COUNTER};
    (void)snprintf(d->channels[0].name, sizeof d->channels[0].name, "gpu%u", gpu_index);
    // Power is a 1 s average on Ampere and later: a check on the counter, not a second source.
    d->channels[1] = (struct meter_channel){.scope = "gpu", .kind = METER_POWER, .averaging_ns = UINT64_C(1000000000),
                                            .check_only = true};
    (void)snprintf(d->channels[1].name, sizeof d->channels[1].name, "gpu%u-power", gpu_index);
    return OK;
}
