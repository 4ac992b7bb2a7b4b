#include "monitor/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/reply.h"
#include "monitor/state.h"
#include "sys/process.h"

#define READY_FD 3
/* How long readers may take for what is left when all is over. */
#define LAST_BYTES_MS 60000
/* How long they may take to close when they have it all. */
#define PARTING_MS 2000
/* How often, and how many times, an exit record is tried again that could not be written. */
#define RECORD_AGAIN_MS 500
#define RECORD_TRIES 7200

static void unlink_all(const struct monitor *monitor, bool failed) {
  static const char *const always[] = {"m.sock", "console.sock", "runtime.log", "process"};
  for (size_t i = 0; i < array_length(always); i++) {
    (void)unlinkat(monitor->run_fd, always[i], 0);
  }
  if (failed) {
    (void)unlinkat(monitor->run_fd, "pid", 0);
  }
}

/*
 * The program's code, mapped while starting, is given back: from here on a monitor mostly waits and needs a fraction of
 * it (the kernel maps that again from the page cache when touched). It is never written, so nothing is lost.
 */
static void shrink(void) {
  extern const char __executable_start[], __etext[];
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t from = (uintptr_t)__executable_start & ~(page - 1);
  uintptr_t to = (uintptr_t)__etext & ~(page - 1);
  (void)madvise((void *)from, to - from, MADV_DONTNEED);
  (void)malloc_trim(0);
}

/* The one line on descriptor 3. `failure` NULL: ready. */
static void report(struct monitor *monitor, const struct err *failure) {
  cleanup_str struct str line = STR_INIT;
  int r = failure != NULL ? reply_error(&line, -1, /* code= */ NULL, failure)
                          : str_addf(&line, "{\"ok\":true,\"pid\":%d,\"start_time\":%llu}", monitor->pid,
                                     (unsigned long long)monitor->start_time);
  r = r < 0 ? r : str_add(&line, "\n");
  if (monitor->ready_fd >= 0) {
    if (r == 0) {
      (void)fd_write_all(monitor->ready_fd, line.data, line.size, /* err= */ NULL); /* a keeper that went away */
    }
    close(monitor->ready_fd);
    monitor->ready_fd = -1;
    shrink();
  } else if (failure != NULL) {
    log_error("%s", failure->text);
  }
}

static void leave(struct monitor *monitor) {
  monitor->loop.quit = true;
}

/* Leaving at once would fail a client's last write (the end of stdin, say), and a failed write makes it drop what it
   has not read yet: so each closes first. */
void monitor_leave_when_flushed(struct monitor *monitor) {
  if (monitor->phase != PHASE_LEAVING) {
    return;
  }
  bool all = clients_part(monitor);
  if (monitor->clients == NULL) {
    leave(monitor);
  } else if (all && !monitor->parting) {
    monitor->parting = true;
    loop_timer_set(monitor->deadline.fd, PARTING_MS);
  }
}

/* Everything is recorded and released: every client hears of it, then the monitor goes. */
static void say_goodbye(struct monitor *monitor) {
  cleanup_str struct str event = STR_INIT;
  monitor->phase = PHASE_LEAVING;
  /* Who hears of the end may remove the directory, or use it again. */
  loop_drop(&monitor->loop, &monitor->listener);
  unlink_all(monitor, monitor->ready_fd >= 0);
  if (exit_record_text(monitor, "exit", &event) == 0) {
    clients_event(monitor, event.data, event.size);
  }
  loop_timer_set(monitor->deadline.fd, LAST_BYTES_MS);
  monitor_leave_when_flushed(monitor);
}

static void deleted(struct monitor *monitor, int status) {
  if (status != 0) {
    struct err err = ERR_INIT;
    (void)runtime_failure(monitor, "delete", status, &err);
    log_error("cannot delete container %s: %s", monitor->config.container, err.text);
  }
  say_goodbye(monitor);
}

