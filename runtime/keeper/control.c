#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/reply.h"
#include "keeper/state.h"

static int shutdown_op(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                       struct err *err) {
  (void)id, (void)request, (void)fields, (void)err;
  keeper->daemon.shutdown = true;
  return 0;
}

static const struct {
  const char *op;
  operation *act;
} operations[] = {
    {"spawn", spawn_child},
    {"run", spawn_run},
    {"process.kill", process_op_kill},
    {"sandbox.create", sandbox_op_create},
    {"sandbox.adopt", sandbox_op_adopt},
    {"sandbox.link", sandbox_op_link},
    {"sandbox.unlink", sandbox_op_unlink},
    {"sandbox.remove", sandbox_op_remove},
    {"port.hold", port_op_hold},
    {"port.proxy", port_op_proxy},
    {"port.release", port_op_release},
    {"names.zone", names_op_zone},
    {"names.sandbox", names_op_sandbox},
    {"list", list_op},
    {"reexec", reexec_op},
    {"shutdown", shutdown_op},
};

static void arm(struct keeper *keeper) {
  struct daemon *daemon = &keeper->daemon;
  size_t waiting = daemon->out.size - daemon->out_at;
  uint32_t events = (waiting > CONTROL_BACKLOG ? 0 : EPOLLIN) | (waiting > 0 ? EPOLLOUT : 0);
  (void)loop_arm(&keeper->loop, &daemon->control, events, /* err= */ NULL);
}

static void flush(struct keeper *keeper) {
  struct daemon *daemon = &keeper->daemon;
  while (daemon->control.fd >= 0 && daemon->out_at < daemon->out.size) {
    ssize_t n = send(daemon->control.fd, daemon->out.data + daemon->out_at, daemon->out.size - daemon->out_at,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      daemon->out_at += (size_t)n;
    } else if (errno == EAGAIN) {
      arm(keeper);
      return;
    } else if (errno != EINTR) {
      control_close(keeper);
      return;
    }
  }
  str_free(&daemon->out);
  daemon->out_at = 0;
  if (daemon->control.fd >= 0) {
    arm(keeper);
  }
}

void control_send(struct keeper *keeper, struct str *line) {
  struct daemon *daemon = &keeper->daemon;
  if (daemon->control.fd < 0) {
    return;
  }
  bool idle = daemon->out.size == 0;
  if (str_append(&daemon->out, line->data, line->size) < 0 || str_add(&daemon->out, "\n") < 0) {
    control_close(keeper); /* a daemon that misses a reply waits for ever; one that lost its keeper starts again */
    return;
  }
  if (idle) {
    flush(keeper);
  }
}

void control_reply_error(struct keeper *keeper, long long request, const char *code, const struct err *err) {
  cleanup_str struct str line = STR_INIT;
  if (request >= 0 && reply_error(&line, request, code, err) == 0) {
    control_send(keeper, &line);
  }
}

void control_reply(struct keeper *keeper, long long request, const char *fields) {
  cleanup_str struct str line = STR_INIT;
  if (request < 0 || reply_begin(&line, request) < 0 || str_add(&line, fields) < 0 || str_add(&line, "}") < 0) {
    return;
  }
  if (line.size > CONTROL_LINE_MAX) {
    struct err err = {.code = EFBIG, .text = "the reply is larger than 4 MiB"};
    control_reply_error(keeper, request, /* code= */ NULL, &err);
    return;
  }
  control_send(keeper, &line);
}

static int act(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  const char *op = NULL;
  int r = json_need_string(request, "op", &op, err);
  if (r < 0) {
    return r;
  }
  for (size_t i = 0; i < array_length(operations); i++) {
    if (strcmp(operations[i].op, op) == 0) {
      return operations[i].act(keeper, id, request, fields, err);
    }
  }
  return err_set(err, EOPNOTSUPP, "the keeper has no operation \"%s\"", op);
}

static void take_line(struct keeper *keeper, const char *text, size_t size) {
  cleanup_json struct json request = {.value = NULL};
  cleanup_str struct str fields = STR_INIT;
  struct err err = ERR_INIT;
  long long id = -1;
  if (json_parse(text, size, &request, &err) < 0 || json_need_long(&request, "id", 0, INT64_MAX, &id, &err) < 0) {
    control_close(keeper); /* no id to answer to: the stream is out of step */
    return;
  }
  int r = act(keeper, id, &request, &fields, &err);
  if (r < 0) {
    control_reply_error(keeper, id, /* code= */ NULL, &err);
  } else if (r == 0) {
    control_reply(keeper, id, fields.data == NULL ? "" : fields.data);
  }
}

static void take_lines(struct keeper *keeper) {
  struct daemon *daemon = &keeper->daemon;
  size_t at = 0;
  while (daemon->control.fd >= 0) {
    char *from = daemon->in.data + at + daemon->scanned;
    char *newline = memchr(from, '\n', daemon->in.size - at - daemon->scanned);
    if (newline == NULL) {
      daemon->scanned = daemon->in.size - at;
      break;
    }
    daemon->scanned = 0;
    size_t length = (size_t)(newline - (daemon->in.data + at));
    take_line(keeper, daemon->in.data + at, length);
    at += length + 1;
  }
  if (daemon->control.fd < 0 || at == daemon->in.size) {
    str_free(&daemon->in);
    daemon->scanned = 0;
  } else if (at > 0) {
    memmove(daemon->in.data, daemon->in.data + at, daemon->in.size - at);
    daemon->in.size -= at;
  }
  if (daemon->in.size > CONTROL_LINE_MAX) {
    control_close(keeper);
  }
}

static void control_ready(struct watch *watch, uint32_t events) {
  struct keeper *keeper = watch->owner;
  if (events & EPOLLOUT) {
    flush(keeper);
  }
  if (watch->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    return;
  }
  char data[65536];
  ssize_t n = recv(watch->fd, data, sizeof(data), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n <= 0 || str_append(&keeper->daemon.in, data, (size_t)n) < 0) {
    control_close(keeper);
    return;
  }
  take_lines(keeper);
}

int control_open(struct keeper *keeper, int fd, struct err *err) {
  str_free(&keeper->daemon.in);
  str_free(&keeper->daemon.out);
  keeper->daemon.scanned = keeper->daemon.out_at = 0;
  return keeper_watch(keeper, &keeper->daemon.control, fd, EPOLLIN, control_ready, keeper, err);
}

void control_close(struct keeper *keeper) {
  struct daemon *daemon = &keeper->daemon;
  loop_drop(&keeper->loop, &daemon->control);
  daemon->out.size = 0; /* freed with the next flush: a caller may be inside it */
  daemon->out_at = 0;
  spawn_forget_requests(keeper);
  hold_forget_requests(keeper);
}
