#include "names/names.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "keeper/state.h"

/* The keeper must not hang with a name server that does: a send that cannot be placed gives up after this. */
#define SEND_SECONDS 2

static void timer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct keeper *keeper = watch->owner;
  struct err err = ERR_INIT;
  loop_timer_taken(watch->fd);
  keeper->names.waiting = false;
  if (keeper->names.pid == 0 && names_start(keeper, &err) < 0) {
    log_error("%s", err.text);
    keeper->names.waiting = true;
    loop_timer_set(watch->fd, backoff_pause(&keeper->names.backoff));
  }
}

static int send_message(struct keeper *keeper, struct json_object *message, const struct sandbox_fds *fds,
                        struct err *err) {
  return names_send(keeper->names.control, json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN), fds, err);
}

/* What the process must know of a sandbox: its last configuration, or its name alone. */
static int send_sandbox(struct keeper *keeper, const struct sandbox *sandbox, bool sockets, struct err *err) {
  struct json_object *message = sandbox->names;
  if (message == NULL) {
    message = json_object_new_object();
    json_object_object_add(message, "op", json_object_new_string("sandbox"));
    json_object_object_add(message, "name", json_object_new_string(sandbox->name));
  } else {
    json_object_get(message);
  }
  int r = send_message(keeper, message, sockets ? &sandbox->fds : NULL, err);
  json_object_put(message);
  return r;
}

static int repeat_all(struct keeper *keeper, struct err *err) {
  int r = 0;
  for (struct zone *zone = keeper->names.zones; zone != NULL && r == 0; zone = zone->next) {
    r = send_message(keeper, zone->message, /* fds= */ NULL, err);
  }
  for (struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL && r == 0; sandbox = sandbox->next) {
    if (sandbox->fds.names_udp >= 0) {
      r = send_sandbox(keeper, sandbox, /* sockets= */ true, err);
    }
  }
  return r;
}

