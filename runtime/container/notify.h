/* sd_notify for the container: a socket of its own, mounted at /run/notify, whose messages go on to $NOTIFY_SOCKET. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"
#include "spec/plan.h"

#define NOTIFY_DIRECTORY "notify"

struct notify {
  int socket; /* -1: none */
  struct sockaddr_un manager;
  socklen_t manager_size;
  bool ready;
};
#define NOTIFY_INIT                                                                                                    \
  { .socket = -1 }

/* create: the directory below the container's own, its mount and variable in the plan, the manager's address kept. */
int notify_plan(int directory, const char *host_directory, const char *manager, struct plan *plan, struct err *err);
/* start: listens when create has left an address. */
int notify_listen(int directory, struct notify *ret_notify, struct err *err);
/* One message on; READY also names the main process. */
int notify_relay(struct notify *notify, pid_t pid);
/* Relays until the process is ready or gone. */
void notify_wait_ready(struct notify *notify, pid_t pid, int pidfd);
void notify_close(struct notify *notify);
