/*
 * Containers on disk and the verbs on them. <root>/<id>/: state.json (atomic), start (fifo: one byte starts the
 * process), start-error (why it could not be executed), seccomp (the program exec loads). Everything 0700. A failed
 * verb leaves nothing: processes, cgroups and the directory are undone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "cgroup/cgroup.h"
#include "setup/setup.h"
#include "spec/plan.h"

enum container_status { CONTAINER_CREATING, CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_PAUSED, CONTAINER_STOPPED };
extern const char *const container_status_names[];

struct container {
  struct json document; /* state.json */
  int directory;        /* <root>/<id> */
  const char *id, *bundle, *created, *rootfs;
  pid_t pid;
  uint64_t start_time;
  struct cgroup cgroup;
  struct json process; /* default for exec */
  bool mounts_joined;
  bool own_users, own_time; /* namespaces that not every container has */
  long long personality;    /* PLAN_UNSET: none */
};

int container_check_id(const char *id, struct err *err);

/* Opens and reads; `lock` also takes the container's lock until it is closed. -ENOENT: no such container. */
int container_open(const char *root, const char *id, bool lock, struct container *ret_container, struct err *err);
void container_close(struct container *container);
#define cleanup_container __attribute__((cleanup(container_close)))
#define CONTAINER_INIT                                                                                                 \
  { .directory = -1 }

enum container_status container_status(const struct container *container);

/* The specification's state, one line of JSON; the caller frees. */
int container_state_text(const struct container *container, enum container_status status, char **ret_text,
                         struct err *err);

struct create_options {
  const char *root, *id, *bundle, *pid_file, *console_socket;
  const char *notify_socket; /* $NOTIFY_SOCKET of the caller, or NULL */
  int preserve_fds;          /* from 3 on, those of socket activation among them */
  int listen_fds;            /* how many the caller's LISTEN_FDS passes on, first */
  const char *listen_names;  /* LISTEN_FDNAMES or NULL */
  bool run;                  /* start at once */
  bool wait;                 /* `run` in the foreground: the process is our child */
  bool keep;                 /* `run` in the foreground: not deleted at the end */
  bool no_pivot, no_new_keyring, dry_run;
  bool systemd_cgroup; /* systemd makes the group */
};

struct created {
  pid_t pid;
  int pidfd;
};

struct console;
struct notify;

/* What `run` has beside `create`: NULL there. */
struct running {
  struct console *console; /* takes the pty; NULL when detached */
  struct notify *notify;   /* listening when the process starts */
};

int container_create(const struct create_options *options, struct running *running, struct created *ret_created,
                     struct err *err);

/* Foreground: forwards signals, waits, deletes. *ret_status: exit status of the process. */
int container_run(const struct create_options *options, int *ret_status, struct err *err);

int container_start(const char *root, const char *id, struct err *err);

/* A failing poststart hook is an error from version 1.3 of the specification on, and ends the container; before that it
   is a warning, and the hooks after it still run. */
int container_run_poststart(const struct plan_hooks *hooks, const char *oci_version, const char *state,
                            struct err *err);
int container_kill(const char *root, const char *id, int signal, bool all, struct err *err);
int container_delete(const char *root, const char *id, bool force, struct err *err);
int container_pause(const char *root, const char *id, bool pause, struct err *err);

/* `resources`: as in config.json. */
int container_update(const char *root, const char *id, const struct json *resources, struct err *err);
/* Prints figures, once or every interval with out-of-memory kills in between until the container has ended. */
int container_events(const char *root, const char *id, bool once, int interval_ms, struct err *err);
int container_ps(const char *root, const char *id, bool json, char **ret_text, struct err *err);

struct exec_options {
  const char *root, *id, *process_file, *pid_file, *console_socket, *cwd, *user;
  const char *apparmor, *process_label; /* NULL: the container's */
  struct str_list env, add_groups, capabilities, cgroups;
  char **args;
  bool terminal, detach, no_new_privileges, ignore_paused;
  int preserve_fds;
};

/* *ret_status: of the process, unless detached. */
int container_exec(const struct exec_options *options, int *ret_status, struct err *err);

int container_list(const char *root, bool json, bool quiet, char **ret_text, struct err *err);

/* The record of a container that is being made (incomplete.c). */
int incomplete_start(int directory, const char *cgroup_path, struct err *err);
/* `state` is an object's text; it is used up. */
int incomplete_finish(int directory, struct str *state, struct err *err);
int incomplete_cgroup(int directory, char *path, size_t capacity);

/* The scope that systemd made for the container, by the file `scope` of its directory; none: nothing is done. */
int container_stop_scope(int directory, struct err *err);
int container_update_scope(int directory, const struct plan_resources *resources, struct err *err);

/* Shared by create and exec. `what` names the socket in messages. */
int container_connect(const char *path, const char *what, int *ret_socket, struct err *err);
int container_write_pid_file(const char *path, pid_t pid, struct err *err);
/* What the child's messages call for; NULL: nothing. */
struct await_calls {
  int (*on_namespaces)(void *data, struct err *err);             /* the child waits for hooks */
  int (*on_made)(void *data, pid_t pid, struct err *err);        /* set with makes_last: the child has made it */
  int (*on_listener)(void *data, int listener, struct err *err); /* of seccomp; borrowed */
  void *data;
};
/* Hears the child until it is ready; warnings are logged. */
int container_await_ready(int sync, const struct await_calls *calls, struct err *err);
/* on_made: the process takes the place of the child, which leaves. */
int container_take_made(pid_t made, pid_t *pid, int *pidfd, struct err *err);
/* Waits for a child of ours, passing our signals on to it, bytes of the console and words to the service manager (both
   may be NULL). *ret_status: its exit status, 128 + signal. */
int container_supervise(pid_t pid, int pidfd, struct console *console, struct notify *notify, int *ret_status,
                        struct err *err);
void container_hold_signals(void);

/* The program for linux.seccomp, from <root>/seccomp/<key> when it was compiled before. */
int seccomp_cached(const char *root, const struct json *profile, struct seccomp_program *ret_program, char ret_key[65],
                   struct err *err);
/* The kept program under another name as well, instead of writing it again; `ret_key` of seccomp_cached. */
bool seccomp_link(const char *root, const char *key, int dirfd, const char *name);
int seccomp_store(int dirfd, const char *name, const struct seccomp_program *program, struct err *err);
/* -ENOENT: none there. */
int seccomp_load_stored(int dirfd, const char *name, struct seccomp_program *ret_program, struct err *err);

/* Hands a container's seccomp notifications to whoever listens at listenerPath: one message, the specification's
   container process state, with the descriptor. `state` is the specification's state of the container. */
struct seccomp_handover {
  int socket;
  const struct seccomp_listener *listener;
  const char *oci_version, *state;
  pid_t pid;
};
int seccomp_hand_over(const struct seccomp_handover *handover, int descriptor, struct err *err);
