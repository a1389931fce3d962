#define _GNU_SOURCE
#include "manager.h"
#include "source.h"
#include "workload.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_PEERS 16
#define IN_BUFFER 65536

struct peer {
    struct source source;
    int fd, wants_events, blocked;
    size_t held, waiting, room;
    char *out, in[IN_BUFFER];
};

static const char BANNER[] = "Asterisk Call Manager/11.0.0\r\n";
static const char RIGHTS[] =
    "AbsoluteTimeout: Set absolute timeout.  (Priv: system,call,all)\r\nEvents: Control Event Flow.  (Priv: <none>)\r\n"
    "Filter: Dynamically add filters for the current manager session.  (Priv: system,all)\r\n"
    "Getvar: Gets a channel variable or function value.  (Priv: call,reporting,all)\r\n"
    "Hangup: Hangup channel.  (Priv: system,call,all)\r\nPing: Keepalive command.  (Priv: <none>)\r\n"
    "Redirect: Redirect (transfer) a call.  (Priv: call,all)\r\n"
    "Setvar: Sets a channel variable or function value.  (Priv: call,all)\r\n"
    "Status: List channel status.  (Priv: system,call,reporting,all)\r\n";

long unheard;
size_t longest_backlog;
static struct peer *peers[MOST_PEERS];
static struct source listener_source;
static int listener;

static void leave(struct peer *peer) {
    for (int each = 0; each < MOST_PEERS; each++) if (peers[each] == peer) peers[each] = NULL;
    close(peer->fd);
    free(peer->out);
    free(peer);
}

/* Sends what waits. Returns 0 if the peer is gone; the event loop then learns it from the socket. */
static void flush(struct peer *peer) {
    ssize_t sent = send(peer->fd, peer->out, peer->waiting, MSG_NOSIGNAL);
    if (sent < 0) sent = errno == EAGAIN ? 0 : (ssize_t)peer->waiting;
    peer->waiting -= (size_t)sent;
    memmove(peer->out, peer->out + sent, peer->waiting);
    if (!peer->waiting == !peer->blocked) return;
    peer->blocked = peer->waiting > 0;
    watch(EPOLL_CTL_MOD, peer->fd, peer->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, &peer->source);
}

static void put(struct peer *peer, const char *text, size_t length) {
    if (!peer->waiting) {
        ssize_t sent = send(peer->fd, text, length, MSG_NOSIGNAL);
        if (sent == (ssize_t)length) return;
        if (sent > 0) { text += sent; length -= (size_t)sent; }
    }
    if (peer->waiting + length > peer->room) peer->out = realloc(peer->out, peer->room = (peer->waiting + length) * 2);
    memcpy(peer->out + peer->waiting, text, length);
    peer->waiting += length;
    if (peer->waiting > longest_backlog) longest_backlog = peer->waiting;
    if (!peer->blocked) flush(peer);
}

/* The value of a field of an action, "" if it has none. */
static struct text field(const char *action, const char *name) {
    const char *found = strcasestr(action, name);
    if (!found) return (struct text){"", 0};
    found += strlen(name);
    return (struct text){found, (int)strcspn(found, "\r")};
}

static int add_channel(char *list, struct text id, struct text call, struct text action, int state, int bridged) {
    return sprintf(list,
        "Event: Status\r\nActionID: %.*s\r\nPrivilege: Call\r\nChannel: PJSIP/%.*s\r\nChannelState: %d\r\nChannelStateDesc: %s\r\n"
        "CallerIDNum: +14155550123\r\nCallerIDName: <unknown>\r\nConnectedLineNum: <unknown>\r\nConnectedLineName: <unknown>\r\n"
        "Language: en\r\nAccountCode: \r\nContext: rented-numbers\r\nExten: +3225550001\r\nPriority: 42\r\nUniqueid: %.*s\r\n"
        "Linkedid: %.*s\r\nType: PJSIP\r\nDNID: +3225550001\r\nEffectiveConnectedLineNum: <unknown>\r\n"
        "EffectiveConnectedLineName: <unknown>\r\nTimeToHangup: 0\r\nBridgeID: %s\r\nApplication: Dial\r\n"
        "Data: PJSIP/+33199111111@trunk,30,iIr\r\nNativeformats: (ulaw)\r\nReadformat: ulaw\r\nReadtrans: \r\nWriteformat: ulaw\r\n"
        "Writetrans: \r\nCallgroup: 0\r\nPickupgroup: 0\r\nSeconds: 0\r\n\r\n",
        action.length, action.from, id.length, id.from, state, state == 6 ? "Up" : "Ring", id.length, id.from, call.length, call.from,
        bridged ? "6d1b3c44-9a3f-4f6a-8c7e-0b8f5a1d2e3c" : "");
}

