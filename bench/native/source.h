/* What the event loop of the generator knows of each file descriptor, and helpers that all its parts use. */
#ifndef SOURCE_H
#define SOURCE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

/* The first member of everything that epoll reports: what to do when it is ready. */
struct source { void (*ready)(struct source *self, uint32_t events); };

extern int poller;

static inline void die(const char *what) { perror(what); exit(1); }

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void watch(int operation, int fd, uint32_t events, struct source *source) {
    struct epoll_event wanted = {.events = events, .data.ptr = source};
    if (epoll_ctl(poller, operation, fd, &wanted) < 0) die("epoll_ctl");
}
#endif
