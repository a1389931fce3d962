#define _GNU_SOURCE
#include "reports.h"
#include "manager.h"
#include "sha1.h"
#include "source.h"
#include "workload.h"
#include <fcntl.h>
#include <unistd.h>

#define MOST 400
#define WALL_SIZE 32

static const char *token, *spool;

void reports_begin(const char *given_token, const char *given_spool) {
    token = given_token;
    spool = given_spool;
    if (strlen(token) > 100) { fprintf(stderr, "the token is too long\n"); exit(2); }
}

/* The wall clock, as the dialplan writes it: UTC with milliseconds. */
static void read_wall_clock(char *wall) {
    struct timespec t;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &utc);
    size_t length = strftime(wall, WALL_SIZE, "%Y%m%d%H%M%S", &utc);
    sprintf(wall + length, "%03ld", t.tv_nsec / 1000000);
}

/* Appends " MAC" to a report of `length` bytes, and returns its new length. */
static int with_mac(char *report, int length) {
    char signed_text[MOST + 128], mac[41];
    sha1_hex(signed_text, (size_t)sprintf(signed_text, "%s,%.*s", token, length, report), mac);
    return length + sprintf(report + length, " %s", mac);
}

/* Sends the event of one of the call's two channels: `channel` is its unique id. */
static void send_event(long call, struct text channel, const char *report, int length) {
    struct text id = word_of(call, CALL_ID);
    char event[2048];
    int size = sprintf(event,
        "Event: UserEvent\r\nPrivilege: user,all\r\nChannel: PJSIP/carrier-%08lx\r\nChannelState: 6\r\nChannelStateDesc: Up\r\n"
        "CallerIDNum: +14155550123\r\nCallerIDName: <unknown>\r\nConnectedLineNum: <unknown>\r\nConnectedLineName: <unknown>\r\n"
        "Language: en\r\nAccountCode: \r\nContext: rented-numbers\r\nExten: +3225550001\r\nPriority: 42\r\nUniqueid: %.*s\r\n"
        "Linkedid: %.*s\r\nUserEvent: RentedNumbers\r\nReport: %.*s\r\n\r\n",
        call, channel.length, channel.from, id.length, id.from, length, report);
    manager_send_event(event, (size_t)size);
}

void report_answered(long call, int limit_seconds) {
    struct text id = word_of(call, CALL_ID), booking = word_of(call, BOOKING_ID), callee = word_of(call, CALLEE_ID);
    char report[MOST], wall[WALL_SIZE];
    read_wall_clock(wall);
    int length = snprintf(report, MOST - 50, "answered %.*s %.*s %.*s %d %s 7b1c3a44-1b1e-4d3c-9c49-1b2a3c4d5e6f", id.length, id.from, booking.length, booking.from,
                          callee.length, callee.from, limit_seconds, wall);
    send_event(call, callee, report, with_mac(report, length));
}

/* One write to the end of the file, which is opened for each line as FILE() opens it. */
static void append(const char *report, int length) {
    char line[MOST + 2];
    int fd = open(spool, O_WRONLY | O_CREAT | O_APPEND, 0660);
    if (fd < 0) die(spool);
    length = sprintf(line, "%.*s\n", length, report);
    if (write(fd, line, (size_t)length) != length) die(spool);
    close(fd);
}

void report_ended(long call, long answered_ms) {
    struct text id = word_of(call, CALL_ID), booking = word_of(call, BOOKING_ID);
    char report[MOST], wall[WALL_SIZE];
    read_wall_clock(wall);
    int length = snprintf(report, MOST - 50, "ended %.*s %.*s %ld ANSWER %s main  caller 16", id.length, id.from, booking.length, booking.from, answered_ms, wall);
    length = with_mac(report, length);
    append(report, length);
    send_event(call, id, report, length);
}
