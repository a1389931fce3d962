/* Asterisk's manager interface, as far as an engine uses it. */
#ifndef MANAGER_H
#define MANAGER_H
#include <stddef.h>

void manager_listen(int port);
/* Whether somebody has logged in and wants events. */
int manager_has_listener(void);
/* Sends an event to all who want events, in a write of its own. */
void manager_send_event(const char *event, size_t length);
/* Events that nobody was there for. */
extern long unheard;
/* The most bytes that ever waited for one listener to read. */
extern size_t longest_backlog;
#endif
