#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "monitor/state.h"

/* The runtime's words kept while it runs. */
#define EARLY_MAX ((size_t)900)
/* What a dead process can have left in a pipe or pty at most. Whoever still holds the other end may write for ever. */
#define DRAIN_MAX ((size_t)4 << 20)

void log_check_lost(struct monitor *monitor) {
  uint64_t lost = monitor->log.lost;
  /* At the first loss and whenever it has doubled: a full disk must not turn into a flood of notices. */
  if (lost == 0 || lost < 2 * monitor->log_lost_told) {
    return;
  }
  cleanup_str struct str event = STR_INIT;
  monitor->log_lost_told = lost;
  if (str_addf(&event, "{\"event\":\"log-lost\",\"bytes\":%llu}", (unsigned long long)lost) == 0) {
    clients_event(monitor, event.data, event.size);
  }
}

static void end_output(struct output *output, struct monitor *monitor) {
  if (output->watch.fd < 0) {
    return;
  }
  loop_drop(&monitor->loop, &output->watch);
  if (monitor->config.log_path != NULL) {
    log_file_end(&monitor->log, &output->log);
    log_file_flush(&monitor->log);
  }
  log_stream_free(&output->log);
}

/* Reads once. Returns the bytes taken, 0 at the end, -EAGAIN when there is nothing now, -EIO without a slave on the
 * pty. */
static ssize_t pump(struct output *output, struct monitor *monitor) {
  char data[READ_CHUNK];
  ssize_t n = read(output->watch.fd, data, sizeof(data));
  if (n < 0) {
    return -errno;
  }
  size_t size = (size_t)n;
  if (output->type == FRAME_STDERR && monitor->phase < PHASE_RUNNING && monitor->early.size < EARLY_MAX) {
    size_t room = EARLY_MAX - monitor->early.size;
    (void)str_append(&monitor->early, data, size < room ? size : room);
  }
  if (output->type == FRAME_STDERR && monitor->config.terminal) {
    return n; /* only the runtime writes here, the process has the pty */
  }
  if (monitor->config.log_path != NULL) {
    log_file_feed(&monitor->log, &output->log, data, size);
    log_file_flush(&monitor->log);
    log_check_lost(monitor);
  }
  clients_output(monitor, output->type, data, size);
  return n;
}

static void output_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct monitor *monitor = watch->owner;
  struct output *output = watch == &monitor->outputs[0].watch ? &monitor->outputs[0] : &monitor->outputs[1];
  ssize_t n = pump(output, monitor);
  if (n == 0) {
    end_output(output, monitor);
  } else if (n == -EIO) {
    /* Nobody has the terminal open at this moment; the rest is fetched when the process is gone. */
    (void)loop_arm(&monitor->loop, &output->watch, 0, /* err= */ NULL);
  }
}

static int watch_output(struct monitor *monitor, int index, int *fd, struct err *err) {
  struct output *output = &monitor->outputs[index];
  int r = fd_set_nonblock(*fd, true, err);
  if (r < 0) {
    return r;
  }
  output->watch = (struct watch){.fd = take_fd(fd), .ready = output_ready, .owner = monitor};
  return loop_arm(&monitor->loop, &output->watch, EPOLLIN, err);
}

static void close_input(struct monitor *monitor) {
  loop_drop(&monitor->loop, &monitor->input);
  str_free(&monitor->input_queue);
  monitor->input_at = 0;
}

static void flush_input(struct monitor *monitor) {
  struct str *queue = &monitor->input_queue;
  while (monitor->input.fd >= 0 && monitor->input_at < queue->size) {
    ssize_t n = write(monitor->input.fd, queue->data + monitor->input_at, queue->size - monitor->input_at);
    if (n >= 0) {
      monitor->input_at += (size_t)n;
    } else if (errno == EAGAIN) {
      (void)loop_arm(&monitor->loop, &monitor->input, EPOLLOUT, /* err= */ NULL);
      return;
    } else if (errno != EINTR) {
      close_input(monitor); /* the process closed its end */
      return;
    }
  }
  if (monitor->input.fd < 0) {
    return;
  }
  str_free(queue);
  monitor->input_at = 0;
  if (monitor->input_ending && !monitor->config.terminal) {
    close_input(monitor);
  } else {
    (void)loop_arm(&monitor->loop, &monitor->input, 0, /* err= */ NULL);
  }
}

static void input_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct monitor *monitor = watch->owner;
  flush_input(monitor);
  clients_resume(monitor);
}

static int watch_input(struct monitor *monitor, int *fd, struct err *err) {
  int r = fd_set_nonblock(*fd, true, err);
  if (r < 0) {
    return r;
  }
  monitor->input = (struct watch){.fd = take_fd(fd), .ready = input_ready, .owner = monitor};
  flush_input(monitor);
  clients_resume(monitor);
  return 0;
}

static int open_pipe(struct monitor *monitor, int index, int *ret_theirs, struct err *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  *ret_theirs = ends[1];
  cleanup_close int ours = ends[0];
  return watch_output(monitor, index, &ours, err);
}

