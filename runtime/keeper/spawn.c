#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "keeper/state.h"
#include "sys/process.h"
#include "sys/syscalls.h"

#define PROGRAM "tscompose-runtime"
/* How long a child may take to report, a program to end, unless the request says otherwise (`timeout_ms`). A container
 * is created within milliseconds, but its hooks may take a while. */
#define TIMEOUT_MS 120000
#define TIMEOUT_MAX_MS 86400000

/* `args` of the request behind the name of the program. */
static int read_args(const struct json *request, const char *program, struct str_list *ret_list, struct err *err) {
  cleanup_str_list struct str_list args = {NULL, 0};
  cleanup_str_list struct str_list list = {NULL, 0};
  int r = json_strings_at(request, "args", &args, err);
  if (r <= 0) {
    return r < 0 ? r : err_set(err, EINVAL, "args: missing");
  }
  r = str_list_add(&list, program);
  for (size_t i = 0; i < args.count && r == 0; i++) {
    r = str_list_add(&list, args.items[i]);
  }
  if (r < 0) {
    return err_oom(err);
  }
  *ret_list = list;
  list = (struct str_list){NULL, 0};
  return 0;
}

/* The watchdog fires at the nearest deadline. */
static void arm_watchdog(struct keeper *keeper) {
  int64_t next = INT64_MAX;
  for (const struct child *child = keeper->children; child != NULL; child = child->next) {
    next = child->report.fd >= 0 && !child->late && child->deadline < next ? child->deadline : next;
  }
  for (const struct run *run = keeper->runs; run != NULL; run = run->next) {
    next = !run->late && run->deadline < next ? run->deadline : next;
  }
  int64_t left = next - now_ms();
  loop_timer_set(keeper->watchdog.fd, next == INT64_MAX ? 0 : left < 1 ? 1 : (int)left);
}

static void watchdog_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct keeper *keeper = watch->owner;
  const int64_t now = now_ms();
  loop_timer_taken(watch->fd);
  for (struct child *child = keeper->children; child != NULL; child = child->next) {
    if (child->report.fd >= 0 && !child->late && child->deadline <= now) {
      child->late = true;
      (void)kill(child->pid, SIGKILL); /* answered when it is reaped */
    }
  }
  for (struct run *run = keeper->runs; run != NULL; run = run->next) {
    if (!run->late && run->deadline <= now) {
      run->late = true;
      (void)kill(run->pid, SIGKILL);
    }
  }
  arm_watchdog(keeper);
}

int spawn_watch(struct keeper *keeper, struct err *err) {
  int timer = -1;
  int r = loop_timer(&timer, err);
  return r < 0 ? r : keeper_watch(keeper, &keeper->watchdog, timer, EPOLLIN, watchdog_ready, keeper, err);
}

static int read_deadline(const struct json *request, int64_t *ret_deadline, struct err *err) {
  long long timeout = TIMEOUT_MS;
  int r = json_long_at(request, "timeout_ms", 1, TIMEOUT_MAX_MS, &timeout, err);
  if (r < 0) {
    return r;
  }
  *ret_deadline = now_ms() + timeout;
  return 0;
}

static void child_free(struct keeper *keeper, struct child *child) {
  for (struct child **at = &keeper->children; *at != NULL; at = &(*at)->next) {
    if (*at == child) {
      *at = child->next;
      break;
    }
  }
  loop_drop(&keeper->loop, &child->report);
  str_free(&child->line);
  free(child->args);
  free(child);
}

