#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "keeper/state.h"
#include "sys/confine.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 10000
#define USAGE                                                                                                          \
  "usage: tscompose-runtime keeper --run-dir DIR [--instance NAME] [--socket PATH] [--socket-group NAME] "             \
  "[--foreground] -- DAEMON [ARG...]"

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int backoff_pause(struct backoff *backoff) {
  bool lived = now_ms() - backoff->started >= PAUSE_LAST_MS;
  int pause = lived || backoff->next_ms == 0 ? PAUSE_FIRST_MS : backoff->next_ms;
  backoff->next_ms = pause * 2 > PAUSE_LAST_MS ? PAUSE_LAST_MS : pause * 2;
  return pause;
}

int keeper_watch(struct keeper *keeper, struct watch *watch, int fd, uint32_t events,
                 void (*ready)(struct watch *, uint32_t), void *owner, struct err *err) {
  *watch = (struct watch){.fd = fd, .ready = ready, .owner = owner};
  return loop_arm(&keeper->loop, watch, events, err);
}

void keeper_leave(struct keeper *keeper) {
  keeper->loop.quit = true;
}

static void reap(struct keeper *keeper) {
  int status = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == keeper->daemon.pid) {
      daemon_exited(keeper, status);
    } else if (!spawn_reaped(keeper, pid, status) && !port_reaped(keeper, pid)) {
      (void)names_reaped(keeper, pid); /* else an orphan of a monitor that was killed */
    }
  }
}

static void signals_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct keeper *keeper = watch->owner;
  struct signalfd_siginfo info;
  if (read(watch->fd, &info, sizeof(info)) != sizeof(info)) {
    return;
  }
  if (info.ssi_signo == SIGCHLD) {
    reap(keeper);
  } else {
    daemon_ask_to_end(keeper);
  }
}

static int read_options(int argc, char **argv, struct options *ret_options) {
  const char *notify = getenv("NOTIFY_SOCKET");
  struct options options = {.instance = "tsc", .notify = notify == NULL ? NULL : strdup(notify)};
  for (int i = 1; i < argc; i++) {
    const char **value = strcmp(argv[i], "--run-dir") == 0        ? &options.run_dir
                         : strcmp(argv[i], "--instance") == 0     ? &options.instance
                         : strcmp(argv[i], "--socket") == 0       ? &options.socket
                         : strcmp(argv[i], "--socket-group") == 0 ? &options.group
                                                                  : NULL;
    if (value != NULL && i + 1 < argc) {
      *value = argv[++i];
    } else if (strcmp(argv[i], "--foreground") == 0) {
      options.foreground = true;
    } else if (strcmp(argv[i], "--") == 0) {
      options.daemon = argv + i + 1;
      break;
    } else {
      return -EINVAL;
    }
  }
  if (options.run_dir == NULL || options.run_dir[0] != '/' || options.daemon == NULL || options.daemon[0] == NULL ||
      options.daemon[0][0] != '/' || (options.socket != NULL && options.socket[0] != '/')) {
    return -EINVAL;
  }
  if (options.socket == NULL && (options.socket = str_format("%s/tscompose.sock", options.run_dir)) == NULL) {
    return -ENOMEM;
  }
  *ret_options = options;
  return 0;
}

int keeper_open_loop(struct keeper *keeper, struct err *err) {
  static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, 0};
  int signals = -1;
  int r = loop_open(&keeper->loop, err);
  r = r < 0 ? r : loop_signals(wanted, &signals, err);
  r = r < 0 ? r : keeper_watch(keeper, &keeper->signals, signals, EPOLLIN, signals_ready, keeper, err);
  r = r < 0 ? r : spawn_watch(keeper, err);
  return r < 0 ? r : daemon_prepare(keeper, err);
}

/* Nothing of the caller stays: its directory, mask, signals, environment, descriptors. */
int keeper_settle(const struct options *options, struct err *err) {
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGHUP, SIG_IGN);
  (void)signal(SIGQUIT, SIG_IGN);
  umask(022);
  (void)prctl(PR_SET_NAME, "tsc-keeper");
  if (chdir("/") < 0) {
    return err_errno(err, "cannot enter /");
  }
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
    return err_errno(err, "cannot become a subreaper");
  }
  if (!options->foreground) {
    place_leave_cgroups();
  }
  confine_prefer_alive();
  place_hide_memory();
  int r = place_clean_environment(err);
  return r < 0 ? r : fd_cloexec_from(STDERR_FILENO + 1, err);
}

