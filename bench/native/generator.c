/* Plays whole calls as Asterisk does, in one of two shapes (the workload says which):
 *
 *   three requests   a FastAGI connection for each of route, answered, ended
 *   ask once         one FastAGI connection for route; then two events of the manager interface (answered, ended), of
 *                    which the end also goes to the end spool
 *
 * In a FastAGI connection each header line is one write, and each command gets one answer, until the server closes.
 *
 *     generator WORKLOAD FASTAGI_PORT [AMI_PORT TOKEN SPOOL]
 *
 * WORKLOAD: see bench/workload.py. Each line on standard input plays a round; a line of JSON answers it:
 *
 *     FIRST COUNT STEPS SLOTS RATE PAUSE PATIENT
 *
 * STEPS: how much of each call is played (3: all). SLOTS: requests at once; a call of three requests holds its slot to
 * its end, a call that asks once until it has been put through. RATE 0 is a closed loop: each slot begins a call when it
 * is free. Any other RATE is an open loop: RATE calls begin in each second, whatever happened to the others, and the time
 * of a route runs from when it was due. PAUSE: microseconds that a call that asks once rings, and then talks. PATIENT 1:
 * a slot holds its call to the end, and rests for PAUSE after each step, so that the server has done each step before
 * the next one comes.
 * Times in the answer are microseconds; `began` and `sent` are seconds of CLOCK_MONOTONIC. `busy` is this program's share
 * of its core. `behind` is the longest delay with which a call of the open loop began.
 */
#define _GNU_SOURCE
#include "manager.h"
#include "reports.h"
#include "source.h"
#include "timings.h"
#include "workload.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_SLOTS 4096
#define BUFFER 8192
static const char OK[] = "200 result=1\n";
/* The end of the command that sets RN_VERDICT, alone or as the last of several variables. */
static const char BRIDGE[] = "BRIDGE\"";

struct slot {
    struct source source;
    int fd, step, connected, bridged, limit;
    long call;
    uint64_t due, began;
    size_t held;
    char buffer[BUFFER];
};

/* Something to do at a time. Each queue is in order, because everything in it waits equally long. */
struct due { uint64_t at, since; long call; int limit; struct slot *slot; };
struct queue { struct due *all; long head, tail; void (*act)(const struct due *); };

struct round {
    long first, count, next, done, failed, bridged;
    int steps, slots, patient, playing;
    double rate, cpu;
    uint64_t pause, start, behind;
};

int poller;
static struct round now_played;
static struct slot all_slots[MAX_SLOTS];
static struct queue answers, ends, rests;
static int port, timer;

static void add(struct queue *queue, long call, int limit, struct slot *slot) {
    uint64_t time = now();
    queue->all[queue->tail++] = (struct due){time + now_played.pause, time, call, limit, slot};
}

static uint64_t next_due(void) { return now_played.start + (uint64_t)((double)now_played.next / now_played.rate * 1e9); }

static void begin_step(struct slot *slot) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (slot->fd < 0) die("socket");
    slot->connected = 0;
    slot->held = 0;
    slot->began = now();
    if (connect(slot->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) die("connect");
    watch(EPOLL_CTL_ADD, slot->fd, EPOLLOUT, &slot->source);
}

static void begin_call(struct slot *slot) {
    slot->fd = -1;
    if (now_played.next >= now_played.count) return;
    slot->due = now_played.rate > 0 ? next_due() : 0;
    slot->call = now_played.first + now_played.next++;
    slot->step = slot->bridged = 0;
    slot->limit = 0;
    call_states[slot->call] = ASKING;
    begin_step(slot);
}

static void send_lines(struct slot *slot) {
    const unsigned char *line = request_of(slot->call, slot->step);
    uint32_t lines = number_at(line);
    line += 4;
    while (lines--) {
        uint32_t length = number_at(line);
        if (send(slot->fd, line + 4, length, MSG_NOSIGNAL) < 0) return; /* reading the socket's end shows the failure */
        line += 4 + length;
    }
}

/* Returns the value that `SET VARIABLE ARRAY(NAME,...) "VALUE,..."` gives to a name. No value has a comma. */
static const char *value_of(const char *name, const char *from, const char *end) {
    size_t length = strlen(name);
    const char *at = memchr(from, '(', (size_t)(end - from));
    int before = 0;
    for (; at && *at != ')' && end - at > (long)length + 1; before++) {
        if (!memcmp(++at, name, length) && (at[length] == ',' || at[length] == ')')) break;
        while (at < end && *at != ',' && *at != ')') at++;
    }
    if (at && (at = memchr(at, '"', (size_t)(end - at)))) at++;
    while (at && before--) if ((at = memchr(at, ',', (size_t)(end - at)))) at++;
    if (!at) { fprintf(stderr, "the verdict does not set %s: %.*s\n", name, (int)(end - from), from); exit(1); }
    return at;
}

