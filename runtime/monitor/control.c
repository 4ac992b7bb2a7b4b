#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/reply.h"
#include "monitor/state.h"

/* 0: done, reply with what is in `out`; 1: the reply comes later; negative: failed. */
typedef int handler(struct client *client, const struct json *request, struct str *out, struct err *err);

static void send_reply(struct client *client, const struct str *out) {
  (void)client_send(client, FRAME_REPLY, out->data, out->size);
}

static int add_identity(const struct monitor *monitor, struct str *out) {
  bool gone = monitor->phase >= PHASE_STOPPED;
  return str_addf(out, ",\"pid\":%d,\"start_time\":%llu", gone ? 0 : monitor->pid,
                  gone ? 0 : (unsigned long long)monitor->start_time);
}

void client_reply(struct client *client, long long request, const struct err *err) {
  cleanup_str struct str out = STR_INIT;
  int r = err != NULL ? reply_error(&out, request, /* code= */ NULL, err) : reply_begin(&out, request);
  r = r < 0 || err != NULL ? r : add_identity(client->monitor, &out);
  r = r < 0 || err != NULL ? r : str_add(&out, "}");
  if (r == 0) {
    send_reply(client, &out);
  }
}

static int start(struct client *client, const struct json *request, struct str *out, struct err *err) {
  (void)out;
  struct monitor *monitor = client->monitor;
  if (monitor->phase != PHASE_CREATED) {
    return err_set(err, EALREADY, "%s was already started", monitor->config.id);
  }
  long long id = 0;
  (void)json_long_at(request, "id", 0, INT64_MAX, &id, /* err= */ NULL);
  int r = runtime_start(monitor, err);
  if (r < 0) {
    return r;
  }
  monitor->phase = PHASE_STARTING;
  loop_timer_set(monitor->deadline.fd, 0);
  monitor->job.hides_pid = monitor->config.exec;
  monitor->job.done = monitor_started;
  monitor->job.client = client;
  monitor->job.request = id;
  return 1;
}

static int attach(struct client *client, const struct json *request, struct str *out, struct err *err) {
  (void)out;
  bool input = false, standard = false, error = false;
  int r = json_bool_at(request, "stdin", &input, err);
  if (r < 0 || (r = json_bool_at(request, "stdout", &standard, err)) < 0 ||
      (r = json_bool_at(request, "stderr", &error, err)) < 0) {
    return r;
  }
  client->feeds_stdin = client->feeds_stdin || input;
  client->wants_stdout = standard;
  client->wants_stderr = error;
  return 0;
}

static int send_signal(struct client *client, const struct json *request, struct str *out, struct err *err) {
  (void)out;
  struct monitor *monitor = client->monitor;
  long long number = 0;
  int r = json_need_long(request, "signal", 1, SIGRTMAX, &number, err);
  if (r < 0) {
    return r;
  }
  if (monitor->pidfd < 0 || monitor->phase >= PHASE_STOPPED) {
    return err_set(err, EALREADY, "%s is not running", monitor->config.id);
  }
  if (pidfd_send_signal(monitor->pidfd, (int)number, NULL, 0) < 0) {
    return errno == ESRCH ? err_set(err, EALREADY, "%s is not running", monitor->config.id)
                          : err_errno(err, "cannot send signal %lld to %s", number, monitor->config.id);
  }
  return 0;
}

static int resize(struct client *client, const struct json *request, struct str *out, struct err *err) {
  (void)out;
  long long rows = 0, cols = 0;
  int r = json_need_long(request, "rows", 0, 65535, &rows, err);
  if (r < 0 || (r = json_need_long(request, "cols", 0, 65535, &cols, err)) < 0) {
    return r;
  }
  return stdio_resize(client->monitor, (int)rows, (int)cols, err);
}

static int state(struct client *client, const struct json *request, struct str *out, struct err *err) {
  (void)request;
  const struct monitor *monitor = client->monitor;
  const char *name = monitor->phase >= PHASE_STOPPED   ? "stopped"
                     : monitor->phase == PHASE_RUNNING ? "running"
                                                       : "created";
  if (str_addf(out, ",\"state\":\"%s\"", name) < 0 || add_identity(monitor, out) < 0 ||
      str_addf(out, ",\"log_lost\":%llu,\"protocol\":%d,\"compatible\":%d", (unsigned long long)monitor->log.lost,
               PROTOCOL, PROTOCOL_COMPATIBLE) < 0) {
    return err_oom(err);
  }
  return 0;
}

static const struct {
  const char *op;
  handler *handle;
} handlers[] = {{"start", start}, {"attach", attach}, {"kill", send_signal}, {"resize", resize}, {"state", state}};

static int dispatch(struct client *client, const struct json *request, struct str *out, struct err *err) {
  const char *op = NULL;
  int r = json_need_string(request, "op", &op, err);
  if (r < 0) {
    return r;
  }
  for (size_t i = 0; i < array_length(handlers); i++) {
    if (strcmp(handlers[i].op, op) == 0) {
      return handlers[i].handle(client, request, out, err);
    }
  }
  return err_set(err, EOPNOTSUPP, "the monitor has no request \"%s\"", op);
}

int control_request(struct client *client, const char *text, size_t size) {
  cleanup_json struct json request = {.value = NULL};
  long long id = -1;
  struct err err = ERR_INIT;
  if (json_parse(text, size, &request, &err) < 0 || json_need_long(&request, "id", 0, INT64_MAX, &id, &err) < 0) {
    return -EPROTO;
  }
  cleanup_str struct str out = STR_INIT;
  if (reply_begin(&out, id) < 0) {
    return -ENOMEM;
  }
  int r = dispatch(client, &request, &out, &err);
  if (r == 1) {
    return 0;
  }
  if (r < 0) {
    out.size = 0;
    r = reply_error(&out, id, /* code= */ NULL, &err);
  } else {
    r = str_add(&out, "}");
  }
  if (r < 0) {
    return r;
  }
  send_reply(client, &out);
  return 0;
}
