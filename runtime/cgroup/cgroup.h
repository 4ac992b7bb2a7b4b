/*
 * Control groups of one container: one directory per v1 hierarchy, one on v2; on a hybrid host both, so that
 * clone3 can start into the v2 group and cgroup.kill works. v1/ and v2/ know the files; nobody else asks which it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "spec/plan.h"

#define CGROUP_HIERARCHIES 24

struct cgroup_hierarchy {
  bool v2;
  char controllers[96]; /* "memory", "cpu,cpuacct", "name=systemd"; v2: "" */
  char mount_point[128];
  char mount_root[256]; /* which group is visible at the mount point */
};

/* What the host has. */
struct cgroup_layout {
  struct cgroup_hierarchy items[CGROUP_HIERARCHIES];
  size_t count;
  bool v1_controllers; /* any v1 hierarchy with a real controller: v2 then only holds processes */
};

/* Reads the text of /proc/self/mountinfo. Pure. */
int cgroup_layout_parse(const char *mountinfo, struct cgroup_layout *ret_layout, struct err *err);
int cgroup_layout_read(struct cgroup_layout *ret_layout, struct err *err);

/* Where the group `path` ("/a/b", clean) of a hierarchy is in the file system. */
int cgroup_directory(const struct cgroup_hierarchy *hierarchy, const char *path, char *buffer, size_t capacity,
                     struct err *err);

struct cgroup_place {
  bool v2;
  char controllers[96];
  char directory[512];
};

struct cgroup {
  struct cgroup_place places[CGROUP_HIERARCHIES];
  size_t count;
};

/* Makes the groups and applies the limits; a failure leaves nothing. Fails with -EBUSY when one has processes. */
int cgroup_create(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                  struct cgroup *ret_cgroup, struct err *err);

/* The places of a group, existing or not. */
int cgroup_find(const struct cgroup_layout *layout, const char *path, struct cgroup *ret_cgroup, struct err *err);

/* The v2 group as a descriptor for clone3, or -1 when there is none. */
int cgroup_clone_target(const struct cgroup *cgroup);

/* The same for a process that joins: once the container divides its group, only groups below may hold processes, and
   it goes where the container's first process is. */
int cgroup_join_target(const struct cgroup *cgroup, pid_t init);

/* Moves the calling single-threaded process into every group; `skip_v2` when clone3 has put it there. */
int cgroup_enter(const struct cgroup *cgroup, bool skip_v2, struct err *err);

/* Kills whatever is inside, waits until it is gone, removes the directories. Missing ones are fine. */
int cgroup_destroy(const struct cgroup *cgroup, struct err *err);

/* Sends a signal to every process inside. */
int cgroup_signal(const struct cgroup *cgroup, int signal, struct err *err);

/* true when a process of the container, other than a zombie, is inside. */
bool cgroup_is_populated(const struct cgroup *cgroup);

/* One controller of either version: the files it writes. */
struct cgroup_controller {
  const char *name;
  /* On the way down to the new group, for every level made (cpuset must be filled before a process may enter). */
  int (*level)(int parent_fd, int fd, struct err *err);
  int (*apply)(int fd, const struct plan_resources *resources, struct err *err);
};
const struct cgroup_controller *cgroup_v1_controller(const char *name);
int cgroup_v2_apply(int fd, const struct plan_resources *resources, struct err *err);
/* Passes the controllers on to the groups below `fd`. */
void cgroup_v2_delegate(int fd);

/* "file" of a group, a number as text; PLAN_UNSET writes nothing. */
int cgroup_write_number(int fd, const char *file, int64_t value, struct err *err);

/* Stops or continues every process inside, and waits until it is so. */
int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err);

/* For a caller about to lose sight of the host's files: the files to write, -1 where there is none. */
int cgroup_open_entries(const struct cgroup *cgroup, bool skip_v2, int ret_fds[CGROUP_HIERARCHIES], struct err *err);
int cgroup_enter_entries(const int fds[CGROUP_HIERARCHIES], struct err *err);
