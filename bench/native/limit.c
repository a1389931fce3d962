/* The limit of the machine: the same conversations and the same durable steps as the engine's, and nothing else.
 * One thread, epoll, bookings in a table in memory, and a journal that is synced before any request is answered.
 * Requests and reports that come during a sync share the next one.
 *
 *     limit PORT JOURNAL BOOKINGS [AMI_PORT]
 *
 * BOOKINGS: a file of service numbers, one a line. Runs until it is killed. Without limits, checks, rules or lists.
 * AMI_PORT: calls ask once, and this program gets their two reports as events of the manager interface. Without it,
 * calls make three requests. Either way the journal gets a record of RECORD bytes for each step of each call.
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
#define EVENTS_BUFFER 262144
#define TABLE (1u << 21)
#define READY 256
/* About the size of a record of a call. */
#define RECORD 200

struct booking { char service[20]; int seconds, calls; };
struct peer { int fd, asked, sent, commands; size_t held; const char *const *script; char buffer[BUFFER]; };

static struct booking *table;
static struct peer *waiting[READY * 4];
static int journal, waiting_count, manager;
static char written[1 << 20];
static size_t written_count;

static const char *const ROUTE[] = {
    "SET VARIABLE ARRAY(RN_DESTINATION,RN_SHOWN,RN_BOOKING,RN_SECONDS,RN_RING,RN_VERDICT) "
    "\"+33199111111,+14155550123,bkg_01a206bf7ae277579d190ae0d5b05f1a,1800,30,BRIDGE\"\n"};
static const char *const ANSWERED[] = {"SET VARIABLE ARRAY(TIMEOUT(absolute),RN_LIMIT) \"1800.000,set\"\n"};
static const char *const ENDED[] = {"SET VARIABLE RN_SETTLED \"yes\"\n"};
static const char LOGIN[] = "Action: Login\r\nActionID: 1\r\nUsername: limit\r\nSecret: limit\r\nEvents: user\r\n\r\n";

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

/* Adds a record to the journal: the beginning of what came. Returns 0 if too much waits for a sync. */
static int add_record(const char *from, size_t length) {
    if (written_count + RECORD > sizeof written) return 0;
    memset(written + written_count, '\n', RECORD);
    memcpy(written + written_count, from, length < RECORD ? length : RECORD);
    written_count += RECORD;
    return 1;
}

/* Adds the request to the journal. It is answered once the journal is on the disk. */
static int decide(struct peer *peer) {
    size_t length, service_length;
    const char *script = value_of(peer, "agi_network_script: ", &length), *service = value_of(peer, "agi_arg_1: ", &service_length);
    if (!script || !service) return 0;
    peer->commands = 1;
    if (!strncmp(script, "route", 5)) {
        struct booking *booking = find(service, service_length);
        if (!booking->service[0] || booking->calls < 1) return 0;
        booking->calls--;
        peer->script = ROUTE;
    } else peer->script = strncmp(script, "answered", 8) ? ENDED : ANSWERED;
    if (!add_record(peer->buffer, peer->held)) return 0;
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

/* Takes the reports out of the events that have come. What is not complete stays for the next time. */
static void on_events(void) {
    static char buffer[EVENTS_BUFFER];
    static size_t held;
    ssize_t got = recv(manager, buffer + held, sizeof buffer - held, 0);
    if (got <= 0) { fprintf(stderr, "the manager interface has gone\n"); exit(1); }
    held += (size_t)got;
    char *from = buffer, *end;
    while ((end = memmem(from, held - (size_t)(from - buffer), "\r\n\r\n", 4))) {
        char *report = memmem(from, (size_t)(end - from), "\r\nReport: ", 10);
        if (report && !add_record(report + 10, (size_t)(end - report - 10))) die("too many reports at once");
        from = end + 4;
    }
    held -= (size_t)(from - buffer);
    memmove(buffer, from, held);
}

static void commit(void) {
    if (!written_count) return;
    if (write(journal, written, written_count) != (ssize_t)written_count || fdatasync(journal) < 0) die("journal");
    written_count = 0;
    for (int each = 0; each < waiting_count; each++) send_next(waiting[each]);
    waiting_count = 0;
}

static struct sockaddr_in loopback(const char *port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void log_in(const char *port, int poller) {
    struct sockaddr_in address = loopback(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &manager};
    manager = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(manager, (struct sockaddr *)&address, sizeof address) < 0) die("the manager interface");
    if (send(manager, LOGIN, sizeof LOGIN - 1, MSG_NOSIGNAL) < 0) die("login");
    epoll_ctl(poller, EPOLL_CTL_ADD, manager, &event);
}

static void accept_all(int listener, int poller) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct peer *peer = calloc(1, sizeof *peer);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = peer};
        peer->fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted);
        if (waiting_count > READY * 2) break;
    }
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) { fprintf(stderr, "usage: limit PORT JOURNAL BOOKINGS [AMI_PORT]\n"); return 2; }
    struct sockaddr_in address = loopback(argv[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[READY];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0), yes = 1;
    load(argv[3]);
    journal = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (journal < 0) die(argv[2]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) die("listen");
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    if (argc == 5) log_in(argv[4], poller);
    for (;;) {
        int ready = epoll_wait(poller, events, READY, -1);
        for (int each = 0; each < ready; each++) {
            void *ready_one = events[each].data.ptr;
            if (!ready_one) accept_all(listener, poller);
            else if (ready_one == &manager) on_events();
            else on_data(ready_one);
        }
        commit();
    }
}