/* Notes the verdict if this command has it, and how long the call may last. */
static void read_command(struct slot *slot, const char *from, const char *end) {
    if (end - from < (long)sizeof BRIDGE - 1 || memcmp(end - (sizeof BRIDGE - 1), BRIDGE, sizeof BRIDGE - 1)) return;
    slot->bridged = 1;
    if (reports_calls) slot->limit = atoi(value_of("RN_SECONDS", from, end));
}

/* Answers every complete line in the buffer. */
static void answer(struct slot *slot) {
    char *from = slot->buffer, *end = slot->buffer + slot->held, *newline;
    while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
        read_command(slot, from, newline);
        if (send(slot->fd, OK, sizeof OK - 1, MSG_NOSIGNAL) < 0) break;
        from = newline + 1;
    }
    slot->held = (size_t)(end - from);
    memmove(slot->buffer, from, slot->held);
}

/* The slot has done a step or a call: what it does next begins now, or after a rest. */
static void go_on(struct slot *slot) {
    if (now_played.patient) { slot->fd = -1; add(&rests, slot->call, 0, slot); }
    else if (slot->step) begin_step(slot);
    else if (now_played.rate > 0) slot->fd = -1;
    else begin_call(slot);
}

static void after_rest(const struct due *due) { if (due->slot->step) begin_step(due->slot); else begin_call(due->slot); }

/* The call is over. `slot`: the one that it held, if it held any. */
static void end_call(long call, struct slot *slot) {
    now_played.done++;
    if (now_played.steps == MAX_STEPS || now_played.steps == 1) call_states[call] = GONE;
    if (slot) { slot->step = 0; go_on(slot); }
}

static void answer_call(const struct due *due) {
    call_states[due->call] = TALKING;
    report_answered(due->call, due->limit);
    if (now_played.steps == 2) end_call(due->call, due->slot);
    else add(&ends, due->call, 0, due->slot);
}

static void hang_up(const struct due *due) {
    call_states[due->call] = GONE; /* before the report, as a list that comes now must not have it any more */
    report_ended(due->call, (long)((now() - due->since) / 1000000));
    end_call(due->call, due->slot);
}

static void put_through(struct slot *slot) {
    now_played.bridged++;
    if (now_played.steps == 1) { end_call(slot->call, slot); return; }
    call_states[slot->call] = RINGING;
    add(&answers, slot->call, slot->limit, now_played.patient ? slot : NULL);
    if (!now_played.patient) { slot->step = 0; go_on(slot); }
}

static void end_step(struct slot *slot) {
    uint64_t from = slot->step == 0 && slot->due ? slot->due : slot->began;
    close(slot->fd);
    note_timing(slot->step, now() - from);
    if (slot->step == 0 && !slot->bridged) { now_played.failed++; call_states[slot->call] = GONE; end_call(slot->call, slot); return; }
    if (reports_calls) { put_through(slot); return; }
    if (++slot->step < now_played.steps) { go_on(slot); return; }
    now_played.bridged++;
    end_call(slot->call, slot);
}