/* The child reported, or will not any more. */
static void answer(struct child *child) {
  struct keeper *keeper = child->keeper;
  long long request = child->request;
  cleanup_json struct json ready = {.value = NULL};
  cleanup_str struct str fields = STR_INIT;
  struct err err = ERR_INIT;
  child->request = -1;
  loop_drop(&keeper->loop, &child->report);
  char *newline = child->line.data == NULL ? NULL : strchr(child->line.data, '\n');
  if (newline == NULL) {
    (void)(child->late ? err_set(&err, ETIMEDOUT, "process %d did not report in time and was killed", child->pid)
                       : err_set(&err, ECHILD, "process %d ended without a report", child->pid));
    control_reply_error(keeper, request, /* code= */ NULL, &err);
  } else if (json_parse(child->line.data, (size_t)(newline - child->line.data), &ready, &err) < 0) {
    (void)err_prefix(&err, "the report of process %d", child->pid);
    control_reply_error(keeper, request, /* code= */ NULL, &err);
  } else if (str_addf(&fields, ",\"pid\":%d,\"ready\":", child->pid) == 0 && str_add(&fields, json_text(&ready)) == 0) {
    control_reply(keeper, request, fields.data);
  }
  str_free(&child->line);
}

/* True when there may be more. */
static bool read_report(struct child *child) {
  char data[4096];
  ssize_t n = read(child->report.fd, data, sizeof(data));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return errno == EINTR;
  }
  bool ended = n <= 0 || child->line.size > READY_LINE_MAX || str_append(&child->line, data, (size_t)n) < 0 ||
               memchr(data, '\n', (size_t)n) != NULL;
  if (ended) {
    answer(child);
  }
  return !ended;
}

static void report_ready(struct watch *watch, uint32_t events) {
  (void)events;
  (void)read_report(watch->owner);
}

static struct child *child_new(struct keeper *keeper, const char *args) {
  struct child *child = calloc(1, sizeof(*child));
  char *copy = strdup(args);
  if (child == NULL || copy == NULL) {
    free(child);
    free(copy);
    return NULL;
  }
  child->keeper = keeper;
  child->args = copy;
  child->report.fd = -1;
  child->request = -1;
  child->next = keeper->children;
  keeper->children = child;
  return child;
}

/* Our child, and not reaped: the number is its own. */
static void note_start(struct child *child) {
  struct process_stat stat;
  if (process_stat_read(child->pid, &stat, /* err= */ NULL) == 0) {
    child->start_time = stat.start_time;
  }
}

int spawn_adopt(struct keeper *keeper, pid_t pid, const char *args) {
  struct child *child = child_new(keeper, args);
  if (child == NULL) {
    return -ENOMEM;
  }
  child->pid = pid;
  note_start(child);
  return 0;
}

