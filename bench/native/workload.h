/* The calls that are played, from a file of bench/workload.py. */
#ifndef WORKLOAD_H
#define WORKLOAD_H
#include <stdint.h>

/* What of a call is up in the Asterisk that is played. */
enum call_state { GONE, ASKING, RINGING, TALKING };

struct text { const char *from; int length; };

/* The shape of the calls: three requests, or one request and two reports. */
extern int reports_calls;
extern long calls;
extern unsigned char *call_states;

void load_workload(const char *path);
/* The request of a script (0: route): the number of lines, then for each its length and its bytes. */
const unsigned char *request_of(long call, int script);
/* A word that stands in the reports of a call. */
enum call_word { CALL_ID, BOOKING_ID, CALLEE_ID };
struct text word_of(long call, enum call_word which);
uint32_t number_at(const unsigned char *from);
#endif
