/* A container being created: shared by the files of `create` alone. */
#pragma once

#include <limits.h>

#include "cgroup/systemd/scope.h"
#include "container/container.h"

/* All that a creation in progress owns; what is set is undone when it fails. */
struct creation {
  const struct create_options *options;
  struct running *running; /* NULL: `create` */
  struct plan plan;
  char bundle[PATH_MAX];
  char rootfs[PATH_MAX];
  char created[TIME_TEXT_SIZE];
  int directory;
  bool made_directory, made_cgroup, made_pid_file;
  struct cgroup_layout layout;
  struct cgroup cgroup;
  struct scope scope;
  char unit[256]; /* of the scope; "": systemd has no part in it */
  struct seccomp_program seccomp;
  char seccomp_key[65]; /* of the kept program; "": not kept */
  struct seccomp_listener listener;
  int listener_socket;
  struct setup setup;
  struct str state_head, state_tail; /* the specification's fields before and after status and pid */
  int sync;                          /* our end */
  int pidfd;
  pid_t pid;
  uint64_t start_time;
};

/* The specification's fields but status and pid, made once: hooks, the child and state.json share them. */
int creation_write_parts(struct creation *creation, struct err *err);
int creation_state_text(const struct creation *creation, const char *status, pid_t pid, struct str *out,
                        struct err *err);
/* state.json: with what later verbs need. */
int creation_record_text(const struct creation *creation, const char *status, struct str *out, struct err *err);

/* What the caller's environment has for the container, and nothing else of it: the service manager's sockets. */
int creation_plan_service(struct creation *creation, struct err *err);
