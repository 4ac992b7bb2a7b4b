/*
 * Found: root pivoted, every step done but the last. The process that is executed, made in a pid namespace where others
 * may trace it: it has the container's ids and capabilities from its first moment, descriptors of the container's and
 * sockets to us, and of our memory what it needs to execute.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "setup/setup.h"
#include "spec/seccomp.h"
#include "sys/hidden.h"

/* Twice what execve(2) takes of arguments and environment. Only what is used costs anything. */
#define AREA_SIZE ((size_t)16 << 20)

/* In the area. What is not copied with it must not be looked at by what follows. */
struct last {
  struct area area;
  struct setup setup;
  struct plan plan; /* hooks[HOOK_START_CONTAINER] */
  struct plan_process process;
  struct seccomp_program seccomp;
  struct rlimit processes; /* RLIMIT_NPROC */
  bool limits_processes;
};

static int copy_environment(struct last *last, const struct setup *from, struct err *err) {
  static const char name[] = "LISTEN_PID=";
  const struct plan_text_list *env = &from->process->env;
  const char **copy = NULL;
  int r = area_copy_list(&last->area, env->items, &copy, err);
  last->process.env.items = copy;
  for (size_t i = 0; r == 0 && from->listen_pid != NULL && i < env->count; i++) {
    if (env->items[i] + strlen(name) == from->listen_pid) {
      char *text = area_get(&last->area, sizeof(name) + 16);
      if (text == NULL) {
        return err_oom(err);
      }
      last->setup.listen_pid = stpcpy(text, name);
      copy[i] = text;
    }
  }
  return r;
}

static int copy_hooks(struct last *last, const struct plan_hooks *from, struct err *err) {
  struct plan_hooks *to = &last->plan.hooks[HOOK_START_CONTAINER];
  int r = 0;
  to->items = area_get(&last->area, from->count * sizeof(*to->items));
  if (to->items == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; r == 0 && i < from->count; i++) {
    const struct plan_hook *hook = &from->items[i];
    struct plan_hook *copy = &to->items[i];
    copy->timeout_s = hook->timeout_s;
    r = area_copy_text(&last->area, hook->path, &copy->path, err);
    r = r < 0 ? r : area_copy_list(&last->area, hook->args, &copy->args, err);
    r = r < 0 ? r : area_copy_list(&last->area, hook->env, &copy->env, err);
  }
  to->count = from->count;
  return r;
}

static int copy_filter(struct last *last, const struct seccomp_program *from, struct err *err) {
  size_t size = from->count * sizeof(*from->filters);
  last->seccomp = (struct seccomp_program){area_get(&last->area, size), from->count, from->flags};
  if (last->seccomp.filters == NULL) {
    return err_oom(err);
  }
  memcpy(last->seccomp.filters, from->filters, size);
  last->setup.seccomp = &last->seccomp;
  return 0;
}

static const struct plan_rlimit *processes_limit(const struct setup *setup) {
  for (size_t i = 0; !setup->own_users && i < setup->process->rlimit_count; i++) {
    if (setup->process->rlimits[i].resource == RLIMIT_NPROC) {
      return &setup->process->rlimits[i];
    }
  }
  return NULL;
}

static int copy(struct last *last, const struct setup *from, struct err *err) {
  const struct plan_rlimit *processes = processes_limit(from);
  struct area *area = &last->area;
  const char *program = NULL;
  last->setup = *from;
  last->process = *from->process;
  last->setup.process = &last->process;
  last->limits_processes = processes != NULL;
  last->processes = processes == NULL ? last->processes : processes->limit;
  int r = area_copy_list(area, from->process->args, &last->process.args, err);
  r = r < 0 ? r : copy_environment(last, from, err);
  r = r < 0 ? r : area_copy_text(area, from->program, &program, err);
  r = r < 0 ? r : area_copy_text(area, from->id, &last->setup.id, err);
  r = r < 0 ? r : area_copy_text(area, from->state_head, &last->setup.state_head, err);
  r = r < 0 ? r : area_copy_text(area, from->state_tail, &last->setup.state_tail, err);
  r = r < 0 || from->seccomp == NULL ? r : copy_filter(last, from->seccomp, err);
  last->setup.program = (char *)program;
  if (r == 0 && from->plan != NULL) {
    last->setup.plan = &last->plan;
    r = copy_hooks(last, &from->plan->hooks[HOOK_START_CONTAINER], err);
  }
  return r;
}

int step_prepare_last(struct setup *setup, struct err *err) {
  if (!setup->makes_last) {
    return 0;
  }
  struct area area;
  int r = area_open(AREA_SIZE, &area, err);
  if (r < 0) {
    return r;
  }
  struct last *last = area_get(&area, sizeof(*last));
  last->area = area;
  r = copy(last, setup, err);
  setup->last = last;
  return r < 0 ? r : hidden_prepare(err);
}

static int run(void *argument) {
  struct last *last = argument;
  struct setup *setup = &last->setup;
  struct err err = ERR_INIT;
  int r = setup_start_session(setup, &err);
  if (r < 0) {
    (void)err_prefix(&err, "start session");
  } else if (last->limits_processes && setrlimit(RLIMIT_NPROC, &last->processes) < 0) {
    r = err_errno(&err, "set limits: cannot lower RLIMIT_NPROC");
  }
  /* One with a listener; the others are loaded before execution, or were before this process was made. */
  if (r == 0 && setup_no_new_privileges(setup) && !setup_seccomp_is_last(setup)) {
    r = setup_load_seccomp(setup, &err);
  }
  if (r < 0) {
    (void)sync_send(setup->sync, SYNC_FAILED, &err, NULL);
    return 1;
  }
  child_finish(setup);
}

int last_make(const struct setup *setup, pid_t *ret_pid, struct err *err) {
  struct last *last = setup->last;
  last->setup.forces_no_new_privileges = setup->forces_no_new_privileges;
  pid_t pid = hidden_clone(CLONE_PARENT, &last->area, run, last);
  if (pid < 0) {
    return errno == EAGAIN ? err_set(err, EAGAIN, "no process more: the container's pids limit leaves no room for two")
                           : err_errno(err, "cannot make a process in container %s", last->setup.id);
  }
  *ret_pid = pid;
  return 0;
}

bool last_passes(const struct setup *setup, const struct seccomp_program *program) {
  enum { ALWAYS, LISTENER, TERMINAL, PROCESSES };
  const struct {
    struct seccomp_call call;
    int when;
  } calls[] = {
      {{SYS_clone, {HIDDEN_CLONE_FLAGS(CLONE_PARENT)}}, ALWAYS},
      {{SYS_setsid, {0}}, ALWAYS},
      {{SYS_sendto, {0}}, ALWAYS},
      {{SYS_sendmsg, {0}}, LISTENER},
      {{SYS_close, {0}}, LISTENER},
      {{SYS_prlimit64, {0, RLIMIT_NPROC}}, PROCESSES},
      {{SYS_ioctl, {0, TIOCSCTTY}}, TERMINAL},
#ifdef SYS_dup2
      {{SYS_dup2, {0}}, TERMINAL},
#else
      {{SYS_dup3, {0}}, TERMINAL},
#endif
  };
  const bool wanted[] = {
      true,
      (program->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0,
      setup->process->terminal,
      processes_limit(setup) != NULL,
  };
  for (size_t i = 0; i < array_length(calls); i++) {
    if (wanted[calls[i].when] && !seccomp_allows(program, &calls[i].call)) {
      return false;
    }
  }
  return true;
}
