/* Sends HTTP requests over persistent connections; each connection sends its next request when it has its answer.
 *
 *     http_client PORT REQUESTS COUNT SLOTS STATUS
 *
 * REQUESTS: a file of whole requests, each behind its length (32 bits, little endian), sent in turn. SLOTS: connections.
 * STATUS: the status that every answer must have. Every answer must have a Content-Length as well.
 * Prints one line of JSON. Times are microseconds; `busy` is this program's own share of its core.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SLOTS 1024
#define BUFFER (1 << 18)
#define GIVE_UP_SECONDS 60

struct slot {
    int fd;
    uint64_t began;
    size_t held;
    char buffer[BUFFER];
};

static const unsigned char *all, *end_of_all, *next_request;
static long count, begun, done, failed, wanted_status;
static unsigned long long received;
static uint32_t *took;

static void die(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void load(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) < 0) die(path);
    all = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (all == MAP_FAILED) die("mmap");
    end_of_all = all + about.st_size;
    next_request = all;
}

static void send_next(struct slot *slot) {
    uint32_t length;
    if (begun >= count) return;
    begun++;
    memcpy(&length, next_request, 4);
    slot->held = 0;
    slot->began = now();
    if (send(slot->fd, next_request + 4, length, MSG_NOSIGNAL) != (ssize_t)length) die("send");
    next_request += 4 + length;
    if (next_request >= end_of_all) next_request = all;
}

/* The length of the whole answer in bytes; 0 while it is unknown. */
static size_t length_of(struct slot *slot) {
    char *blank = memmem(slot->buffer, slot->held, "\r\n\r\n", 4), *line;
    if (!blank) return 0;
    for (line = slot->buffer; line < blank; line = (char *)memchr(line, '\n', (size_t)(blank + 2 - line)) + 1)
        if (!strncasecmp(line, "Content-Length:", 15)) return (size_t)(blank + 4 - slot->buffer) + (size_t)atol(line + 15);
    fprintf(stderr, "an answer without a length\n");
    exit(1);
}

static void on_data(struct slot *slot) {
    ssize_t got = recv(slot->fd, slot->buffer + slot->held, BUFFER - slot->held, MSG_DONTWAIT);
    size_t length;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { fprintf(stderr, "the server has closed the connection\n"); exit(1); }
    slot->held += (size_t)got;
    if (!(length = length_of(slot)) || slot->held < length) {
        if (slot->held == BUFFER) { fprintf(stderr, "an answer that is too long\n"); exit(1); }
        return;
    }
    took[done++] = (uint32_t)((now() - slot->began) / 1000);
    received += slot->held;
    if (atol(slot->buffer + 9) != wanted_status && !failed++) fprintf(stderr, "%.*s\n", (int)slot->held, slot->buffer);
    send_next(slot);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(double part) { return took[(long)((double)(done - 1) * part)]; }

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 6) { fprintf(stderr, "usage: http_client PORT REQUESTS COUNT SLOTS STATUS\n"); return 2; }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    long slots = atol(argv[4]);
    int poller = epoll_create1(0), one = 1;
    struct epoll_event events[64];
    load(argv[2]);
    count = atol(argv[3]);
    wanted_status = atol(argv[5]);
    if (slots < 1 || slots > MAX_SLOTS || count < 1) { fprintf(stderr, "too many, or none\n"); return 2; }
    took = malloc(sizeof *took * (size_t)count);
    struct slot *each, *slot = calloc((size_t)slots, sizeof *slot);
    for (each = slot; each < slot + slots; each++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = each};
        each->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (each->fd < 0 || connect(each->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
        setsockopt(each->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, each->fd, &wanted) < 0) die("epoll_ctl");
    }
    double before = cpu();
    uint64_t start = now();
    for (each = slot; each < slot + slots; each++) send_next(each);
    while (done < count) {
        int ready = epoll_wait(poller, events, 64, GIVE_UP_SECONDS * 1000);
        if (ready == 0) { fprintf(stderr, "nothing comes\n"); return 1; }
        for (int number = 0; number < ready; number++) on_data(events[number].data.ptr);
    }
    double seconds = (double)(now() - start) / 1e9, used = cpu() - before;
    qsort(took, (size_t)done, sizeof *took, ascending);
    printf("{\"requests\": %ld, \"failed\": %ld, \"seconds\": %.6f, \"busy\": %.4f, \"bytes\": %llu, \"p50\": %u, \"p99\": %u, \"p999\": %u}\n",
           done, failed, seconds, used / seconds, received, quantile(0.5), quantile(0.99), quantile(0.999));
    return 0;
}
