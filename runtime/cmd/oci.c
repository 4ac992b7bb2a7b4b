#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "container/container.h"
#include "sys/needed.h"
#include "sys/process.h"

struct call {
  const char *root;
  char **argv; /* of the whole program, for re-execution */
};

/* Before the container's side is touched: no inherited descriptor goes along, nobody looks into us, and the binary the
   container could see is a sealed copy. */
static int harden(const struct call *call, int preserve_fds, struct err *err) {
  int r = fd_cloexec_from(3 + preserve_fds, err);
  r = r < 0 ? r : process_reexec_sealed(call->argv, err);
  if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
    r = err_errno(err, "cannot become undumpable");
  }
  return r;
}

static int need_id(int argc, char **argv, int next, const char **ret_id, struct err *err) {
  if (next >= argc) {
    return err_set(err, EINVAL, "%s: container id missing", argv[0]);
  }
  if (next + 1 < argc) {
    return err_set(err, EINVAL, "%s: unexpected argument %s", argv[0], argv[next + 1]);
  }
  *ret_id = argv[next];
  return 0;
}

static int create_or_run(const struct call *call, int argc, char **argv, bool run, int *ret_status, struct err *err) {
  struct create_options options = {.root = call->root, .bundle = "."};
  bool detach = false;
  const struct option_spec table[] = {
      {"bundle", 'b', OPTION_TEXT, &options.bundle},
      {"console-socket", 0, OPTION_TEXT, &options.console_socket},
      {"pid-file", 0, OPTION_TEXT, &options.pid_file},
      {"preserve-fds", 0, OPTION_NUMBER, &options.preserve_fds},
      {"dry-run", 0, OPTION_FLAG, &options.dry_run},
      {"detach", 'd', run ? OPTION_FLAG : OPTION_REFUSED, &detach},
      {"no-pivot", 0, OPTION_REFUSED, NULL},
      {"no-new-keyring", 0, OPTION_FLAG, &options.no_new_keyring},
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &options.id, err);
  r = r < 0 ? r : harden(call, options.preserve_fds, err);
  options.run = run;
  options.wait = run && !detach;
  return r < 0 ? r : container_run(&options, ret_status, err);
}

static int verb_create(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  return create_or_run(call, argc, argv, false, ret_status, err);
}

static int verb_run(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  return create_or_run(call, argc, argv, true, ret_status, err);
}

static int verb_start(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  const char *id = NULL;
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  return r < 0 ? r : container_start(call->root, id, err);
}

static int verb_exec(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  struct exec_options options = {.root = call->root};
  const struct option_spec table[] = {
      {"process", 'p', OPTION_TEXT, &options.process_file},
      {"console-socket", 0, OPTION_TEXT, &options.console_socket},
      {"pid-file", 0, OPTION_TEXT, &options.pid_file},
      {"cwd", 0, OPTION_TEXT, &options.cwd},
      {"user", 'u', OPTION_TEXT, &options.user},
      {"env", 'e', OPTION_LIST, &options.env},
      {"additional-gids", 'g', OPTION_LIST, &options.add_groups},
      {"cap", 'c', OPTION_LIST, &options.capabilities},
      {"tty", 't', OPTION_FLAG, &options.terminal},
      {"detach", 'd', OPTION_FLAG, &options.detach},
      {"no-new-privs", 0, OPTION_FLAG, &options.no_new_privileges},
      {"preserve-fds", 0, OPTION_NUMBER, &options.preserve_fds},
      {"apparmor", 0, OPTION_TEXT, &options.apparmor},
      {"process-label", 0, OPTION_TEXT, &options.process_label},
      {"cgroup", 0, OPTION_REFUSED, NULL},
      {"ignore-paused", 0, OPTION_REFUSED, NULL},
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && next >= argc) {
    r = err_set(err, EINVAL, "exec: container id missing");
  }
  if (r == 0 && (options.process_file == NULL) == (next + 1 >= argc)) {
    r = err_set(err, EINVAL, "exec: either --process FILE or a command is needed");
  }
  if (r == 0) {
    options.id = argv[next];
    options.args = argv + next + 1;
    r = harden(call, options.preserve_fds, err);
    r = r < 0 ? r : container_exec(&options, ret_status, err);
  }
  str_list_free(&options.env);
  str_list_free(&options.add_groups);
  str_list_free(&options.capabilities);
  return r;
}

