/* The two reports of a call that has been put through, as the dialplan sends them. */
#ifndef REPORTS_H
#define REPORTS_H
#include <stdint.h>

/* `token` authenticates reports; the ends are also written to the file `spool`. */
void reports_begin(const char *token, const char *spool);
void report_answered(long call, int limit_seconds);
/* `answered_ms`: how long the call was answered. */
void report_ended(long call, long answered_ms);
#endif
