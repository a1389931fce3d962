/* Plays whole calls against a FastAGI server, as Asterisk does: one connection for each script, one write for each
 * header line, one answer for each command, until the server closes.
 *
 *     generator PORT WORKLOAD FIRST COUNT STEPS SLOTS RATE
 *
 * WORKLOAD: see bench/workload.py. STEPS: how many scripts of a call are played (3: all). SLOTS: calls at once.
 * RATE 0 is a closed loop: each slot begins a call when its last one has ended. Any other RATE is an open loop: RATE
 * calls begin in each second, whatever happened to the others, and the time of a route runs from when it was due.
 * Prints one line of JSON. Times are microseconds. `busy` is this program's share of its core. `behind` is the longest
 * delay with which a call of the open loop began, because no slot was free or this program was late.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS 3
#define MAX_SLOTS 4096
#define BUFFER 8192
#define GIVE_UP_SECONDS 60

static const char OK[] = "200 result=1\n";
/* The end of the command that sets RN_VERDICT, alone or as the last of several variables. */
static const char BRIDGE[] = "BRIDGE\"";

struct slot {
    int fd, step, connected, bridged;
    long call;
    uint64_t due, began;
    size_t held;
    char buffer[BUFFER];
};

static const unsigned char *steps_of_calls, **at;
static long first, count, next_call, done, failed, bridged_calls;
static int steps, slots, port, poller;
static double rate;
static uint64_t behind;
static uint32_t *took[MAX_STEPS];
static long took_count[MAX_STEPS];
static uint64_t start;

static void die(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t word(const unsigned char *from) { uint32_t value; memcpy(&value, from, 4); return value; }

static const unsigned char *after_step(const unsigned char *step) {
    uint32_t lines = word(step);
    step += 4;
    while (lines--) step += 4 + word(step);
    return step;
}

static void load(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) < 0) die(path);
    const unsigned char *all = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (all == MAP_FAILED) die("mmap");
    long calls = (long)word(all);
    if (first + count > calls) { fprintf(stderr, "the workload has %ld calls\n", calls); exit(1); }
    at = malloc(sizeof *at * (size_t)calls * MAX_STEPS);
    steps_of_calls = all + 4;
    for (long each = 0; each < calls * MAX_STEPS; each++) { at[each] = steps_of_calls; steps_of_calls = after_step(steps_of_calls); }
}

static void begin_step(struct slot *slot) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event wanted = {.events = EPOLLOUT, .data.ptr = slot};
    slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (slot->fd < 0) die("socket");
    slot->connected = 0;
    slot->held = 0;
    slot->began = now();
    if (connect(slot->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) die("connect");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, slot->fd, &wanted) < 0) die("epoll_ctl");
}

static uint64_t next_due(void) { return start + (uint64_t)((double)next_call / rate * 1e9); }

static int begin_call(struct slot *slot) {
    slot->fd = -1;
    if (next_call >= count) return 0;
    slot->due = rate > 0 ? next_due() : 0;
    slot->call = first + next_call++;
    slot->step = 0;
    slot->bridged = 0;
    begin_step(slot);
    return 1;
}

static void send_lines(struct slot *slot) {
    const unsigned char *line = at[slot->call * MAX_STEPS + slot->step];
    uint32_t lines = word(line);
    line += 4;
    while (lines--) {
        uint32_t length = word(line);
        if (send(slot->fd, line + 4, length, MSG_NOSIGNAL) < 0) return; /* reading the socket's end shows the failure */
        line += 4 + length;
    }
}

/* Answers every complete line in the buffer. */
static void answer(struct slot *slot) {
    char *from = slot->buffer, *end = slot->buffer + slot->held, *newline;
    while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
        if ((size_t)(newline - from) >= sizeof BRIDGE - 1 && !memcmp(newline - (sizeof BRIDGE - 1), BRIDGE, sizeof BRIDGE - 1)) slot->bridged = 1;
        if (send(slot->fd, OK, sizeof OK - 1, MSG_NOSIGNAL) < 0) break;
        from = newline + 1;
    }
    slot->held = (size_t)(end - from);
    memmove(slot->buffer, from, slot->held);
}