static int verb_kill(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
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

static int verb_delete(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  bool force = false;
  const struct option_spec table[] = {{"force", 'f', OPTION_FLAG, &force}, {NULL, 0, OPTION_FLAG, NULL}};
  const char *id = NULL;
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  return r < 0 ? r : container_delete(call->root, id, force, err);
}

static int pause_or_resume(const struct call *call, int argc, char **argv, bool pause, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  const char *id = NULL;
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  return r < 0 ? r : container_pause(call->root, id, pause, err);
}

static int verb_pause(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  (void)ret_status;
  return pause_or_resume(call, argc, argv, true, err);
}

static int verb_resume(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  (void)ret_status;
  return pause_or_resume(call, argc, argv, false, err);
}

static int print(char *text, struct err *err) {
  int r = fd_write_all(STDOUT_FILENO, text, strlen(text), err);
  free(text);
  return r;
}

static int verb_state(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  cleanup_container struct container container = CONTAINER_INIT;
  const char *id = NULL;
  char *text = NULL;
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  r = r < 0 ? r : container_open(call->root, id, false, &container, err);
  r = r < 0 ? r : container_state_text(&container, container_status(&container), &text, err);
  return r < 0 ? r : print(text, err);
}

static int verb_list(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *format = "table";
  bool quiet = false;
  char *text = NULL;
  const struct option_spec table[] = {
      {"format", 'f', OPTION_TEXT, &format}, {"quiet", 'q', OPTION_FLAG, &quiet}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
    r = err_set(err, EINVAL, "list: --format is table or json, not %s", format);
  }
  r = r < 0 ? r : container_list(call->root, format[0] == 'j', quiet, &text, err);
  return r < 0 ? r : print(text, err);
}

static int verb_features(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  char *text = NULL;
  (void)call;
  (void)argc;
  (void)argv;
  (void)ret_status;
  int r = verb_features_text(&text, err);
  return r < 0 ? r : print(text, err);
}

static int run_update(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  (void)ret_status;
  return verb_update(call->root, argc, argv, err);
}

static int run_events(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  (void)ret_status;
  return verb_events(call->root, argc, argv, err);
}

static int run_ps(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  (void)ret_status;
  return verb_ps(call->root, argc, argv, err);
}

static const struct {
  const char *name;
  int (*run)(const struct call *call, int argc, char **argv, int *ret_status, struct err *err);
} verbs[] = {
    {"create", verb_create}, {"start", verb_start},   {"run", verb_run},           {"exec", verb_exec},
    {"kill", verb_kill},     {"state", verb_state},   {"delete", verb_delete},     {"list", verb_list},
    {"pause", verb_pause},   {"resume", verb_resume}, {"features", verb_features}, {"update", run_update},
    {"events", run_events},  {"ps", run_ps},
};

static int open_log(const char *path, const char *format, bool debug, struct err *err) {
  int fd = STDERR_FILENO;
  if (path != NULL) {
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
      return err_errno(err, "cannot open log %s", path);
    }
  }
  if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
    return err_set(err, EINVAL, "--log-format is text or json, not %s", format);
  }
  log_open(fd, format[0] == 'j', debug ? LOG_DEBUG : LOG_WARN);
  return 0;
}

static void usage(FILE *to) {
  fputs("usage: tscompose-runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] VERB [OPTION…] [ARG…]\n"
        "verbs: create start run exec kill state delete list pause resume update events ps features; monitor keeper "
        "net names\n",
        to);
}

static int run_verb(struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *log_path = NULL, *log_format = "text";
  bool debug = false, version = false, help = false;
  const struct option_spec table[] = {
      {"root", 0, OPTION_TEXT, &call->root},
      {"log", 0, OPTION_TEXT, &log_path},
      {"log-format", 0, OPTION_TEXT, &log_format},
      {"debug", 0, OPTION_FLAG, &debug},
      {"version", 'v', OPTION_FLAG, &version},
      {"help", 'h', OPTION_FLAG, &help},
      {"systemd-cgroup", 0, OPTION_REFUSED, NULL},
      {"rootless", 0, OPTION_REFUSED, NULL},
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && (version || help)) {
    if (version) {
      puts("tscompose-runtime\nspec: 1.2.0");
    } else {
      usage(stdout);
    }
    return 0;
  }
  r = r < 0 ? r : open_log(log_path, log_format, debug, err);
  if (r < 0) {
    return r;
  }
  for (size_t i = 0; next < argc && i < array_length(verbs); i++) {
    if (strcmp(verbs[i].name, argv[next]) == 0) {
      return verbs[i].run(call, argc - next, argv + next, ret_status, err);
    }
  }
  usage(stderr);
  return next < argc ? err_set(err, EINVAL, "unknown verb %s", argv[next]) : err_set(err, EINVAL, "no verb given");
}

int oci_main(int argc, char **argv) {
  struct call call = {.root = "/run/tscompose/oci", .argv = argv};
  struct err err = ERR_INIT;
  int status = 0;
  if (run_verb(&call, argc, argv, &status, &err) < 0) {
    const char *missing = err.code == ENOSYS ? needed_missing() : NULL;
    if (missing != NULL) {
      log_error("%s; system call %s is missing: the kernel is too old, or a seccomp filter around the runtime hides it",
                err.text, missing);
    } else {
      log_error("%s", err.text);
    }
    return 1;
  }
  return status;
}
