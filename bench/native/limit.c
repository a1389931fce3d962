/* The limit of the machine: the same AGI conversation and the same durable steps as the engine's, and nothing else.
 * One thread, epoll, bookings in a table in memory, and a journal that is synced before any request is answered.
 * Requests that come during a sync share the next one.
 *
 *     limit PORT JOURNAL BOOKINGS
 *
 * BOOKINGS: a file of service numbers, one a line. Runs until it is killed. Without limits, checks, rules or lists.
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
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 8192
#define TABLE (1u << 21)
#define READY 256

struct booking { char service[20]; int seconds, calls; };
struct peer { int fd, asked, sent, commands; size_t held; const char *const *script; char buffer[BUFFER]; };

static struct booking *table;
static struct peer *waiting[READY * 4];
static int journal, waiting_count;
static char written[1 << 20];
static size_t written_count;

static const char *const ROUTE[] = {
    "SET VARIABLE ARRAY(RN_DESTINATION,RN_SHOWN,RN_BOOKING,RN_SECONDS,RN_RING,RN_VERDICT) "
    "\"+33199111111,+14155550123,bkg_01a206bf7ae277579d190ae0d5b05f1a,1800,30,BRIDGE\"\n"};
static const char *const ANSWERED[] = {"SET VARIABLE ARRAY(TIMEOUT(absolute),RN_LIMIT) \"1800.000,set\"\n"};
static const char *const ENDED[] = {"SET VARIABLE RN_SETTLED \"yes\"\n"};

static void die(const char *what) { perror(what); exit(1); }

static struct booking *find(const char *service, size_t length) {
    uint32_t hash = 2166136261u;
    for (size_t each = 0; each < length; each++) hash = (hash ^ (unsigned char)service[each]) * 16777619u;
    for (uint32_t place = hash;; place++) {
        struct booking *booking = &table[place & (TABLE - 1)];
        if (!booking->service[0] || (!strncmp(booking->service, service, length) && !booking->service[length])) return booking;
    }
}

static void load(const char *path) {
    char line[64];
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    table = calloc(TABLE, sizeof *table);
    while (fgets(line, sizeof line, file)) {
        size_t length = strcspn(line, "\n");
        struct booking *booking = find(line, length);
        memcpy(booking->service, line, length < 19 ? length : 19);
        booking->seconds = booking->calls = 1 << 30;
    }
    fclose(file);
}

static const char *value_of(struct peer *peer, const char *key, size_t *length) {
    char *found = memmem(peer->buffer, peer->held, key, strlen(key));
    if (!found) return NULL;
    found += strlen(key);
    char *end = memchr(found, '\n', (size_t)(peer->buffer + peer->held - found));
    *length = (size_t)(end - found);
    return found;
}

/* Adds the request to the journal. It is answered once the journal is on the disk. */
static int decide(struct peer *peer) {
    size_t length, service_length;
    const char *script = value_of(peer, "agi_network_script: ", &length), *service = value_of(peer, "agi_arg_1: ", &service_length);
    if (!script || !service) return 0;
    if (!strncmp(script, "route", 5)) {
        struct booking *booking = find(service, service_length);
        if (!booking->service[0] || booking->calls < 1) return 0;
        booking->calls--;
        peer->script = ROUTE; peer->commands = 1;
    } else if (!strncmp(script, "answered", 8)) { peer->script = ANSWERED; peer->commands = 1; }
    else { peer->script = ENDED; peer->commands = 1; }
    size_t record = peer->held < 200 ? peer->held : 200; /* about the size of a journal record */
    if (written_count + record > sizeof written) return 0;
    memcpy(written + written_count, peer->buffer, record);
    written_count += record;
    waiting[waiting_count++] = peer;
    return 1;
}

static void leave(struct peer *peer) { close(peer->fd); free(peer); }

static void send_next(struct peer *peer) {
    const char *command = peer->script[peer->sent++];
    if (send(peer->fd, command, strlen(command), MSG_NOSIGNAL) < 0) leave(peer);
}

static void on_data(struct peer *peer) {
    ssize_t got = recv(peer->fd, peer->buffer + peer->held, BUFFER - peer->held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { leave(peer); return; }
    peer->held += (size_t)got;
    if (!peer->asked) {
        if (peer->held < 2 || memcmp(peer->buffer + peer->held - 2, "\n\n", 2)) return;
        peer->asked = 1;
        if (!decide(peer)) leave(peer); else peer->held = 0;
        return;
    }
    if (peer->buffer[peer->held - 1] != '\n') return;
    peer->held = 0;
    if (peer->sent == peer->commands) leave(peer); else send_next(peer);
}

static void commit(void) {
    if (!waiting_count) return;
    if (write(journal, written, written_count) != (ssize_t)written_count || fdatasync(journal) < 0) die("journal");
    written_count = 0;
    for (int each = 0; each < waiting_count; each++) send_next(waiting[each]);
    waiting_count = 0;
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: limit PORT JOURNAL BOOKINGS\n"); return 2; }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[READY];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0), yes = 1;
    load(argv[3]);
    journal = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (journal < 0) die(argv[2]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) die("listen");
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, READY, -1);
        for (int each = 0; each < ready; each++) {
            struct peer *peer = events[each].data.ptr;
            if (peer) { on_data(peer); continue; }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                peer = calloc(1, sizeof *peer);
                peer->fd = fd;
                struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = peer};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted);
                if (waiting_count > READY * 2) break;
            }
        }
        commit();
    }
}