int spawn_child(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  (void)fields;
  cleanup_str_list struct str_list args = {NULL, 0};
  int64_t deadline = 0;
  int r = read_args(request, PROGRAM, &args, err);
  if (r < 0 || (r = read_deadline(request, &deadline, err)) < 0) {
    return r;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  cleanup_close int ours = ends[0];
  cleanup_close int theirs = ends[1];
  struct json given = json_get(request, "args");
  struct child *child = child_new(keeper, json_text(&given));
  if (child == NULL) {
    return err_oom(err);
  }
  struct child_plan plan = CHILD_PLAN_INIT;
  plan.exec_fd = keeper->self_fd;
  plan.argv = args.items;
  plan.environment = place_bare_environment;
  plan.fds[2] = CHILD_INHERIT; /* its last words go where ours go */
  plan.fds[3] = theirs;
  plan.session = true;
  r = fd_set_nonblock(ours, true, err);
  r = r < 0 ? r : child_start(&plan, &child->pid, err);
  r = r < 0 ? r : keeper_watch(keeper, &child->report, take_fd(&ours), EPOLLIN, report_ready, child, err);
  if (r < 0) {
    child_free(keeper, child);
    return r;
  }
  note_start(child);
  child->request = id;
  child->deadline = deadline;
  arm_watchdog(keeper);
  return 1;
}

int process_op_kill(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                    struct err *err) {
  (void)keeper, (void)id, (void)fields;
  long long pid = 0;
  uint64_t start_time = 0;
  cleanup_close int pidfd = -1;
  int r = json_need_long(request, "pid", 1, INT32_MAX, &pid, err);
  r = r < 0 ? r : json_u64_at(request, "start_time", &start_time, err);
  r = r < 0 ? r : process_open((pid_t)pid, start_time, &pidfd, err);
  if (r < 0) {
    return r == -ESRCH ? 0 : r; /* gone, whoever has its number now */
  }
  if (sys_pidfd_send_signal(pidfd, SIGKILL) < 0 && errno != ESRCH) {
    return err_errno(err, "cannot kill process %lld", pid);
  }
  return 0;
}

static void run_free(struct run *run) {
  struct keeper *keeper = run->keeper;
  for (struct run **at = &keeper->runs; *at != NULL; at = &(*at)->next) {
    if (*at == run) {
      *at = run->next;
      break;
    }
  }
  loop_drop(&keeper->loop, &run->input);
  str_free(&run->stdin_text);
  for (int i = 0; i < 2; i++) {
    loop_drop(&keeper->loop, &run->outputs[i]);
    str_free(&run->texts[i]);
  }
  free(run);
}

static void input_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct run *run = watch->owner;
  while (run->stdin_at < run->stdin_text.size) {
    ssize_t n = write(watch->fd, run->stdin_text.data + run->stdin_at, run->stdin_text.size - run->stdin_at);
    if (n < 0 && errno == EAGAIN) {
      return;
    }
    if (n < 0 && errno != EINTR) {
      break; /* it does not want the rest */
    }
    run->stdin_at += n > 0 ? (size_t)n : 0;
  }
  loop_drop(&run->keeper->loop, watch);
}

/* True when there may be more. */
static bool read_output(struct run *run, int index) {
  char data[16384];
  static const size_t limits[] = {RUN_STDOUT_MAX, RUN_STDERR_MAX};
  ssize_t n = read(run->outputs[index].fd, data, sizeof(data));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return errno == EINTR;
  }
  if (n <= 0) {
    loop_drop(&run->keeper->loop, &run->outputs[index]);
    return false;
  }
  if (run->texts[index].size + (size_t)n > limits[index] || str_append(&run->texts[index], data, (size_t)n) < 0) {
    run->too_much = true;
    (void)kill(run->pid, SIGKILL);
    loop_drop(&run->keeper->loop, &run->outputs[index]);
    return false;
  }
  return true;
}

static void output_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct run *run = watch->owner;
  (void)read_output(run, watch == &run->outputs[0] ? 0 : 1);
}

