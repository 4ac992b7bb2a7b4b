/*
 * From a plan to a running process: an ordered table of steps, run by one loop, the step's name in front of every
 * error.
 * A user or time namespace of the container's own puts a go-between in the middle (container/between.h): it joins,
 * makes the namespaces that only hold for children, and makes the child, a sibling of its own.
 *
 * The sequence of `create` (the child is init of the container; messages on one SOCK_SEQPACKET pair):
 *
 *   parent                                     child
 *   make cgroups, open namespaces
 *   clone3 ----------------------------------> enter cgroups, namespaces
 *          <-- SYNC_NAMESPACES --------------- only with prestart or createRuntime hooks
 *   run them -- SYNC_CONTINUE ---------------> mounts, pivot, devices, user, capabilities, seccomp
 *          <-- SYNC_WARNING (any number) -----
 *          <-- SYNC_LISTENER ----------------- with the descriptor, when the seccomp filter notifies somebody
 *          <-- SYNC_READY | SYNC_FAILED ------
 *   write state and pid file
 *          -- SYNC_COMMIT --------------------> wait for the start fifo, execute
 *
 * End of file on the pair before COMMIT means the parent died: the child leaves.
 *
 * Where others are in the pid namespace already (exec, and a pid namespace by path), whoever has CAP_SYS_PTRACE in
 * there can look into a process and use it from its first moment. So the child stays outside for all of the steps; the
 * process itself is made last (last.c), with the container's root, ids and capabilities and nothing of the host, and
 * goes on in its place:
 *
 *   parent                                     child                    last
 *                                              steps
 *                                              clone -----------------> start session
 *          <-- SYNC_MADE --------------------- leave
 *          <-- SYNC_LISTENER, SYNC_READY | SYNC_FAILED ----------------
 *          -- SYNC_COMMIT ------------------------------------------->  wait for start, execute
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "cgroup/cgroup.h"
#include "spec/plan.h"
#include "spec/seccomp.h"

enum sync_kind {
  SYNC_NAMESPACES,
  SYNC_CONTINUE,
  SYNC_WARNING,
  SYNC_LISTENER,
  SYNC_MADE, /* the code of the text is the process id */
  SYNC_READY,
  SYNC_FAILED,
  SYNC_COMMIT
};

int sync_send(int socket, enum sync_kind kind, const struct err *text, struct err *err);
/* -EPIPE when the other side is gone. `ret_text` may be NULL. */
int sync_receive(int socket, enum sync_kind *ret_kind, struct err *ret_text, struct err *err);
/* The same; *ret_fd takes the descriptor that came along, -1 when none did. */
int sync_receive_fd(int socket, enum sync_kind *ret_kind, struct err *ret_text, int *ret_fd, struct err *err);
/* One call only, sendmsg: a filter may be active that lets others wait. */
int sync_send_fd(int socket, enum sync_kind kind, int fd, struct err *err);

struct last; /* last.c */

struct setup {
  const struct plan *plan;
  const struct plan_process *process;
  const struct cgroup_layout *layout;
  const struct cgroup *cgroup;
  const struct seccomp_program *seccomp; /* NULL: none */
  const char *id;
  const char *bundle; /* absolute */
  /* What hooks in the child are told, without status and pid in the middle. */
  const char *state_head, *state_tail;
  bool in_v2_cgroup;               /* clone3 did it */
  bool makes_last;                 /* others are in the pid namespace: the process is made after the steps */
  bool forces_no_new_privileges;   /* the filter could not be loaded otherwise */
  bool joined_all;                 /* namespaces were joined before this process was made */
  bool own_users;                  /* in a user namespace that is not the runtime's */
  int64_t personality;             /* PLAN_UNSET: the runtime's */
  int namespace_fds[8];            /* by index of plan->namespaces, -1: new */
  int *sources;                    /* by index of plan->mounts, -1: the child opens it; NULL: it opens all */
  int entered_root;                /* exec: the container\'s root, when its mount namespace has another; -1 */
  int root_tree;                   /* the root, opened by the runtime; -1: the child opens it */
  int entries[CGROUP_HIERARCHIES]; /* with own_users: cgroup files, opened by the runtime */
  int sync;                        /* the child's end */
  int start_fifo;                  /* read one byte before execution; -1: go on at once */
  int start_error;                 /* text of a failed execution goes here; -1: stderr */
  int console_socket;              /* -1: none */
  int preserve_fds;
  bool set_apparmor; /* the profile is to be set: AppArmor is there */
  bool keep_keyring; /* the caller's session keyring stays */
  bool no_pivot;
  bool hold_sync;   /* the pair stays open until execution */
  char *listen_pid; /* 16 bytes of the environment for our process id, or NULL */
  /* What steps hand on. */
  int root;      /* O_PATH of the container's root */
  int null_file; /* verified /dev/null of the host */
  int terminal;  /* the pty's inner end */
  int apparmor;  /* attr/exec of ourselves, opened while /proc can be trusted; -1: nothing to set */
  int selinux;   /* the same of SELinux */
  char *program; /* resolved in the container */
  struct last *last;
};

struct step {
  const char *name;
  int (*run)(struct setup *setup, struct err *err);
};

/* NULL-terminated by name. */
extern const struct step container_steps[];
extern const struct step exec_steps[];

int steps_run(const struct step *steps, struct setup *setup, struct err *err);

/* The child's whole life: steps, ready, wait, execute. Never returns. */
_Noreturn void child_main(struct setup *setup, const struct step *steps);
/* What comes after the steps. */
_Noreturn void child_finish(struct setup *setup);

