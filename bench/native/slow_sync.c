/* A preloaded library: every fsync and fdatasync takes SLOW_SYNC_MS longer, as on a slow disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void linger(void) {
    static long milliseconds = -1;
    if (milliseconds < 0) milliseconds = getenv("SLOW_SYNC_MS") ? atol(getenv("SLOW_SYNC_MS")) : 0;
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

int fsync(int fd) { linger(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { linger(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