/* Lists the channels of all calls that are up: the caller's, and the callee's from the time it rings. */
static void list_channels(struct peer *peer, struct text action) {
    char part[4096];
    long channels = 0;
    put(peer, part, (size_t)sprintf(part, "Response: Success\r\nActionID: %.*s\r\nEventList: start\r\nMessage: Channel status will follow\r\n\r\n", action.length, action.from));
    for (long each = 0; each < calls; each++) {
        int state = call_states[each], bridged = state == TALKING;
        if (state == GONE) continue;
        struct text id = word_of(each, CALL_ID), callee = word_of(each, CALLEE_ID);
        int length = add_channel(part, id, id, action, bridged ? 6 : 4, bridged);
        if (state != ASKING) length += add_channel(part + length, callee, id, action, bridged ? 6 : 5, bridged);
        channels += state == ASKING ? 1 : 2;
        put(peer, part, (size_t)length);
    }
    put(peer, part, (size_t)sprintf(part, "Event: StatusComplete\r\nActionID: %.*s\r\nEventList: Complete\r\nListItems: %ld\r\nItems: %ld\r\n\r\n", action.length, action.from, channels, channels));
}

/* The call's limit; the channels from which an answer came, so that no trunk seems to be silent; nothing else. */
static const char *value_of(struct text variable) {
    if (!strncmp(variable.from, "TIMEOUT", 7)) return "1800.000";
    return strncmp(variable.from, "HANGUPCAUSE_KEYS", 16) ? "" : "PJSIP/trunk-main-00000001";
}

static void answer(struct peer *peer, const char *action) {
    struct text name = field(action, "action: "), id = field(action, "\nactionid: "), variable = field(action, "\nvariable: ");
    char text[2048], *end = text + sprintf(text, "Response: Success\r\nActionID: %.*s\r\n", id.length, id.from);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (!strncasecmp(name.from, "Status\r", 7)) { list_channels(peer, id); return; }
    if (!strncasecmp(name.from, "Login\r", 6)) {
        peer->wants_events = strncasecmp(field(action, "\nevents: ").from, "off", 3) != 0;
        end += sprintf(end, "Message: Authentication accepted\r\n");
    } else if (!strncasecmp(name.from, "Ping\r", 5)) end += sprintf(end, "Ping: Pong\r\nTimestamp: %ld.%06ld\r\n", (long)t.tv_sec, t.tv_nsec / 1000);
    else if (!strncasecmp(name.from, "ListCommands\r", 13)) end += sprintf(end, "%s", RIGHTS);
    else if (!strncasecmp(name.from, "Getvar\r", 7))
        end += sprintf(end, "Variable: %.*s\r\nValue: %s\r\n", variable.length, variable.from, value_of(variable));
    else end += sprintf(end, "Message: done\r\n");
    end += sprintf(end, "\r\n");
    put(peer, text, (size_t)(end - text));
}

static void on_peer(struct source *source, uint32_t events) {
    struct peer *peer = (struct peer *)source;
    if (events & EPOLLOUT) flush(peer);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t got = recv(peer->fd, peer->in + peer->held, IN_BUFFER - 1 - peer->held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { leave(peer); return; }
    peer->held += (size_t)got;
    peer->in[peer->held] = 0;
    char *from = peer->in, *end;
    while ((end = strstr(from, "\r\n\r\n"))) {
        end[2] = 0; /* the fields' last line end stays */
        answer(peer, from);
        from = end + 4;
    }
    peer->held -= (size_t)(from - peer->in);
    memmove(peer->in, from, peer->held);
}

static void on_listener(struct source *source, uint32_t events) {
    (void)source; (void)events;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), yes = 1, place = 0;
    if (fd < 0) return;
    while (place < MOST_PEERS && peers[place]) place++;
    if (place == MOST_PEERS) { close(fd); return; }
    struct peer *peer = peers[place] = calloc(1, sizeof *peer);
    peer->source.ready = on_peer;
    peer->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* as Asterisk does */
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, &peer->source);
    put(peer, BANNER, sizeof BANNER - 1);
}

void manager_listen(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) die("the manager's port");
    listener_source.ready = on_listener;
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener_source);
}

int manager_has_listener(void) {
    for (int each = 0; each < MOST_PEERS; each++) if (peers[each] && peers[each]->wants_events) return 1;
    return 0;
}

void manager_send_event(const char *event, size_t length) {
    int heard = 0;
    for (int each = 0; each < MOST_PEERS; each++) {
        if (!peers[each] || !peers[each]->wants_events) continue;
        put(peers[each], event, length);
        heard = 1;
    }
    unheard += !heard;
}
