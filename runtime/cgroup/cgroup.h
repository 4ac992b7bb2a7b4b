/*
 * Control groups of one container: one directory per v1 hierarchy, one on v2; on a hybrid host both, so that
 * clone3 can start into the v2 group and cgroup.kill works. v1/ and v2/ know the files; nobody else asks which it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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
  char directory[512]; /* "": this hierarchy is not ours to use and nothing was asked of it */
};

struct cgroup {
  struct cgroup_place places[CGROUP_HIERARCHIES];
  size_t count;
};

/* true when the calling user cannot be expected to own the host's groups: not root, or root of a user namespace only.
 */
bool cgroup_user_is_confined(void);

/* The caller's own v2 group, as seen in the layout: where a confined user may make groups. */
int cgroup_own_path(char *buffer, size_t capacity, struct err *err);

/* Makes the groups and applies the limits; a failure leaves nothing. Fails with -EBUSY when one has processes. Where a
   confined user has no right to make a group, it is left out with a warning, unless a limit was asked there. */
int cgroup_create(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                  struct cgroup *ret_cgroup, struct err *err);
/* The same in groups that somebody made for us and keeps occupied meanwhile. */
int cgroup_adopt(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
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

/* New limits on a living group; a failure says what was changed and sets it back. Device rules stay as they are. */
int cgroup_update(const struct cgroup *cgroup, const struct plan_resources *resources, struct err *err);

/* Figures as one JSON object, in the form callers of `events` know. */
int cgroup_stats_text(const struct cgroup *cgroup, struct str *out, struct err *err);

/* Tells of out-of-memory kills: a descriptor that becomes readable, and a counter. */
struct cgroup_oom {
  int wake, counter;
};
int cgroup_oom_open(const struct cgroup *cgroup, struct cgroup_oom *ret_oom, struct err *err);
/* Kills so far; also takes the event. */
uint64_t cgroup_oom_count(const struct cgroup_oom *oom);
void cgroup_oom_close(struct cgroup_oom *oom);

/* Every process inside, groups below included; ascending, each once. The caller frees. */
int cgroup_processes(const struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err);

/* The place that holds a controller ("memory", "cpu", "devices"): its v1 hierarchy, else v2; NULL: nobody has it. */
const struct cgroup_place *cgroup_place_of(const struct cgroup *cgroup, const char *controller);
bool cgroup_place_has(const struct cgroup_place *place, const char *controller);
const struct cgroup_place *cgroup_v2_place(const struct cgroup *cgroup);

/* Sends a signal to every process inside. */
int cgroup_signal(const struct cgroup *cgroup, int signal, struct err *err);

/* true when a process, other than a zombie, is in this very group. */
bool cgroup_has_processes(const struct cgroup_place *place);

/* Stops or continues every process inside, and waits until it is so. */
int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err);
bool cgroup_is_frozen(const struct cgroup *cgroup);

/* For a caller about to lose sight of the host's files: the files to write, -1 where there is none. */
int cgroup_open_entries(const struct cgroup *cgroup, bool skip_v2, int ret_fds[CGROUP_HIERARCHIES], struct err *err);
int cgroup_enter_entries(const int fds[CGROUP_HIERARCHIES], struct err *err);