/* The process is gone and its output written: the record, then the container's remains, then the word to everybody. */
static void record_end(struct monitor *monitor) {
  struct err err = ERR_INIT;
  if (exit_record_write(monitor, &err) < 0) {
    /* A full disk. Whoever listens is told all the same; with nobody there the record is all there will be. */
    if (monitor->clients == NULL && monitor->record_tries++ < RECORD_TRIES) {
      loop_timer_set(monitor->deadline.fd, RECORD_AGAIN_MS);
      return;
    }
    log_error("%s: %s", monitor->config.id, err.text);
  }
  if (monitor->config.exec) {
    say_goodbye(monitor);
    return;
  }
  monitor->job.hides_pid = false;
  monitor->job.done = deleted;
  bool deleting = runtime_delete(monitor, &err) == 0;
  /* The disk works while the runtime does; both are done before anybody is told. An exec's end concerns only who waits
     for it now. */
  exit_record_sync(monitor);
  if (!deleting) {
    log_error("cannot delete container %s: %s", monitor->config.container, err.text);
    say_goodbye(monitor);
  }
}

static void finish(struct monitor *monitor) {
  clock_gettime(CLOCK_REALTIME, &monitor->finished_at);
  monitor->phase = PHASE_STOPPED;
  stdio_drain(monitor);
  oom_check(monitor);
  if (monitor->config.exec && monitor->oom.told > monitor->oom.before && WIFSIGNALED(monitor->status) &&
      WTERMSIG(monitor->status) == SIGKILL) {
    monitor->oom_killed = true;
  }
  oom_close(monitor);
  stdio_close(monitor);
  if (monitor->config.log_path != NULL) {
    log_file_close(&monitor->log);
  }
  record_end(monitor);
}

/* Of a container the runtime keeps the record. Of an exec this is it: should we be killed while there is no daemon, the
   next one ends the process by it. */
static int note_identity(struct monitor *monitor, struct err *err) {
  struct process_stat stat;
  int r = process_stat_read(monitor->pid, &stat, err); /* our child, not reaped: it is there */
  if (r < 0) {
    return r;
  }
  monitor->start_time = stat.start_time;
  if (!monitor->config.exec) {
    return 0;
  }
  char text[80];
  snprintf(text, sizeof(text), "{\"pid\":%d,\"start_time\":%llu}\n", monitor->pid,
           (unsigned long long)monitor->start_time);
  return file_write_atomic(monitor->run_fd, "process", text, strlen(text), 0600, 0, err);
}

static int hold_process(struct monitor *monitor, struct err *err) {
  int r = runtime_read_pid(monitor, err);
  if (r < 0) {
    return r;
  }
  monitor->pidfd = pidfd_open(monitor->pid, 0);
  if (monitor->pidfd < 0) {
    return err_errno(err, "cannot hold process %d", monitor->pid);
  }
  r = note_identity(monitor, err);
  if (r == 0 && monitor->config.terminal) {
    r = stdio_take_console(monitor, err);
  }
  if (r == 0) {
    oom_watch(monitor);
  }
  return r;
}

/* The process runs, but not as it should: it must not stay. Our child and not reaped yet, so the pid is still its own.
 */
static void abandon(const struct monitor *monitor) {
  if (monitor->pid > 0 && !monitor->exited) {
    (void)kill(monitor->pid, SIGKILL);
  }
}

/* Statuses of a shell for what could not be run. The runtime's words are all there is to tell them apart. */
static int failure_code(const struct err *err) {
  if (strstr(err->text, "No such file") != NULL || strstr(err->text, "no such file") != NULL ||
      strstr(err->text, "not found") != NULL) {
    return 127;
  }
  return strstr(err->text, "ermission denied") != NULL ? 126 : 128;
}

static void start_failed(struct monitor *monitor, const struct err *err) {
  monitor->failure = *err;
  monitor->failure_code = failure_code(err);
  if (monitor->job.client != NULL) {
    client_reply(monitor->job.client, monitor->job.request, err);
  }
  if (monitor->pid == 0) {
    finish(monitor);
  } else {
    abandon(monitor); /* its end arrives by SIGCHLD */
  }
}