int names_start(struct keeper *keeper, struct err *err) {
  struct names *names = &keeper->names;
  char *const args[] = {"tscompose-runtime", "names", NULL};
  cleanup_close int theirs = -1;
  cleanup_close int their_gate = -1;
  int r = 0, gate = -1;
  if (names->timer.fd < 0) {
    int timer = -1;
    r = loop_timer(&timer, err);
    r = r < 0 ? r : keeper_watch(keeper, &names->timer, timer, EPOLLIN, timer_ready, keeper, err);
  }
  r = r < 0 ? r : names_control_pair(&names->control, &theirs, err);
  if (r < 0) {
    return r;
  }
  loop_drop(&keeper->loop, &names->gate);
  r = names_gate_pair(&gate, &their_gate, err);
  r = r < 0 ? r : keeper_watch(keeper, &names->gate, gate, EPOLLIN, gate_ready, keeper, err);
  if (r < 0) {
    close(take_fd(&names->control));
    return r;
  }
  struct timeval patience = {.tv_sec = SEND_SECONDS};
  (void)setsockopt(names->control, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  struct child_plan plan = CHILD_PLAN_INIT;
  plan.exec_fd = keeper->self_fd;
  plan.argv = args;
  plan.environment = place_bare_environment;
  plan.fds[2] = CHILD_INHERIT;
  plan.fds[NAMES_CONTROL_FD] = theirs;
  plan.fds[NAMES_GATE_FD] = their_gate;
  plan.session = true;
  names->backoff.started = now_ms();
  r = child_start(&plan, &names->pid, err);
  if (r < 0) {
    close(take_fd(&names->control));
    return err_prefix(err, "the name server");
  }
  return repeat_all(keeper, err);
}

bool names_reaped(struct keeper *keeper, pid_t pid) {
  struct names *names = &keeper->names;
  if (names->pid == 0 || names->pid != pid) {
    return false;
  }
  names->pid = 0;
  if (names->control >= 0) {
    close(take_fd(&names->control));
  }
  names->waiting = true;
  loop_timer_set(names->timer.fd, backoff_pause(&names->backoff));
  return true;
}

/* A dead process that is not reaped yet, or one that waits for its restart, learns everything when it comes back. One
 * that does not read any more (see SEND_SECONDS) is ended, and comes back. */
static int sent_or_waits(struct keeper *keeper, int sent, const struct err *err) {
  if (sent == -EAGAIN && keeper->names.pid > 0) {
    (void)kill(keeper->names.pid, SIGKILL);
    return 0;
  }
  if (sent == -EPIPE || sent == -ECONNRESET || sent == -ENOTCONN || sent == -ECONNREFUSED) {
    return 0;
  }
  return sent < 0 ? -err->code : 0;
}

/* True when it runs, or the restart is already on its way (then there is nothing to send to yet). */
static int ensure(struct keeper *keeper, bool *ret_send, struct err *err) {
  struct names *names = &keeper->names;
  *ret_send = false;
  if (names->control >= 0) {
    *ret_send = true;
    return 0;
  }
  return names->waiting ? 0 : names_start(keeper, err); /* starting repeats all that is known */
}

int names_publish(struct keeper *keeper, struct sandbox *sandbox, struct err *err) {
  bool send = false;
  int r = ensure(keeper, &send, err);
  if (r < 0 || !send) {
    return r;
  }
  return sent_or_waits(keeper, send_sandbox(keeper, sandbox, /* sockets= */ true, err), err);
}

void names_drop(struct keeper *keeper, const char *sandbox) {
  if (keeper->names.control < 0) {
    return;
  }
  struct json_object *message = json_object_new_object();
  json_object_object_add(message, "op", json_object_new_string("drop"));
  json_object_object_add(message, "name", json_object_new_string(sandbox));
  (void)send_message(keeper, message, /* fds= */ NULL, /* err= */ NULL);
  json_object_put(message);
}

/* The request as a message of the name server's protocol: same keys, shorter op, no id. */
static struct json_object *message_of(const struct json *request, const char *op) {
  struct json_object *message = json_object_new_object();
  json_object_object_foreach(request->value, key, value) {
    if (strcmp(key, "id") != 0 && strcmp(key, "op") != 0) {
      json_object_object_add(message, key, json_object_get(value));
    }
  }
  json_object_object_add(message, "op", json_object_new_string(op));
  return message;
}

static void zone_remove(struct keeper *keeper, const char *name) {
  for (struct zone **at = &keeper->names.zones; *at != NULL; at = &(*at)->next) {
    if (strcmp((*at)->name, name) == 0) {
      struct zone *zone = *at;
      *at = zone->next;
      json_object_put(zone->message);
      free(zone->name);
      free(zone);
      return;
    }
  }
}

int names_keep_zone(struct keeper *keeper, const char *name, struct json_object *message) {
  struct zone *zone = calloc(1, sizeof(*zone));
  char *copy = strdup(name);
  if (zone == NULL || copy == NULL) {
    free(zone);
    free(copy);
    return -ENOMEM;
  }
  zone_remove(keeper, name);
  *zone = (struct zone){.next = keeper->names.zones, .name = copy, .message = json_object_get(message)};
  keeper->names.zones = zone;
  return 0;
}

int names_op_zone(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                  struct err *err) {
  (void)id, (void)fields;
  const char *name = NULL;
  struct json hosts;
  int r = json_need_string(request, "zone", &name, err);
  if (r < 0 || (r = json_object_at(request, "hosts", &hosts, err)) < 0) {
    return r;
  }
  struct json_object *message = message_of(request, "zone");
  bool drop = hosts.value == NULL;
  if (drop) {
    zone_remove(keeper, name);
  } else if (names_keep_zone(keeper, name, message) < 0) {
    json_object_put(message);
    return err_oom(err);
  }
  bool send = false;
  r = drop && keeper->names.control < 0 ? 0 : ensure(keeper, &send, err);
  if (r == 0 && send) {
    r = sent_or_waits(keeper, send_message(keeper, message, /* fds= */ NULL, err), err);
  }
  json_object_put(message);
  return r;
}

int names_op_sandbox(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                     struct err *err) {
  (void)id, (void)fields;
  const char *name = NULL;
  int r = json_need_string(request, "name", &name, err);
  if (r < 0) {
    return r;
  }
  struct sandbox *sandbox = sandbox_find(keeper, name);
  if (sandbox == NULL) {
    return err_set(err, ENOENT, "no sandbox %s", name);
  }
  if (sandbox->fds.names_udp < 0) {
    return err_set(err, EINVAL, "sandbox %s has no name server", name);
  }
  struct json_object *message = message_of(request, "sandbox");
  if (sandbox->names == NULL) {
    sandbox->names = message;
  } else {
    /* Keys that are absent stay as they are. */
    json_object_object_foreach(message, key, value) {
      json_object_object_add(sandbox->names, key, json_object_get(value));
    }
    json_object_put(message);
  }
  bool send = false;
  r = ensure(keeper, &send, err);
  return r < 0 || !send ? r : sent_or_waits(keeper, send_sandbox(keeper, sandbox, /* sockets= */ false, err), err);
}

void names_release(struct keeper *keeper) {
  struct names *names = &keeper->names;
  if (names->control >= 0) {
    close(take_fd(&names->control)); /* its end ends the process */
  }
  loop_drop(&keeper->loop, &names->gate);
  while (names->zones != NULL) {
    zone_remove(keeper, names->zones->name);
  }
}