/* Returns 1 if the slot goes on with another step or call. */
static int end_step(struct slot *slot) {
    uint64_t from = slot->step == 0 && slot->due ? slot->due : slot->began;
    close(slot->fd);
    took[slot->step][took_count[slot->step]++] = (uint32_t)((now() - from) / 1000);
    if (slot->step == 0 && !slot->bridged) { failed++; done++; return rate > 0 ? (slot->fd = -1, 0) : begin_call(slot); }
    if (++slot->step < steps) { begin_step(slot); return 1; }
    bridged_calls++;
    done++;
    return rate > 0 ? (slot->fd = -1, 0) : begin_call(slot);
}

static void on_event(struct slot *slot, uint32_t events) {
    if (!slot->connected && events & EPOLLOUT) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = slot};
        slot->connected = 1;
        epoll_ctl(poller, EPOLL_CTL_MOD, slot->fd, &wanted);
        send_lines(slot);
        return;
    }
    ssize_t got = recv(slot->fd, slot->buffer + slot->held, BUFFER - slot->held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { end_step(slot); return; }
    slot->held += (size_t)got;
    answer(slot);
}

/* Begins the calls that are due, as far as slots are free, and sets the timer to the next one. */
static void begin_due(struct slot *all, int timer) {
    static uint64_t set_to;
    for (int each = 0; each < slots && next_call < count; each++) {
        uint64_t due = next_due(), time = now();
        if (due > time) {
            if (due == set_to) return;
            set_to = due;
            struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)}};
            if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
            return;
        }
        if (all[each].fd >= 0) continue;
        if (time - due > behind) behind = time - due;
        begin_call(&all[each]);
    }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(int step, double part) {
    long n = took_count[step];
    return n ? took[step][(long)((double)(n - 1) * part)] : 0;
}

static void report(double seconds) {
    static const char *names[] = {"route", "answered", "ended"};
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"calls\": %ld, \"bridged\": %ld, \"failed\": %ld, \"seconds\": %.6f, \"busy\": %.4f, \"behind\": %lu", done, bridged_calls, failed, seconds, cpu / seconds,
           (unsigned long)(behind / 1000));
    for (int step = 0; step < steps; step++) {
        qsort(took[step], (size_t)took_count[step], sizeof(uint32_t), ascending);
        printf(", \"%s\": {\"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}", names[step], quantile(step, 0.5),
               quantile(step, 0.99), quantile(step, 0.999), quantile(step, 1));
    }
    printf("}\n");
}

int main(int argc, char **argv) {
    if (argc != 8) { fprintf(stderr, "usage: generator PORT WORKLOAD FIRST COUNT STEPS SLOTS RATE\n"); return 2; }
    port = atoi(argv[1]); first = atol(argv[3]); count = atol(argv[4]); steps = atoi(argv[5]); slots = atoi(argv[6]); rate = atof(argv[7]);
    if (steps < 1 || steps > MAX_STEPS || slots < 1 || slots > MAX_SLOTS) { fprintf(stderr, "too many\n"); return 2; }
    load(argv[2]);
    for (int step = 0; step < steps; step++) took[step] = malloc(sizeof(uint32_t) * (size_t)count);
    struct slot *all = calloc((size_t)slots, sizeof *all);
    struct epoll_event events[256];
    poller = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event ticks = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &ticks) < 0) die("timerfd");
    start = now();
    for (int each = 0; each < slots; each++) { all[each].fd = -1; if (rate == 0) begin_call(&all[each]); }
    while (done < count) {
        if (rate > 0) begin_due(all, timer);
        int ready = epoll_wait(poller, events, 256, 1000);
        if (ready == 0 && now() - start > (uint64_t)GIVE_UP_SECONDS * 10 * 1000000000u) { fprintf(stderr, "nothing comes\n"); return 1; }
        for (int each = 0; each < ready; each++) {
            uint64_t expirations;
            if (events[each].data.ptr) on_event(events[each].data.ptr, events[each].events);
            else if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timerfd");
        }
    }
    report((double)(now() - start) / 1e9);
    return 0;
}
