#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"

/* Every step says in its file which namespaces it finds; up to `pivot` the host's files are visible. */
const struct step container_steps[] = {
    {"enter user namespace", step_users},
    {"join cgroups", step_cgroups},
    {"join namespaces", step_namespaces},
    {"adjust process", step_host_processes},
    {"run hooks", step_runtime_hooks},
    {"raise loopback", step_loopback},
    {"set names", step_names},
    {"set sysctls", step_sysctls},
    {"join mount namespace", step_mount_namespace},
    {"detach mount propagation", step_propagation},
    {"mount root", step_root},
    {"mount", step_mounts},
    {"make devices", step_devices},
    {"write-protect paths", step_readonly_paths},
    {"mask paths", step_masked_paths},
    {"open terminal", step_terminal},
    {"run createContainer hooks", step_container_hooks},
    {"pivot", step_pivot},
    {"enter pid namespace", step_processes},
    {"start session", step_session},
    {"set limits", step_rlimits},
    {"enter working directory", step_directory},
    {"set personality", step_personality},
    {"set user", step_user},
    {"find program", step_program},
    {"close descriptors", step_close},
    {"prepare process", step_prepare_last},
    {"drop privileges", step_privileges},
    {NULL, NULL},
};

/* exec: every namespace was joined before; that of the processes holds for the last process only. */
const struct step exec_steps[] = {
    {"enter user namespace", step_users},
    {"open root", step_exec_root},
    {"open terminal", step_terminal},
    {"start session", step_session},
    {"set limits", step_rlimits},
    {"enter working directory", step_directory},
    {"set personality", step_personality},
    {"set user", step_user},
    {"find program", step_program},
    {"close descriptors", step_close},
    {"prepare process", step_prepare_last},
    {"drop privileges", step_privileges},
    {NULL, NULL},
};

/* While it waits, and as the container's init, the process holds nothing of the host but what it waits on. Before the
   filter may be loaded: profiles older than close_range do not allow it. */
int step_close(struct setup *setup, struct err *err) {
  int keep[] = {setup->sync, setup->start_fifo, setup->start_error, setup->apparmor, setup->selinux, setup->terminal};
  return fd_close_but(3 + setup->preserve_fds, keep, array_length(keep), err);
}

int steps_run(const struct step *steps, struct setup *setup, struct err *err) {
  for (const struct step *step = steps; step->name != NULL; step++) {
    if (step->run(setup, err) < 0) {
      return err_prefix(err, "%s", step->name);
    }
  }
  return 0;
}

void setup_warn(const struct setup *setup, const char *format, ...) {
  struct err text = ERR_INIT;
  va_list args;
  va_start(args, format);
  vsnprintf(text.text, sizeof(text.text), format, args);
  va_end(args);
  (void)sync_send(setup->sync, SYNC_WARNING, &text, NULL);
}

static void wait_for_start(const struct setup *setup) {
  char byte = 0;
  ssize_t n;
  if (setup->start_fifo < 0) {
    return;
  }
  do {
    n = read(setup->start_fifo, &byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n != 1) {
    _exit(1);
  }
}

static void execute(struct setup *setup) {
  static const char *const empty[] = {NULL};
  const char *const *env = setup->process->env.items == NULL ? empty : (const char *const *)setup->process->env.items;
  if (setup->listen_pid != NULL) {
    snprintf(setup->listen_pid, 16, "%d", (int)getpid());
  }
  execve(setup->program, (char *const *)setup->process->args, (char *const *)env);
  int code = errno;
  char text[600];
  int n = snprintf(text, sizeof(text), "cannot execute %s: %s\n", setup->process->args[0], strerror(code));
  int to = setup->start_error >= 0 ? setup->start_error : STDERR_FILENO;
  ssize_t written = write(to, text, (size_t)(n < (int)sizeof(text) ? n : (int)sizeof(text) - 1));
  (void)written;
  _exit(code == ENOENT || code == ENOTDIR ? 127 : 126);
}

/* After `start`: what the specification puts there, and what must be last. */
static int last_steps(const struct setup *setup, struct err *err) {
  if (setup->plan != NULL) {
    int r = hooks_run_inside(setup, HOOK_START_CONTAINER, "created", err);
    if (r < 0) {
      return r;
    }
  }
  return setup_seccomp_is_last(setup) ? setup_load_seccomp(setup, err) : 0;
}

_Noreturn void child_finish(struct setup *setup) {
  struct err err = ERR_INIT;
  enum sync_kind kind = SYNC_FAILED;
  if (sync_send(setup->sync, SYNC_READY, NULL, NULL) < 0 || sync_receive(setup->sync, &kind, NULL, NULL) < 0 ||
      kind != SYNC_COMMIT) {
    _exit(1);
  }
  if (!setup->hold_sync) {
    close(setup->sync);
  }
  wait_for_start(setup);
  if (last_steps(setup, &err) < 0) {
    ssize_t written = write(setup->start_error >= 0 ? setup->start_error : STDERR_FILENO, err.text, strlen(err.text));
    (void)written;
    _exit(126);
  }
  if (setup->plan != NULL && setup->plan->init) {
    _exit(init_main(setup, execute));
  }
  execute(setup);
  _exit(126);
}

_Noreturn void child_main(struct setup *setup, const struct step *steps) {
  struct err err = ERR_INIT;
  struct err made = ERR_INIT;
  int r = steps_run(steps, setup, &err);
  if (r == 0 && !setup->makes_last) {
    child_finish(setup);
  }
  r = r < 0 ? r : last_make(setup, &made.code, &err);
  (void)sync_send(setup->sync, r < 0 ? SYNC_FAILED : SYNC_MADE, r < 0 ? &err : &made, NULL);
  _exit(r < 0 ? 1 : 0);
}