int stdio_open(struct monitor *monitor, int ret_child[3], struct err *err) {
  int r = open_pipe(monitor, 1, &ret_child[2], err);
  if (r < 0 || monitor->config.terminal) {
    return r;
  }
  r = open_pipe(monitor, 0, &ret_child[1], err);
  if (r < 0 || !monitor->config.stdin_open) {
    return r;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  ret_child[0] = ends[0];
  cleanup_close int ours = ends[1];
  return watch_input(monitor, &ours, err);
}

int stdio_take_console(struct monitor *monitor, struct err *err) {
  cleanup_close int connection = accept4(monitor->console_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) {
    return err_errno(err, "the runtime sent no terminal");
  }
  cleanup_close int master = -1;
  char name[256];
  size_t size = 0, count = 0;
  int r = fd_receive(connection, name, sizeof(name), &size, &master, 1, &count, err);
  if (r < 0 || count != 1) {
    return r < 0 ? err_prefix(err, "the runtime sent no terminal")
                 : err_set(err, EBADMSG, "the runtime sent no terminal");
  }
  close(take_fd(&monitor->console_fd));
  (void)unlinkat(monitor->run_fd, "console.sock", 0);
  cleanup_close int second = fcntl(master, F_DUPFD_CLOEXEC, 0);
  if (second < 0) {
    return err_errno(err, "cannot duplicate the terminal");
  }
  r = watch_output(monitor, 0, &master, err);
  r = r < 0 ? r : watch_input(monitor, &second, err);
  if (r == 0 && monitor->config.rows > 0 && monitor->config.cols > 0) {
    r = stdio_resize(monitor, monitor->config.rows, monitor->config.cols, err);
  }
  return r;
}

int stdio_resize(struct monitor *monitor, int rows, int cols, struct err *err) {
  if (!monitor->config.terminal) {
    return err_set(err, EINVAL, "%s has no terminal to resize", monitor->config.id);
  }
  monitor->config.rows = rows;
  monitor->config.cols = cols;
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
  if (monitor->input.fd >= 0 && ioctl(monitor->input.fd, TIOCSWINSZ, &size) < 0) {
    return err_errno(err, "cannot resize the terminal of %s", monitor->config.id);
  }
  return 0; /* before the start: applied when the terminal comes */
}

/*
 * The process is dead: what it wrote is in the pipes. Empty or ended is the end, whoever else holds the other side. (A
 * non-blocking read of a pty master flushes the line discipline first, so there too EAGAIN means empty.)
 */
void stdio_drain(struct monitor *monitor) {
  for (int i = 0; i < 2; i++) {
    struct output *output = &monitor->outputs[i];
    for (size_t taken = 0; output->watch.fd >= 0 && taken < DRAIN_MAX;) {
      ssize_t n = pump(output, monitor);
      if (n == -EINTR) {
        continue;
      }
      if (n <= 0) {
        break;
      }
      taken += (size_t)n;
    }
    end_output(output, monitor);
  }
}

void stdio_hold(struct monitor *monitor, bool hold) {
  for (int i = 0; i < 2; i++) {
    if (monitor->outputs[i].watch.fd >= 0) {
      (void)loop_arm(&monitor->loop, &monitor->outputs[i].watch, hold ? 0 : EPOLLIN, /* err= */ NULL);
    }
  }
}

void stdio_close(struct monitor *monitor) {
  for (int i = 0; i < 2; i++) {
    end_output(&monitor->outputs[i], monitor);
  }
  close_input(monitor);
}

static bool takes_stdin(const struct monitor *monitor) {
  bool exists = monitor->config.stdin_open || monitor->config.terminal;
  /* An exec that waits for `start` has no pipe yet: its input is kept. */
  return exists && !monitor->input_ending && (monitor->input.fd >= 0 || monitor->phase <= PHASE_STARTING);
}

bool stdin_feed(struct monitor *monitor, const char *data, size_t size) {
  if (!takes_stdin(monitor)) {
    return true; /* nobody reads it: like writing to a process that closed its stdin */
  }
  if (monitor->input_queue.size - monitor->input_at >= STDIN_AHEAD) {
    return false;
  }
  if (monitor->input_at > 0) {
    memmove(monitor->input_queue.data, monitor->input_queue.data + monitor->input_at,
            monitor->input_queue.size - monitor->input_at);
    monitor->input_queue.size -= monitor->input_at;
    monitor->input_at = 0;
  }
  /* With something queued the descriptor is watched; flushing only from there means that whoever waits is resumed. */
  bool idle = monitor->input_queue.size == 0;
  if (str_append(&monitor->input_queue, data, size) < 0) {
    return false;
  }
  if (idle) {
    flush_input(monitor);
  }
  return true;
}

void stdin_end(struct monitor *monitor) {
  monitor->input_ending = true;
  if (monitor->input_queue.size == 0) {
    flush_input(monitor);
  }
}