static void on_slot(struct source *source, uint32_t events) {
    struct slot *slot = (struct slot *)source;
    if (!slot->connected && events & EPOLLOUT) {
        slot->connected = 1;
        watch(EPOLL_CTL_MOD, slot->fd, EPOLLIN, &slot->source);
        send_lines(slot);
        return;
    }
    ssize_t got = recv(slot->fd, slot->buffer + slot->held, BUFFER - slot->held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { end_step(slot); return; }
    slot->held += (size_t)got;
    answer(slot);
}

/* Begins the calls of an open loop that are due, as far as slots are free. */
static void begin_due(void) {
    for (int each = 0; each < now_played.slots && now_played.next < now_played.count; each++) {
        uint64_t due = next_due(), time = now();
        if (due > time) return;
        if (all_slots[each].fd >= 0) continue;
        if (time - due > now_played.behind) now_played.behind = time - due;
        begin_call(&all_slots[each]);
    }
}

static uint64_t do_due(struct queue *queue, uint64_t earliest) {
    while (queue->head < queue->tail && queue->all[queue->head].at <= now()) queue->act(&queue->all[queue->head++]);
    return queue->head < queue->tail && queue->all[queue->head].at < earliest ? queue->all[queue->head].at : earliest;
}

/* Does everything that is due, and sets the timer to what comes next. */
static void do_all_due(void) {
    static uint64_t set_to;
    uint64_t next = UINT64_MAX;
    if (now_played.rate > 0) {
        begin_due();
        if (now_played.next < now_played.count) next = next_due();
    }
    next = do_due(&rests, do_due(&ends, do_due(&answers, next)));
    if (next == set_to || next == UINT64_MAX) return;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
    set_to = next;
}

static void report(void) {
    uint64_t end = now();
    printf("{\"calls\": %ld, \"bridged\": %ld, \"failed\": %ld, \"began\": %.6f, \"sent\": %.6f, \"busy\": %.4f, \"behind\": %lu, \"unheard\": %ld, \"backlog\": %zu",
           now_played.done, now_played.bridged, now_played.failed, (double)now_played.start / 1e9, (double)end / 1e9,
           (own_cpu() - now_played.cpu) / ((double)(end - now_played.start) / 1e9), (unsigned long)(now_played.behind / 1000), unheard, longest_backlog);
    print_timings();
    printf("}\n");
    fflush(stdout);
    now_played.playing = 0;
}

static void begin_round(void) {
    now_played.playing = 1;
    now_played.cpu = own_cpu();
    now_played.start = now();
    for (int each = 0; each < now_played.slots; each++) {
        all_slots[each].fd = -1;
        if (now_played.rate == 0) begin_call(&all_slots[each]);
    }
}

/* Reads the order of the next round. The program that sends orders waits for each answer, so there is one at a time. */
static void on_order(struct source *source, uint32_t events) {
    char order[256];
    ssize_t got = read(0, order, sizeof order - 1);
    (void)source; (void)events;
    if (got <= 0) exit(0);
    order[got] = 0;
    struct round *round = &now_played;
    *round = (struct round){0};
    if (sscanf(order, "%ld %ld %d %d %lf %lu %d", &round->first, &round->count, &round->steps, &round->slots, &round->rate, &round->pause, &round->patient) != 7 ||
        round->count < 1 || round->first + round->count > calls || round->steps < 1 || round->steps > MAX_STEPS || round->slots < 1 || round->slots > MAX_SLOTS) {
        fprintf(stderr, "not a round, or one with too much: %s", order);
        exit(2);
    }
    round->pause *= 1000;
    unheard = 0;
    longest_backlog = 0;
    clear_timings();
    answers.head = answers.tail = ends.head = ends.tail = rests.head = rests.tail = 0;
}

static void on_timer(struct source *source, uint32_t events) {
    uint64_t expirations;
    (void)source; (void)events;
    if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timerfd");
}

int main(int argc, char **argv) {
    static struct source order = {on_order}, ticks = {on_timer};
    struct epoll_event events[256];
    if (argc != 3 && argc != 6) { fprintf(stderr, "usage: generator WORKLOAD FASTAGI_PORT [AMI_PORT TOKEN SPOOL]\n"); return 2; }
    load_workload(argv[1]);
    port = atoi(argv[2]);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(EPOLL_CTL_ADD, timer, EPOLLIN, &ticks);
    watch(EPOLL_CTL_ADD, 0, EPOLLIN, &order);
    if (argc == 6) { manager_listen(atoi(argv[3])); reports_begin(argv[4], argv[5]); }
    answers = (struct queue){malloc(sizeof(struct due) * (size_t)calls), 0, 0, answer_call};
    ends = (struct queue){malloc(sizeof(struct due) * (size_t)calls), 0, 0, hang_up};
    rests = (struct queue){malloc(sizeof(struct due) * (size_t)calls * MAX_STEPS), 0, 0, after_rest};
    make_timings(calls);
    for (int each = 0; each < MAX_SLOTS; each++) { all_slots[each].fd = -1; all_slots[each].source.ready = on_slot; }
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int each = 0; each < ready; each++) {
            struct source *source = events[each].data.ptr;
            source->ready(source, events[each].events);
        }
        if (now_played.count && !now_played.playing && (!reports_calls || manager_has_listener())) begin_round();
        if (!now_played.playing) continue;
        do_all_due();
        if (now_played.done == now_played.count) { now_played.count = 0; report(); }
    }
}
