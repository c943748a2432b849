#include "base/clock.h"

#include <time.h>

uint64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); // cannot fail on Linux with a valid id and pointer
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
