/* A preloaded library: gives SIPp a fine clock in place of the kernel's coarse one, which moves every few
 * milliseconds only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return original(clock == CLOCK_MONOTONIC_COARSE ? CLOCK_MONOTONIC : clock, time);
}