/* Not before the process is the one that is executed. */
int setup_start_session(struct setup *setup, struct err *err);

/* Copies what it will need, before a filter may stand in the way. */
int step_prepare_last(struct setup *setup, struct err *err);
/* The process that finishes, in the pid namespace that was joined; 0 or -errno. */
int last_make(const struct setup *setup, pid_t *ret_pid, struct err *err);
/* Whether the calls between loading the filter and execution are let through by it. */
bool last_passes(const struct setup *setup, const struct seccomp_program *program);

void setup_warn(const struct setup *setup, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Steps, by file. */
int step_users(struct setup *setup, struct err *err);
int step_cgroups(struct setup *setup, struct err *err);
int step_namespaces(struct setup *setup, struct err *err);
int step_host_processes(struct setup *setup, struct err *err);
int step_runtime_hooks(struct setup *setup, struct err *err);
int step_loopback(struct setup *setup, struct err *err);
int step_names(struct setup *setup, struct err *err);
int step_sysctls(struct setup *setup, struct err *err);
int step_mount_namespace(struct setup *setup, struct err *err);
int step_propagation(struct setup *setup, struct err *err);
int step_root(struct setup *setup, struct err *err);
int step_mounts(struct setup *setup, struct err *err);
int step_devices(struct setup *setup, struct err *err);
int step_terminal(struct setup *setup, struct err *err);
int step_readonly_paths(struct setup *setup, struct err *err);
int step_masked_paths(struct setup *setup, struct err *err);
int step_container_hooks(struct setup *setup, struct err *err);
int step_processes(struct setup *setup, struct err *err);
int step_pivot(struct setup *setup, struct err *err);
int step_session(struct setup *setup, struct err *err);
int step_rlimits(struct setup *setup, struct err *err);
int step_personality(struct setup *setup, struct err *err);
int step_user(struct setup *setup, struct err *err);
int step_directory(struct setup *setup, struct err *err);

/* The working directory below "/", made when it is missing. */
int setup_make_cwd(const struct setup *setup, int *ret_directory, struct err *err);
int step_program(struct setup *setup, struct err *err);
int step_close(struct setup *setup, struct err *err);
int step_privileges(struct setup *setup, struct err *err);
int step_exec_root(struct setup *setup, struct err *err);

/* Labels (labels.c). In the parent, with the host's files: is what is asked for there at all? */
int labels_check(struct setup *setup, struct err *err);
int labels_open_on_host(struct setup *setup, struct err *err);
/* For the next execution, verified. */
int labels_write(struct setup *setup, struct err *err);
/* linux.mountLabel for a file system being made, and for one that takes it only afterwards. */
int labels_add_context(const struct plan *plan, int fs, const char *type, struct err *err);
int labels_add_to_queue(const struct plan *plan, int mount, const char *type, struct err *err);

int setup_new_keyring(const struct setup *setup, struct err *err);

/* The filter of the container, on ourselves. */
int setup_load_seccomp(const struct setup *setup, struct err *err);
/* The very last thing before execution, after the steps. */
bool setup_seccomp_is_last(const struct setup *setup);
bool setup_no_new_privileges(const struct setup *setup);

/* Hooks: fixed environment, state on stdin. Also used by the verbs. */
int hooks_run(const struct plan_hooks *hooks, const char *kind, const char *state_text, struct err *err);
/* Every one of them; a failure is only a warning. */
void hooks_run_all(const struct plan_hooks *hooks, const char *kind, const char *state_text);
/* Those the container's first process runs; the state has its own pid, as it is called there. */
int hooks_run_inside(const struct setup *setup, enum hook_kind kind, const char *status, struct err *err);

/* The namespace of this kind when it is one by path, else -1. */
int setup_namespace_fd(const struct setup *setup, int flag);

/* Whether the mount namespace is one by path: others are in it, its root stays. */
bool setup_joins_mounts(const struct setup *setup);
/* `root`, a mount, instead of the root of this mount namespace, which is given up. */
int setup_replace_root(int root, bool no_pivot, struct err *err);

/* Before the child is made: trees that it cannot open (sources.c, rootfs.c). */
int setup_open_sources(struct setup *setup, struct err *err);
void setup_close_sources(struct setup *setup);
int setup_open_source(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err);
int setup_open_root(const struct setup *setup, int *ret_tree, struct err *err);

/* The overlay of the annotation: mounted on `target`, or detached. The working directory changes with the first. */
int overlay_mount(const struct plan *plan, const char *target, struct err *err);
int overlay_open(const struct plan *plan, int *ret_tree, struct err *err);
/* Detached, layers id-mapped by the user namespace `users`. */
int overlay_open_mapped(const struct plan *plan, int users, int *ret_tree, struct err *err);

/* A new file system, detached, and the options it understands itself. */
int setup_make_file_system(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err);
int setup_configure(int fs, const struct plan_mount *mount, struct err *err);

/* A procfs of the joined pid namespace, not configured yet; none of its processes sees anything of us. */
int proc_open_inside(const struct setup *setup, int *ret_fs, struct err *err);

/* The content of a directory into another; nothing is followed. */
int setup_copy_up(int from, int to, struct err *err);

/* Mounts one entry below root; shared with nobody but mounts.c and cgroup_mount.c. */
int mount_cgroups(struct setup *setup, const struct plan_mount *mount, struct err *err);
int mount_at_plain_directory(int root, const char *path, int mount, struct err *err);

/* The minimal init: runs `start` in a child, forwards signals, reaps, returns the exit status. */
int init_main(struct setup *setup, void (*start)(struct setup *setup));
