/* names/server: the server as a value: sandboxes, zones, one epoll loop. Confinement is the verb's business (names.c).
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct server;

/* `gate` (names.h) is not closed; -1: there is none. */
int server_new(struct server **ret_server, int gate, struct err *err);
void server_free(struct server *server);

/* One control packet (names.h). Owns the descriptors from now on, whatever the result. */
int server_message(struct server *server, const char *text, size_t size, int *fds, size_t count, struct err *err);

/* Also serves this control socket; its end makes server_turn return 0. */
int server_watch_control(struct server *server, int control, struct err *err);

/* Waits at most `milliseconds` (-1: until something happens) and handles what is ready. 1, 0 at the end, or -errno. */
int server_turn(struct server *server, int milliseconds, struct err *err);
