/* User namespaces: writing their id maps, and namespaces that exist for a mount's sake only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "spec/plan.h"

/* "inside outside count" lines, at most what one write(2) to the kernel may hold. */
int idmap_text(const struct plan_id_maps *maps, char *buffer, size_t capacity, struct err *err);

/* The maps of a process that has just made its user namespace. With privileges directly; without, one's own id directly
   and more through newuidmap(1) and newgidmap(1). */
int idmap_write(pid_t pid, const struct plan_id_maps *uids, const struct plan_id_maps *gids, struct err *err);

/* What a joined user namespace maps must be what the configuration says of it. */
int idmap_check(pid_t pid, const struct plan_id_maps *uids, const struct plan_id_maps *gids, struct err *err);

/* A user namespace without processes, held by its descriptor: what mount_setattr(2) maps ids by. */
int idmap_namespace(const struct plan_id_maps *uids, const struct plan_id_maps *gids, int *ret_fd, struct err *err);

/* Whether this process holds a capability (CAP_… number). */
bool idmap_holds(int capability);
