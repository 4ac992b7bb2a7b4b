#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/child.h"
#include "base/file.h"
#include "monitor/state.h"
#include "sys/confine.h"

#define WORDS_MAX 24
#define RUNTIME_LOG "runtime.log"

/* A command line under construction; the strings are borrowed. */
struct words {
  char *items[WORDS_MAX];
  size_t count;
};

static void add(struct words *words, const char *word) {
  words->items[words->count++] = (char *)word;
}

static void add_option(struct words *words, const char *name, const char *value) {
  add(words, name);
  add(words, value);
}

struct paths {
  char log[PATH_MAX];
  char pid[PATH_MAX];
  char console[PATH_MAX];
};

static void fill_paths(const struct monitor *monitor, struct paths *paths) {
  const char *run = monitor->config.run_dir;
  snprintf(paths->log, sizeof(paths->log), "%s/" RUNTIME_LOG, run);
  snprintf(paths->pid, sizeof(paths->pid), "%s/pid", run);
  snprintf(paths->console, sizeof(paths->console), "%s/console.sock", run);
  if (strlen(paths->console) >= 108) {
    /* Longer than a socket address holds: by way of our descriptor of the directory. */
    snprintf(paths->console, sizeof(paths->console), "/proc/%d/fd/%d/console.sock", getpid(), monitor->run_fd);
  }
}

static void begin(const struct monitor *monitor, const struct paths *paths, struct words *words) {
  const struct config *config = &monitor->config;
  add(words, config->runtime == NULL ? "tscompose-runtime" : config->runtime);
  add_option(words, "--root", config->runtime_root);
  add_option(words, "--log", paths->log);
  add_option(words, "--log-format", "json");
}

static int start_job(struct monitor *monitor, struct words *words, const int stdio[3], struct err *err) {
  struct child_plan plan = CHILD_PLAN_INIT;
  words->items[words->count] = NULL;
  plan.verb = monitor->config.runtime == NULL ? monitor->own_runtime : NULL;
  plan.path = monitor->config.runtime;
  plan.argv = words->items;
  plan.prepare = confine_usual_score; /* the container must not be as hard to kill as its monitor */
  for (int i = 0; i < 3; i++) {
    plan.fds[i] = stdio[i];
  }
  (void)unlinkat(monitor->run_fd, RUNTIME_LOG, 0);
  monitor->early.size = 0;
  return child_start(&plan, &monitor->job.pid, err);
}

/* create or exec: the runtime's stdio becomes the process's, or serves only its words when there is a pty. */
static int start_holding(struct monitor *monitor, struct words *words, const struct paths *paths, struct err *err) {
  const struct config *config = &monitor->config;
  add_option(words, "--pid-file", paths->pid);
  if (config->terminal) {
    add_option(words, "--console-socket", paths->console);
  }
  add(words, config->container);
  int child[3] = {-1, -1, -1};
  (void)unlinkat(monitor->run_fd, "pid", 0);
  int r = stdio_open(monitor, child, err);
  r = r < 0 ? r : start_job(monitor, words, child, err);
  for (int i = 0; i < 3; i++) {
    if (child[i] >= 0) {
      close(child[i]);
    }
  }
  return r;
}

int runtime_create(struct monitor *monitor, struct err *err) {
  struct paths paths;
  struct words words = {.count = 0};
  fill_paths(monitor, &paths);
  begin(monitor, &paths, &words);
  add(&words, "create");
  add_option(&words, "--bundle", monitor->config.bundle);
  return start_holding(monitor, &words, &paths, err);
}

int runtime_start(struct monitor *monitor, struct err *err) {
  struct paths paths;
  struct words words = {.count = 0};
  fill_paths(monitor, &paths);
  begin(monitor, &paths, &words);
  if (monitor->config.exec) {
    add(&words, "exec");
    add_option(&words, "--process", monitor->config.process);
    add(&words, "--detach");
    return start_holding(monitor, &words, &paths, err);
  }
  add(&words, "start");
  add(&words, monitor->config.container);
  const int nothing[3] = {CHILD_NULL, CHILD_NULL, CHILD_NULL};
  return start_job(monitor, &words, nothing, err);
}

int runtime_delete(struct monitor *monitor, struct err *err) {
  struct paths paths;
  struct words words = {.count = 0};
  fill_paths(monitor, &paths);
  begin(monitor, &paths, &words);
  add(&words, "delete");
  add(&words, "--force");
  add(&words, monitor->config.container);
  const int nothing[3] = {CHILD_NULL, CHILD_NULL, CHILD_NULL};
  return start_job(monitor, &words, nothing, err);
}

/* `msg` of the last line of the runtime's log that has one. */
static int last_message(const struct monitor *monitor, struct err *err) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  if (file_read(monitor->run_fd, RUNTIME_LOG, &text, &size, /* err= */ NULL) < 0) {
    return -ENOENT;
  }
  int found = -ENOENT;
  for (char *line = text, *next; *line != '\0'; line = next) {
    size_t length = strcspn(line, "\n");
    next = line + length + (line[length] == '\n');
    cleanup_json struct json document = {.value = NULL};
    const char *message = NULL;
    const char *level = "error";
    if (json_parse(line, length, &document, /* err= */ NULL) == 0 &&
        json_string_at(&document, "msg", &message, /* err= */ NULL) > 0 &&
        json_string_at(&document, "level", &level, /* err= */ NULL) >= 0 && strcmp(level, "error") == 0) {
      found = err_set(err, ECHILD, "%s", message);
    }
  }
  return found == -ENOENT ? found : 0;
}

int runtime_failure(struct monitor *monitor, const char *verb, int status, struct err *err) {
  if (last_message(monitor, err) == 0) {
    return -ECHILD;
  }
  const char *runtime = monitor->config.runtime == NULL ? "the runtime" : monitor->config.runtime;
  while (monitor->early.size > 0 && strchr("\r\n ", monitor->early.data[monitor->early.size - 1]) != NULL) {
    monitor->early.data[--monitor->early.size] = '\0';
  }
  if (monitor->early.size > 0) {
    return err_set(err, ECHILD, "%s", monitor->early.data);
  }
  return WIFSIGNALED(status)
             ? err_set(err, ECHILD, "%s %s was killed by signal %d", runtime, verb, WTERMSIG(status))
             : err_set(err, ECHILD, "%s %s ended with status %d and no message", runtime, verb, WEXITSTATUS(status));
}

int runtime_read_pid(struct monitor *monitor, struct err *err) {
  char text[32];
  long long pid = 0;
  int r = file_read_line(monitor->run_fd, "pid", text, sizeof(text), err);
  if (r < 0) {
    return err_prefix(err, "the runtime left no pid file");
  }
  if (str_to_long(text, 1, INT_MAX, &pid) < 0) {
    return err_set(err, EBADMSG, "the runtime wrote no pid but \"%s\"", text);
  }
  monitor->pid = (pid_t)pid;
  return 0;
}