/* A runtime that failed after it had let the process go: the process is found by the pid file, if it is our child. */
static void find_leftover(struct monitor *monitor) {
  siginfo_t info;
  if (monitor->config.exec && (runtime_read_pid(monitor, /* err= */ NULL) < 0 ||
                               waitid(P_PID, (id_t)monitor->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)) {
    monitor->pid = 0;
  }
}

void monitor_started(struct monitor *monitor, int status) {
  struct err err = ERR_INIT;
  int r = 0;
  if (status != 0) {
    r = runtime_failure(monitor, monitor->config.exec ? "exec" : "start", status, &err);
    find_leftover(monitor);
  } else if (monitor->config.exec) {
    r = hold_process(monitor, &err);
  }
  if (r < 0) {
    start_failed(monitor, &err);
    return;
  }
  clock_gettime(CLOCK_REALTIME, &monitor->started_at);
  monitor->phase = PHASE_RUNNING;
  str_free(&monitor->early);
  if (monitor->job.client != NULL) {
    client_reply(monitor->job.client, monitor->job.request, /* err= */ NULL);
  }
  log_compress(&monitor->log); /* what an earlier monitor left plain */
  posture_settle(monitor);
  shrink();
}

static void created(struct monitor *monitor, int status) {
  struct err err = ERR_INIT;
  int r = status != 0 ? runtime_failure(monitor, "create", status, &err) : hold_process(monitor, &err);
  if (r == 0) {
    monitor->phase = PHASE_CREATED;
    report(monitor, /* failure= */ NULL);
    return;
  }
  monitor->failure = err;
  if (status == 0 || WIFSIGNALED(status)) {
    /* The container may exist and it is ours: a runtime that failed in an orderly way has cleaned up itself, and the id
       may then belong to another container. */
    abandon(monitor);
    monitor->job.done = deleted;
    if (runtime_delete(monitor, /* err= */ NULL) == 0) {
      return;
    }
  }
  leave(monitor);
}

static void reap(struct monitor *monitor) {
  int status = 0;
  pid_t pid;
  while (monitor->job.pid != 0 && monitor->job.hides_pid) {
    /* Any other child may be the very process we are to learn of: it stays a zombie, its status kept, until we know. */
    pid = waitpid(monitor->job.pid, &status, WNOHANG);
    if (pid <= 0) {
      return;
    }
    monitor->job.pid = 0;
    monitor->job.hides_pid = false;
    monitor->job.done(monitor, status);
  }
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == monitor->job.pid) {
      monitor->job.pid = 0;
      monitor->job.done(monitor, status);
    } else if (pid == monitor->pid) {
      monitor->status = status;
      monitor->exited = true;
    } else {
      (void)log_compressed(&monitor->log, pid, status);
    }
  }
  /* A short process may be gone before the runtime that started it is: first the start is answered. */
  if (monitor->exited && monitor->job.pid == 0 && monitor->phase < PHASE_STOPPED && monitor->ready_fd < 0) {
    finish(monitor);
  }
}

static void signals_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info;
  ssize_t n = read(watch->fd, &info, sizeof(info));
  (void)n; /* signals merge: what matters is what waitpid finds */
  reap(watch->owner);
}

static void deadline_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct monitor *monitor = watch->owner;
  loop_timer_taken(watch->fd);
  if (monitor->phase == PHASE_STOPPED) {
    record_end(monitor);
  } else {
    leave(monitor);
  }
}

static void stall_ready(struct watch *watch, uint32_t events) {
  (void)events;
  loop_timer_taken(watch->fd);
  clients_check_stalled(watch->owner);
}

static int watch_fd(struct monitor *monitor, struct watch *watch, int fd, void (*ready)(struct watch *, uint32_t),
                    struct err *err) {
  *watch = (struct watch){.fd = fd, .ready = ready, .owner = monitor};
  return loop_arm(&monitor->loop, watch, EPOLLIN, err);
}

static int open_console(struct monitor *monitor, struct err *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "console.sock"};
  monitor->console_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (monitor->console_fd < 0 || bind(monitor->console_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
      listen(monitor->console_fd, 1) < 0) {
    return err_errno(err, "cannot listen on %s/console.sock", monitor->config.run_dir);
  }
  return 0;
}

