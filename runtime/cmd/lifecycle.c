/* create, run, start, kill, pause, resume, delete. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "container/container.h"
#include "sys/process.h"

int harden(const struct call *call, int preserve_fds, struct err *err) {
  /* Now, while nothing of ours is among them. */
  for (int fd = 3; fd < 3 + preserve_fds; fd++) {
    if (fcntl(fd, F_GETFD) < 0) {
      return err_errno(err, "descriptor %d is to be passed on, but is not open", fd);
    }
  }
  int r = fd_cloexec_from(3 + preserve_fds, err);
  r = r < 0 ? r : process_reexec_sealed(call->argv, err);
  if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
    r = err_errno(err, "cannot become undumpable");
  }
  return r;
}

int need_id(int argc, char **argv, int next, const char **ret_id, struct err *err) {
  if (next >= argc) {
    return err_set(err, EINVAL, "%s: container id missing", argv[0]);
  }
  if (next + 1 < argc) {
    return err_set(err, EINVAL, "%s: unexpected argument %s", argv[0], argv[next + 1]);
  }
  *ret_id = argv[next];
  return 0;
}

static const char *from_environment(const char *name) {
  const char *value = getenv(name);
  return value == NULL || value[0] == '\0' ? NULL : value;
}

/* Sockets a service manager passes to us are for the container, and are meant only when they name us. */
static int read_activation(struct create_options *options, struct err *err) {
  const char *pid = from_environment("LISTEN_PID");
  const char *count = from_environment("LISTEN_FDS");
  long long named = 0, fds = 0;
  options->notify_socket = from_environment("NOTIFY_SOCKET");
  if (pid == NULL || count == NULL || str_to_long(pid, 1, INT_MAX, &named) < 0 || named != getpid()) {
    return 0;
  }
  if (str_to_long(count, 0, 1024, &fds) < 0) {
    return err_set(err, EINVAL, "LISTEN_FDS: '%s' is not a number of descriptors", count);
  }
  options->listen_fds = (int)fds;
  options->listen_names = from_environment("LISTEN_FDNAMES");
  options->preserve_fds += (int)fds;
  return 0;
}

static int create_or_run(const struct call *call, int argc, char **argv, bool run, int *ret_status, struct err *err) {
  struct create_options options = {.root = call->root, .bundle = ".", .systemd_cgroup = call->systemd_cgroup};
  bool detach = false, no_subreaper = false;
  const struct option_spec table[] = {
      {"bundle", 'b', OPTION_TEXT, &options.bundle},
      {"console-socket", 0, OPTION_TEXT, &options.console_socket},
      {"pid-file", 0, OPTION_TEXT, &options.pid_file},
      {"preserve-fds", 0, OPTION_NUMBER, &options.preserve_fds},
      {"no-pivot", 0, OPTION_FLAG, &options.no_pivot},
      {"no-new-keyring", 0, OPTION_FLAG, &options.no_new_keyring},
      {"dry-run", 0, OPTION_FLAG, &options.dry_run},
      {"detach", 'd', run ? OPTION_FLAG : OPTION_REFUSED, &detach},
      {"keep", 0, run ? OPTION_FLAG : OPTION_REFUSED, &options.keep},
      {"no-subreaper", 0, run ? OPTION_FLAG : OPTION_REFUSED, &no_subreaper}, /* never are we one */
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &options.id, err);
  r = r < 0 ? r : read_activation(&options, err);
  r = r < 0 ? r : harden(call, options.preserve_fds, err);
  options.run = run;
  options.wait = run && !detach;
  return r < 0 ? r : container_run(&options, ret_status, err);
}

int verb_create(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  return create_or_run(call, argc, argv, false, ret_status, err);
}

int verb_run_container(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  return create_or_run(call, argc, argv, true, ret_status, err);
}

/* The id of a verb without options. */
static int only_id(int argc, char **argv, const char **ret_id, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  return r < 0 ? r : need_id(argc, argv, next, ret_id, err);
}

int verb_start(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *id = NULL;
  (void)ret_status;
  int r = only_id(argc, argv, &id, err);
  return r < 0 ? r : container_start(call->root, id, err);
}

int verb_pause(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *id = NULL;
  (void)ret_status;
  int r = only_id(argc, argv, &id, err);
  return r < 0 ? r : container_pause(call->root, id, true, err);
}

int verb_resume(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *id = NULL;
  (void)ret_status;
  int r = only_id(argc, argv, &id, err);
  return r < 0 ? r : container_pause(call->root, id, false, err);
}

int verb_kill(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  bool all = false;
  const struct option_spec table[] = {{"all", 'a', OPTION_FLAG, &all}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  if (r < 0 || next >= argc || next + 2 < argc) {
    return r < 0 ? r : err_set(err, EINVAL, "kill: expected a container id and perhaps a signal");
  }
  const char *name = next + 1 < argc ? argv[next + 1] : "TERM";
  int number = signal_number(name);
  return number < 0 ? err_set(err, EINVAL, "kill: unknown signal %s", name)
                    : container_kill(call->root, argv[next], number, all, err);
}

int verb_delete(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  bool force = false;
  const struct option_spec table[] = {{"force", 'f', OPTION_FLAG, &force}, {NULL, 0, OPTION_FLAG, NULL}};
  const char *id = NULL;
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  return r < 0 ? r : container_delete(call->root, id, force, err);
}
