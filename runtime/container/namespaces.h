/* Which namespaces are joined, which made, and who must do it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "setup/setup.h"

/* Opens the paths before anything is made; each must be what it is called. One that is the runtime's own already is
   closed again: nothing is to be done. Sets setup->own_users and makes_last. Refuses what would change the host, and a
   network of somebody else's. */
int namespaces_open(struct setup *setup, struct err *err);

/* CLONE_NEW… of the namespaces without a path. The cgroup namespace is left out: its root is where its first process is
   then, so that one makes it. */
uint64_t namespaces_made(const struct plan *plan);

/* Whether a go-between must prepare them. */
bool namespaces_need_between(const struct setup *setup);
