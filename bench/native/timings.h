/* How long each step of the calls took, and the CPU of this program. */
#ifndef TIMINGS_H
#define TIMINGS_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MAX_STEPS 3

static uint32_t *took[MAX_STEPS];
static long took_count[MAX_STEPS];

static void make_timings(long calls) { for (int step = 0; step < MAX_STEPS; step++) took[step] = malloc(sizeof(uint32_t) * (size_t)calls); }

static void clear_timings(void) { for (int step = 0; step < MAX_STEPS; step++) took_count[step] = 0; }

static void note_timing(int step, uint64_t nanoseconds) { took[step][took_count[step]++] = (uint32_t)(nanoseconds / 1000); }

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Prints the percentiles of each step that was played, in microseconds, as further members of a JSON object. */
static void print_timings(void) {
    static const char *names[MAX_STEPS] = {"route", "answered", "ended"};
    for (int step = 0; step < MAX_STEPS; step++) {
        long n = took_count[step];
        if (!n) continue;
        qsort(took[step], (size_t)n, sizeof(uint32_t), ascending);
        printf(", \"%s\": {\"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}", names[step], took[step][(n - 1) / 2],
               took[step][(long)((double)(n - 1) * 0.99)], took[step][(long)((double)(n - 1) * 0.999)], took[step][n - 1]);
    }
}

/* Seconds that this program has used so far. */
static double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}
#endif