/* Descriptors 0 to 2 exist from here on, so that nothing of ours lands there. */
static void fill_standard(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) {
    close(fd);
  }
}

/* Everything a start needs, up to the running daemon. */
static int begin(struct keeper *keeper, struct err *err) {
  int r = keeper_settle(&keeper->options, err);
  r = r < 0 ? r : keeper_open_loop(keeper, err);
  r = r < 0 ? r : place_take(keeper, err);
  r = r < 0 ? r : place_seal(&keeper->self_fd, err);
  return r < 0 ? r : daemon_start(keeper, err);
}

static int serve(struct keeper *keeper, struct err *err) {
  int r = loop_run(&keeper->loop, err);
  hold_release(keeper);
  names_release(keeper);
  place_release(keeper);
  return r;
}

/*
 * In the background: a session of our own, so that no terminal or login ends us. A session leader (started so) already
 * has one. A shell's job is a group leader and must fork: the first process waits for the report of the second. Returns
 * the descriptor to report on, -1 when there is nobody to report to.
 */
static int detach(int *ret_report, struct err *err) {
  *ret_report = -1;
  if (getsid(0) == getpid() || setsid() >= 0) {
    return 0;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  pid_t pid = fork();
  if (pid < 0) {
    return err_errno(err, "cannot fork");
  }
  if (pid > 0) {
    char done = 0;
    close(ends[1]);
    _exit(read(ends[0], &done, 1) == 1 ? 0 : 1);
  }
  close(ends[0]);
  (void)setsid();
  *ret_report = ends[1];
  return 0;
}

static int run(struct keeper *keeper, int resume_fd, struct err *err) {
  long long request = -1;
  int report = -1;
  int r;
  if (resume_fd >= 0) {
    r = reexec_resume(keeper, resume_fd, &request, err);
    if (r < 0) {
      return r;
    }
    control_reply(keeper, request, "");
    daemon_replace(keeper);
    return serve(keeper, err);
  }
  r = systemd_take_socket(&keeper->api_fd, err); /* by our pid: before a fork */
  r = r < 0 || keeper->options.foreground ? r : detach(&report, err);
  r = r < 0 ? r : begin(keeper, err);
  if (r < 0) {
    place_release(keeper);
    return r;
  }
  if (report >= 0) {
    (void)!write(report, "1", 1);
    close(report);
  }
  systemd_notify(keeper->options.notify, "READY=1");
  r = serve(keeper, err);
  systemd_notify(keeper->options.notify, "STOPPING=1");
  return r;
}

/* The table on descriptor 3. */
static int check_main(void) {
  struct err err = ERR_INIT;
  if (reexec_check(STDERR_FILENO + 1, &err) < 0) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  return 0;
}

int keeper_main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--proxy") == 0) {
    return proxy_main(argc - 1, argv + 1);
  }
  if (argc == 2 && strcmp(argv[1], "--check") == 0) {
    return check_main();
  }
  struct keeper keeper = {
      .loop = {.epoll = -1},
      .run_fd = -1,
      .lock_fd = -1,
      .api_fd = -1,
      .self_fd = -1,
      .signals = {.fd = -1},
      .watchdog = {.fd = -1},
      .daemon = {.control = {.fd = -1}, .timer = {.fd = -1}},
      .names = {.control = -1, .timer = {.fd = -1}, .gate = {.fd = -1}},
  };
  struct err err = ERR_INIT;
  long long resume_fd = -1;
  if (argc == 3 && strcmp(argv[1], "--resume") == 0) {
    if (str_to_long(argv[2], 3, INT_MAX, &resume_fd) < 0) {
      return 1;
    }
  } else if (read_options(argc, argv, &keeper.options) < 0) {
    fputs(USAGE "\n", stderr);
    return 1;
  }
  fill_standard();
  if (run(&keeper, (int)resume_fd, &err) < 0) {
    log_error("keeper: %s", err.text);
    return 1;
  }
  return 0;
}