static int run_open(struct run *run, int child[3], struct err *err) {
  for (int i = 0; i < 3; i++) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
      return err_errno(err, "cannot make a pipe");
    }
    int ours = ends[i == 0 ? 1 : 0];
    child[i] = ends[i == 0 ? 0 : 1];
    (void)fd_set_nonblock(ours, true, /* err= */ NULL);
    int r = keeper_watch(run->keeper, i == 0 ? &run->input : &run->outputs[i - 1], ours, i == 0 ? EPOLLOUT : EPOLLIN,
                         i == 0 ? input_ready : output_ready, run, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int run_begin(struct run *run, const char *file, char *const *args, struct err *err) {
  int child[3] = {-1, -1, -1};
  struct child_plan plan = CHILD_PLAN_INIT;
  int r = run_open(run, child, err);
  plan.exec_fd = file == NULL ? run->keeper->self_fd : -1;
  plan.path = file;
  plan.argv = args;
  plan.environment = place_bare_environment;
  plan.session = true;
  for (int i = 0; i < 3; i++) {
    plan.fds[i] = child[i];
  }
  plan.fds[3] = run->keeper->run_fd; /* see place_await_programs */
  r = r < 0 ? r : child_start(&plan, &run->pid, err);
  for (int i = 0; i < 3; i++) {
    if (child[i] >= 0) {
      close(child[i]);
    }
  }
  return r;
}

int spawn_run(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  (void)fields;
  const char *file = NULL;
  const char *input = "";
  cleanup_str_list struct str_list args = {NULL, 0};
  int r = json_string_at(request, "file", &file, err);
  if (r < 0 || (r = json_string_at(request, "stdin", &input, err)) < 0) {
    return r;
  }
  if (file != NULL && file[0] != '/') {
    return err_set(err, EINVAL, "file: %s is not an absolute path", file);
  }
  int64_t deadline = 0;
  r = read_args(request, file == NULL ? PROGRAM : file, &args, err);
  if (r < 0 || (r = read_deadline(request, &deadline, err)) < 0) {
    return r;
  }
  struct run *run = calloc(1, sizeof(*run));
  if (run == NULL) {
    return err_oom(err);
  }
  run->keeper = keeper;
  run->input.fd = run->outputs[0].fd = run->outputs[1].fd = -1;
  run->request = id;
  run->next = keeper->runs;
  keeper->runs = run;
  r = str_add(&run->stdin_text, input) < 0 ? err_oom(err) : run_begin(run, file, args.items, err);
  if (r < 0) {
    run_free(run);
    return r;
  }
  run->deadline = deadline;
  arm_watchdog(keeper);
  return 1;
}

static void run_ended(struct run *run, int status) {
  cleanup_str struct str fields = STR_INIT;
  struct err err = ERR_INIT;
  for (int i = 0; i < 2; i++) {
    while (run->outputs[i].fd >= 0 && read_output(run, i)) {
    }
  }
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (run->late) {
    (void)err_set(&err, ETIMEDOUT, "process %d did not end in time and was killed", run->pid);
    control_reply_error(run->keeper, run->request, /* code= */ NULL, &err);
  } else if (run->too_much) {
    (void)err_set(&err, EFBIG, "process %d wrote more than %zu bytes and was killed", run->pid, RUN_STDOUT_MAX);
    control_reply_error(run->keeper, run->request, /* code= */ NULL, &err);
  } else if (str_addf(&fields, ",\"status\":%d,\"stdout\":", code) == 0 &&
             json_add_quoted_n(&fields, run->texts[0].data == NULL ? "" : run->texts[0].data, run->texts[0].size) ==
                 0 &&
             str_add(&fields, ",\"stderr\":") == 0 &&
             json_add_quoted_n(&fields, run->texts[1].data == NULL ? "" : run->texts[1].data, run->texts[1].size) ==
                 0) {
    control_reply(run->keeper, run->request, fields.data);
  }
  run_free(run);
}

static void child_ended(struct child *child, int status) {
  struct keeper *keeper = child->keeper;
  while (child->report.fd >= 0 && read_report(child)) {
  }
  if (child->report.fd >= 0) {
    answer(child); /* a descendant still holds the pipe */
  }
  cleanup_str struct str line = STR_INIT;
  if (str_addf(&line, "{\"event\":\"exit\",\"pid\":%d,\"status\":%d}", child->pid, status) == 0) {
    control_send(keeper, &line);
  }
  child_free(keeper, child);
}

bool spawn_reaped(struct keeper *keeper, pid_t pid, int status) {
  for (struct child *child = keeper->children; child != NULL; child = child->next) {
    if (child->pid == pid) {
      child_ended(child, status);
      return true;
    }
  }
  for (struct run *run = keeper->runs; run != NULL; run = run->next) {
    if (run->pid == pid) {
      run_ended(run, status);
      return true;
    }
  }
  return false;
}

void spawn_end_runs(struct keeper *keeper) {
  for (struct run *run = keeper->runs; run != NULL; run = run->next) {
    (void)kill(run->pid, SIGKILL);
  }
}

void spawn_forget_requests(struct keeper *keeper) {
  for (struct child *child = keeper->children; child != NULL; child = child->next) {
    child->request = -1;
  }
  for (struct run *run = keeper->runs; run != NULL; run = run->next) {
    run->request = -1;
  }
}
