/* Preloaded: SIPp takes its times from the kernel's coarse clock, which moves every few milliseconds only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return original(clock == CLOCK_MONOTONIC_COARSE ? CLOCK_MONOTONIC : clock, time);
}