static int open_sockets(struct monitor *monitor, struct err *err) {
  monitor->run_fd = open(monitor->config.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (monitor->run_fd < 0 || fchdir(monitor->run_fd) < 0) {
    return err_errno(err, "cannot enter %s", monitor->config.run_dir);
  }
  int r = clients_listen(monitor, err);
  if (r == -EADDRINUSE) {
    close(take_fd(&monitor->run_fd)); /* another monitor's directory: nothing in it is ours to remove */
  }
  if (r == 0 && monitor->config.terminal) {
    (void)unlink("console.sock");
    r = open_console(monitor, err);
  }
  if (r < 0) {
    return r;
  }
  return chdir("/") < 0 ? err_errno(err, "cannot enter /") : 0;
}

static int open_all(struct monitor *monitor, struct err *err) {
  static const int wanted[] = {SIGCHLD, 0};
  int signals = -1, timer = -1, stall = -1;
  int r = loop_open(&monitor->loop, err);
  if (r < 0 || (r = loop_signals(wanted, &signals, err)) < 0 ||
      (r = watch_fd(monitor, &monitor->signals, signals, signals_ready, err)) < 0 ||
      (r = loop_timer(&timer, err)) < 0 ||
      (r = watch_fd(monitor, &monitor->deadline, timer, deadline_ready, err)) < 0 ||
      (r = loop_timer(&stall, err)) < 0 || (r = watch_fd(monitor, &monitor->stall, stall, stall_ready, err)) < 0) {
    return r;
  }
  r = open_sockets(monitor, err);
  if (r == 0 && monitor->config.log_path != NULL) {
    const struct log_options options = {(uint64_t)monitor->config.log_max_size, monitor->config.log_max_file,
                                        monitor->config.log_compress};
    r = log_file_open(&monitor->log, monitor->config.log_path, &options, err);
  }
  return r;
}

/* Ours alone: signals meant for the keeper's session must not end a monitor. Containers get default signals from
 * child_start. */
static void settle(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTTOU, SIGTTIN};
  for (size_t i = 0; i < array_length(ignored); i++) {
    (void)signal(ignored[i], SIG_IGN);
  }
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  (void)prctl(PR_SET_NAME, "tsc-monitor");
  /* One small heap that is given back after a burst. */
  (void)mallopt(M_TRIM_THRESHOLD, 65536);
  (void)mallopt(M_MMAP_THRESHOLD, 65536);
}

static int begin(struct monitor *monitor, const char *file, struct err *err) {
  int r = config_read(file, &monitor->config, err);
  if (r < 0 || (r = open_all(monitor, err)) < 0) {
    return r;
  }
  if (monitor->config.exec) {
    /* Held back by not running it yet: the runtime's exec has no start of its own. */
    monitor->phase = PHASE_CREATED;
    loop_timer_set(monitor->deadline.fd, monitor->config.start_within);
    report(monitor, /* failure= */ NULL);
    return 0;
  }
  monitor->job.hides_pid = true;
  monitor->job.done = created;
  r = overlay_for_foreign(&monitor->config, err);
  return r < 0 ? r : runtime_create(monitor, err);
}

static void close_all(struct monitor *monitor, bool failed) {
  clients_close(monitor);
  stdio_close(monitor);
  oom_close(monitor);
  log_file_close(&monitor->log);
  if (monitor->run_fd >= 0 && monitor->phase != PHASE_LEAVING) {
    unlink_all(monitor, failed);
  }
  json_free(&monitor->config.document);
}

int monitor_main(int argc, char **argv, int (*own_runtime)(int argc, char **argv)) {
  if (argc != 2 || argv[1][0] == '-') {
    fputs("usage: tscompose-runtime monitor FILE\n", stderr);
    return 1;
  }
  struct monitor monitor = {
      .loop = {.epoll = -1},
      .ready_fd = fcntl(READY_FD, F_GETFD) < 0 ? -1 : READY_FD,
      .run_fd = -1,
      .own_runtime = own_runtime,
      .listener = {.fd = -1},
      .signals = {.fd = -1},
      .deadline = {.fd = -1},
      .stall = {.fd = -1},
      .console_fd = -1,
      .outputs = {{.watch = {.fd = -1}, .type = FRAME_STDOUT, .log = {.name = "stdout"}},
                  {.watch = {.fd = -1}, .type = FRAME_STDERR, .log = {.name = "stderr"}}},
      .input = {.fd = -1},
      .log = LOG_FILE_NONE,
      .pidfd = -1,
      .oom = {.counter = -1, .watch = {.fd = -1}, .again = {.fd = -1}},
  };
  struct err err = ERR_INIT;
  (void)fd_cloexec_from(READY_FD, /* err= */ NULL);
  settle();
  int r = begin(&monitor, argv[1], &err);
  r = r < 0 ? r : loop_run(&monitor.loop, &err);
  if (r < 0) {
    monitor.failure = err;
  }
  bool failed = r < 0 || monitor.ready_fd >= 0;
  close_all(&monitor, failed);
  if (failed) {
    report(&monitor, &monitor.failure);
  }
  return failed ? 1 : 0;
}
