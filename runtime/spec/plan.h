/*
 * config.json as the runtime acts on it: everything checked, defaults filled in, options looked up. Pure: no effect
 * but reading the text given. Strings are borrowed from the document, arrays belong to the plan; plan_free ends both.
 * What cannot be honoured is refused here, by the name of its key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define PLAN_UNSET INT64_MIN
/* The newest version of the specification whose words are known here. */
#define PLAN_VERSION "1.2.1"

struct arena {
  void *last;
};
/* Zeroed memory that lives as long as the arena; NULL when there is none left. */
void *arena_get(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

struct plan_text_list {
  const char **items; /* NULL-terminated when count > 0, else NULL */
  size_t count;
};

struct plan_namespace {
  int flag;         /* CLONE_NEW… */
  const char *name; /* as in config.json */
  const char *path; /* NULL: a new one */
};

/* A range of ids: `inside` the user namespace (or on the disk, for a mount), `outside` of it. */
struct plan_id_map {
  uint32_t inside, outside, count;
};

struct plan_id_maps {
  struct plan_id_map *items;
  size_t count;
};

enum { CLOCK_OFFSET_MONOTONIC, CLOCK_OFFSET_BOOTTIME, CLOCK_OFFSETS };
extern const char *const clock_offset_names[CLOCK_OFFSETS];

struct plan_time_offset {
  bool given;
  int64_t seconds;
  uint32_t nanoseconds;
};

struct plan_mount {
  const char *destination; /* absolute */
  bool relative;           /* it was not, in config.json */
  const char *source;
  const char *type;
  bool bind, recursive;
  uint64_t set, clear;                     /* MNT_ATTR_* */
  uint64_t recursive_set, recursive_clear; /* the r… forms: the whole tree */
  uint64_t propagation;                    /* MS_PRIVATE … or 0 */
  bool propagation_recursive;
  bool copy_up;   /* a tmpfs begins with what it covers */
  bool remount;   /* what is mounted there already is changed */
  bool id_mapped; /* through the maps below, or, without, those of the container's user namespace */
  bool id_mapped_recursive;
  struct plan_id_maps uid_maps, gid_maps;
  const char *ignored;        /* an option that means nothing to a bind mount, or NULL: told of when it is made */
  struct plan_text_list data; /* options of the file system itself: "key" or "key=value" */
};

struct plan_device {
  const char *path;
  mode_t type; /* S_IFCHR, S_IFBLK, S_IFIFO */
  dev_t number;
  mode_t mode;
  uid_t uid;
  gid_t gid;
};

struct plan_sysctl {
  const char *key, *value;
};

struct plan_rlimit {
  int resource;
  const char *name;
  struct rlimit limit;
};

struct plan_capabilities {
  bool given;
  uint64_t bounding, effective, permitted, inheritable, ambient;
  const char *unknown; /* a name no kernel known here has, or NULL: told of, not granted */
};

struct plan_scheduler {
  bool given;
  uint32_t policy;
  int32_t nice;
  uint32_t priority;
  uint64_t flags, runtime, deadline, period;
};

#define PLAN_CPU_WORDS 128 /* 8192 processors */

struct plan_cpus {
  uint64_t words[PLAN_CPU_WORDS];
};

struct plan_process {
  bool terminal;
  unsigned short rows, columns;
  const char *cwd;
  const char **args; /* NULL-terminated; NULL when there is no process */
  struct plan_text_list env;
  uid_t uid;
  gid_t gid;
  bool umask_given;
  mode_t umask;
  gid_t *groups;
  size_t group_count;
  struct plan_capabilities capabilities;
  struct plan_rlimit *rlimits;
  size_t rlimit_count;
  bool no_new_privileges;
  const char *apparmor_profile, *selinux_label;
  int oom_score_adj;
  bool oom_score_adj_given;
  struct plan_scheduler scheduler;
  int io_priority;                                   /* as ioprio_set(2) takes it; -1: unset */
  const struct plan_cpus *initial_cpus, *final_cpus; /* of exec; NULL: unset */
};

struct plan_device_rule {
  bool allow;
  char type;            /* a, b, c */
  int64_t major, minor; /* -1: any */
  bool read, write, make;
};

struct plan_block_limit {
  const char *v1_file; /* blkio.throttle.… */
  const char *v2_key;  /* rbps … */
  dev_t number;
  uint64_t rate;
};

struct plan_block_weight {
  dev_t number;
  int64_t weight, leaf_weight;
};

struct plan_hugepage_limit {
  const char *page_size;
  uint64_t limit;
};

struct plan_rdma_limit {
  const char *device;
  int64_t handles, objects;
};

struct plan_net_priority {
  const char *interface;
  int64_t priority;
};

/* PLAN_UNSET where nothing was asked. */
struct plan_resources {
  struct plan_device_rule *devices;
  size_t device_count;
  int64_t memory_limit, memory_reservation, memory_swap, memory_swappiness, memory_kernel, memory_kernel_tcp;
  int64_t oom_kill_disable;    /* 0 or 1 */
  int64_t memory_hierarchical; /* 0 or 1 */
  bool memory_check;           /* a limit below what is used now is refused */
  int64_t cpu_shares, cpu_quota, cpu_period, cpu_burst, cpu_idle, cpu_rt_runtime, cpu_rt_period;
  const char *cpuset_cpus, *cpuset_mems;
  int64_t pids_limit;
  int64_t block_weight, block_leaf_weight;
  struct plan_block_weight *block_weights;
  size_t block_weight_count;
  struct plan_block_limit *block_limits;
  size_t block_limit_count;
  struct plan_hugepage_limit *hugepages;
  size_t hugepage_count;
  struct plan_rdma_limit *rdma;
  size_t rdma_count;
  int64_t net_class;
  struct plan_net_priority *net_priorities;
  size_t net_priority_count;
  struct plan_sysctl *unified;
  size_t unified_count;
};

struct plan_hook {
  const char *path;
  const char **args, **env; /* NULL-terminated or NULL */
  int timeout_s;            /* 0: none */
};

enum hook_kind {
  HOOK_PRESTART,
  HOOK_CREATE_RUNTIME,
  HOOK_CREATE_CONTAINER,
  HOOK_START_CONTAINER,
  HOOK_POSTSTART,
  HOOK_POSTSTOP,
  HOOK_KINDS
};
extern const char *const hook_names[HOOK_KINDS];

struct plan_hooks {
  struct plan_hook *items;
  size_t count;
};

struct plan {
  struct arena arena;
  struct json document;
  const char *oci_version;
  const char *root_path; /* as given: relative to the bundle */
  bool root_readonly;
  unsigned long root_propagation;      /* MS_… | MS_REC */
  struct plan_text_list overlay_lower; /* top first; empty: no overlay */
  const char *overlay_upper, *overlay_work;
  bool overlay_mapped; /* layers hold the container's ids: they are id-mapped by its user namespace */
  bool init;
  const char *hostname, *domainname;
  const char *mount_label; /* SELinux */
  struct plan_namespace *namespaces;
  size_t namespace_count;
  struct plan_id_maps uid_maps, gid_maps;
  struct plan_time_offset time_offsets[CLOCK_OFFSETS];
  int64_t personality; /* as personality(2) takes it, or PLAN_UNSET */
  struct plan_mount *mounts;
  size_t mount_count;
  struct plan_device *devices;
  size_t device_count;
  struct plan_text_list masked, readonly;
  struct plan_sysctl *sysctls;
  size_t sysctl_count;
  struct plan_process process;
  struct json seccomp; /* value NULL: none */
  const char *cgroup_path;
  struct plan_resources resources;
  struct plan_hooks hooks[HOOK_KINDS];
  struct json annotations;
};

/* Takes over the document, also on failure. */
int plan_build(struct json *document, struct plan *ret_plan, struct err *err);
void plan_free(struct plan *plan);

/* The namespace of this kind, or NULL: the runtime's own is shared. */
/* The kinds that can be asked for, by index; NULL at the end. */
const char *plan_namespace_name(size_t index);
const struct plan_namespace *plan_namespace(const struct plan *plan, int flag);

/* The kind of namespace (CLONE_NEW…) a sysctl belongs to; 0: none. */
int plan_sysctl_owner(const char *key);

/* Namespaces with what belongs to them: id maps, clock offsets, personality. */
int plan_read_namespaces(struct plan *plan, const struct json *linux_object, struct err *err);
int plan_read_id_maps(struct arena *arena, const struct json *parent, const char *key, struct plan_id_maps *ret_maps,
                      struct err *err);
bool plan_id_maps_equal(const struct plan_id_maps *a, const struct plan_id_maps *b);

/* Where an id of the namespace is outside; false: nowhere. */
bool plan_id_map_outside(const struct plan_id_maps *maps, uint32_t inside, uint32_t *ret_outside);

/* The process's ids must be in the maps of a new user namespace. */
int plan_check_ids(const struct plan *plan, struct err *err);

/* process.scheduler, ioPriority, execCPUAffinity. */
int plan_read_scheduling(struct arena *arena, const struct json *object, struct plan_process *process, struct err *err);

/* process.json of exec, or the `process` object. */
int plan_read_process(struct arena *arena, const struct json *object, struct plan_process *ret_process,
                      struct err *err);
/* Adds "NAME=value" items; one of the same name is replaced. */
int plan_add_environment(struct arena *arena, struct plan_text_list *env, const char *const *more, size_t more_count,
                         struct err *err);
int plan_read_mounts(struct plan *plan, const struct json *document, struct err *err);
int plan_read_resources(struct plan *plan, const struct json *linux_object, struct err *err);
/* The `resources` object without its device rules: what `update` takes. */
int plan_read_limits(struct arena *arena, const struct json *object, struct plan_resources *ret_resources,
                     struct err *err);
int plan_read_block_io(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err);
int plan_read_device_rules(struct plan *plan, const struct json *object, struct err *err);
int plan_read_hooks(struct plan *plan, const struct json *document, struct err *err);

/* Whether a checked `ociVersion` is 1.MINOR or later: where versions of the specification contradict each other, the
   one that config.json names counts. */
bool plan_version_from(const char *oci_version, long minor);
int plan_read_texts(struct arena *arena, const struct json *parent, const char *key, struct plan_text_list *ret_list,
                    struct err *err);
int plan_read_pairs(struct arena *arena, const struct json *parent, const char *key, struct plan_sysctl **ret_pairs,
                    size_t *ret_count, struct err *err);

/* One mount option into the mount; false: it is the file system's own. */
bool mount_option_apply(struct plan_mount *mount, const char *option);

/* The options mount_option_apply acts on, by index; NULL at the end. */
const char *mount_option_name(size_t index);

/* "CAP_CHOWN" (any case, prefix optional) to its number; -1: unknown here. */
int capability_number(const char *name);
const char *capability_name(int number);

/* "/a/../b" refused, "//a/./b/" becomes "/a/b". */
int cgroup_path_clean(const char *path, char *buffer, size_t capacity, struct err *err);
