/* What stands before the verb, and the table of verbs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "spec/plan.h"
#include "sys/hidden.h"
#include "sys/needed.h"

#ifndef TSCOMPOSE_VERSION
#define TSCOMPOSE_VERSION "unknown"
#endif

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

/* Sorted as a container lives. */
static const struct {
  const char *name;
  verb_run *run; /* NULL: refused by name */
  const char *arguments, *help;
} verbs[] = {
    {"create", verb_create, "ID", "make a container from a bundle; its process waits"},
    {"start", verb_start, "ID", "run the process of a created container"},
    {"run", verb_run_container, "ID", "create and start; in the foreground unless --detach"},
    {"exec", verb_exec, "ID [COMMAND [ARG…]]", "run one more process in a container"},
    {"kill", verb_kill, "ID [SIGNAL]", "send a signal (TERM) to the first process, or to --all"},
    {"pause", verb_pause, "ID", "stop every process where it is"},
    {"resume", verb_resume, "ID", "let them go on"},
    {"update", run_update, "ID", "change the limits of a container"},
    {"events", run_events, "ID", "print counters of a container"},
    {"ps", run_ps, "ID", "list the processes of a container"},
    {"state", verb_state, "ID", "print the state as the OCI specification has it"},
    {"list", verb_list, "", "list the containers of this root"},
    {"delete", verb_delete, "ID", "remove a stopped container, or any with --force"},
    {"spec", verb_spec, "", "write a config.json to begin with"},
    {"features", verb_features, "", "print what this runtime supports"},
    {"checkpoint", NULL, NULL, NULL},
    {"restore", NULL, NULL, NULL},
};

static void usage(FILE *to) {
  fputs("usage: tscompose-runtime [OPTION…] VERB [OPTION…] [ARG…]\n\noptions:\n"
        "  --root DIR               where containers are kept\n"
        "  --log FILE               messages go there too\n"
        "  --log-format text|json\n"
        "  --debug                  more messages\n"
        "  --systemd-cgroup         systemd makes the control groups\n"
        "  --rootless auto|true|false\n"
        "  --version, --help\n\nverbs (VERB --help: their options):\n",
        to);
  for (size_t i = 0; i < array_length(verbs); i++) {
    if (verbs[i].run != NULL) {
      fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    }
  }
  fputs("  monitor keeper net names: the services of tscompose\n", to);
}

static int open_log(const char *path, const char *format, bool debug, struct err *err) {
  int fd = STDERR_FILENO;
  if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
    return err_set(err, EINVAL, "--log-format is text or json, not %s", format);
  }
  if (path != NULL && path[0] != '\0') {
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
      return err_errno(err, "cannot open log %s", path);
    }
  }
  log_open(fd, format[0] == 'j', debug ? LOG_DEBUG : LOG_WARN);
  return 0;
}

/* Whose the files are decides; the option only must not contradict what callers of other runtimes write. */
static int check_rootless(const char *text, struct err *err) {
  return strcmp(text, "auto") == 0 || strcmp(text, "true") == 0 || strcmp(text, "false") == 0
             ? 0
             : err_set(err, EINVAL, "--rootless is auto, true or false, not %s", text);
}

static int call_verb(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  if (argc == 0) {
    usage(stderr);
    return err_set(err, EINVAL, "no verb given");
  }
  for (size_t i = 0; i < array_length(verbs); i++) {
    if (strcmp(verbs[i].name, argv[0]) != 0) {
      continue;
    }
    if (verbs[i].run == NULL) {
      return err_set(err, ENOTSUP, "%s is not supported: processes cannot be frozen to disk", argv[0]);
    }
    int r = verbs[i].run(call, argc, argv, ret_status, err);
    if (r == -ECANCELED) {
      bool options = err->text[0] != '\0';
      printf("usage: tscompose-runtime %s%s%s%s\n\n%s\n%s%s", argv[0], options ? " [OPTION…]" : "",
             verbs[i].arguments[0] == '\0' ? "" : " ", verbs[i].arguments, verbs[i].help, options ? "\n" : "",
             err->text);
      return 0;
    }
    return r;
  }
  usage(stderr);
  return err_set(err, EINVAL, "unknown verb %s", argv[0]);
}

struct globals {
  const char *log_path, *log_format, *rootless;
};

static int run_verb(struct call *call, int argc, char **argv, struct globals *globals, int *ret_status,
                    struct err *err) {
  bool debug = false, version = false, help = false;
  const struct option_spec table[] = {
      {"root", 0, OPTION_TEXT, &call->root},
      {"log", 0, OPTION_TEXT, &globals->log_path},
      {"log-format", 0, OPTION_TEXT, &globals->log_format},
      {"debug", 0, OPTION_FLAG, &debug},
      {"version", 'v', OPTION_FLAG, &version},
      {"help", 'h', OPTION_FLAG, &help},
      {"systemd-cgroup", 0, OPTION_FLAG, &call->systemd_cgroup},
      {"rootless", 0, OPTION_TEXT, &globals->rootless},
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && (version || help)) {
    if (version) {
      puts("tscompose-runtime version " TSCOMPOSE_VERSION "\nspec: " PLAN_VERSION);
    } else {
      usage(stdout);
    }
    return 0;
  }
  r = r < 0 ? r : check_rootless(globals->rootless, err);
  r = r < 0 ? r : open_log(globals->log_path, globals->log_format, debug, err);
  return r < 0 ? r : call_verb(call, argc - next, argv + next, ret_status, err);
}

/* A user's containers are in the user's own runtime directory. */
static void default_root(char *buffer, size_t capacity) {
  const char *own = getenv("XDG_RUNTIME_DIR");
  if (geteuid() != 0 && own != NULL && own[0] == '/') {
    snprintf(buffer, capacity, "%s/tscompose/oci", own);
  } else {
    snprintf(buffer, capacity, "/run/tscompose/oci");
  }
}

int oci_main(int argc, char **argv) {
  char root[1024];
  struct globals globals = {.log_format = "text", .rootless = "auto"};
  struct call call = {.root = root, .argv = argv};
  struct err err = ERR_INIT;
  int status = 0;
  hidden_gather();
  default_root(root, sizeof(root));
  if (run_verb(&call, argc, argv, &globals, &status, &err) == 0) {
    return status;
  }
  const char *missing = err.code == ENOSYS ? needed_missing() : NULL;
  if (missing != NULL) {
    cleanup_free char *what = str_format("%s", err.text);
    err_set(&err, ENOSYS,
            "%s; system call %s is missing: the kernel is too old, or a seccomp filter around the runtime hides it",
            what == NULL ? "" : what, missing);
  }
  log_error("%s", err.text);
  if (globals.log_path != NULL && globals.log_path[0] != '\0') {
    /* Callers look for the reason in the log or here. */
    fprintf(stderr, "error: %s\n", err.text);
  }
  return 1;
}
