#include "cgroup/systemd/bus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define SERVICE "org.freedesktop.systemd1"
#define TIMEOUT_MS 30000

enum message_type { CALL = 1, ANSWER = 2, REFUSAL = 3, SIGNAL = 4 };
enum field {
  FIELD_PATH = 1,
  FIELD_INTERFACE,
  FIELD_MEMBER,
  FIELD_ERROR,
  FIELD_REPLY,
  FIELD_TARGET,
  FIELD_SENDER,
  FIELD_SIGNATURE
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char own_order = 'l';
#else
static const char own_order = 'B';
#endif

/* The fixed part of every message. */
struct fixed {
  char order;
  uint8_t type, flags, version;
  uint32_t body_size, serial, fields_size;
};

struct incoming {
  uint8_t type;
  uint32_t reply_to;
  const char *path, *member, *error;
  char *message;
  const char *body;
  size_t body_size;
  char signature[64];
};

void bus_body_free(struct bus_body *body) {
  str_free(&body->data);
}

static void put(struct bus_body *body, const void *data, size_t size) {
  body->failed = body->failed || str_append(&body->data, data, size) < 0;
}

void bus_put_align(struct bus_body *body, size_t alignment) {
  static const char zeros[8] = {0};
  put(body, zeros, (alignment - body->data.size % alignment) % alignment);
}

void bus_put_u32(struct bus_body *body, uint32_t value) {
  bus_put_align(body, 4);
  put(body, &value, sizeof(value));
}

void bus_put_u64(struct bus_body *body, uint64_t value) {
  bus_put_align(body, 8);
  put(body, &value, sizeof(value));
}

void bus_put_text(struct bus_body *body, const char *text) {
  bus_put_u32(body, (uint32_t)strlen(text));
  put(body, text, strlen(text) + 1);
}

void bus_put_signature(struct bus_body *body, const char *text) {
  uint8_t size = (uint8_t)strlen(text);
  put(body, &size, 1);
  put(body, text, (size_t)size + 1);
}

size_t bus_array_begin(struct bus_body *body, size_t alignment) {
  bus_put_u32(body, 0);
  size_t array = body->data.size - 4;
  bus_put_align(body, alignment);
  return array;
}

void bus_array_end(struct bus_body *body, size_t array, size_t alignment) {
  if (!body->failed) {
    /* The padding before the first element does not count. */
    size_t first = (array + 4 + alignment - 1) / alignment * alignment;
    uint32_t size = (uint32_t)(body->data.size - first);
    memcpy(body->data.data + array, &size, sizeof(size));
  }
}

static int read_some(struct bus *bus, void *data, size_t size, struct err *err) {
  size_t got = 0;
  while (got < size) {
    struct pollfd entry = {.fd = bus->fd, .events = POLLIN};
    int ready = poll(&entry, 1, bus->timeout_ms);
    if (ready == 0) {
      return err_set(err, ETIMEDOUT, "systemd does not answer");
    }
    ssize_t n = ready < 0 ? -1 : recv(bus->fd, (char *)data + got, size - got, 0);
    if (n == 0) {
      return err_set(err, EPIPE, "systemd closed the connection");
    }
    if (n < 0 && errno != EINTR) {
      return err_errno(err, "cannot read from systemd");
    }
    got += n > 0 ? (size_t)n : 0;
  }
  return 0;
}

static int send_all(struct bus *bus, const void *data, size_t size, struct err *err) {
  size_t sent = 0;
  while (sent < size) {
    ssize_t n = send(bus->fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) {
      return err_errno(err, "cannot write to systemd");
    }
    sent += n > 0 ? (size_t)n : 0;
  }
  return 0;
}

/* Lines end with CR LF; what follows the last of them is the first message, so nothing may be read ahead. */
static int read_line(struct bus *bus, char *line, size_t capacity, struct err *err) {
  size_t size = 0;
  for (;;) {
    int r = read_some(bus, line + size, 1, err);
    if (r < 0) {
      return r;
    }
    if (line[size] == '\n') {
      line[size > 0 && line[size - 1] == '\r' ? size - 1 : size] = '\0';
      return 0;
    }
    if (++size + 1 >= capacity) {
      return err_set(err, EPROTO, "systemd sent a line that is too long");
    }
  }
}

/* All in one: a manager that meets BEGIN together with the first call leaves the call lying until more comes. */
static int authenticate(struct bus *bus, struct err *err) {
  char text[128], id[16], hex[40] = "";
  int n = snprintf(id, sizeof(id), "%u", (unsigned)geteuid());
  for (int i = 0; i < n; i++) {
    snprintf(hex + 2 * i, 3, "%02x", (unsigned char)id[i]);
  }
  n = snprintf(text + 1, sizeof(text) - 1, "AUTH EXTERNAL %s\r\nBEGIN\r\n", hex);
  text[0] = '\0';
  int r = send_all(bus, text, (size_t)n + 1, err);
  r = r < 0 ? r : read_line(bus, text, sizeof(text), err);
  if (r < 0) {
    return r;
  }
  if (!str_starts(text, "OK ")) {
    return err_set(err, EACCES, "systemd does not take us for user %s: %s", id, text);
  }
  return 0;
}

static int call_bus(struct bus *bus, const char *member, const char *match, struct err *err) {
  cleanup_bus_answer struct bus_answer answer = {.message = NULL};
  cleanup_bus_body struct bus_body body = {.failed = false};
  if (match != NULL) {
    bus_put_text(&body, match);
  }
  const struct bus_call call = {"/org/freedesktop/DBus", "org.freedesktop.DBus", member, match == NULL ? "" : "s",
                                &body};
  return bus_call(bus, &call, &answer, err);
}

static int subscribe(struct bus *bus, struct err *err) {
  cleanup_bus_answer struct bus_answer answer = {.message = NULL};
  int r = call_bus(bus, "Hello", NULL, err);
  r = r < 0 ? r
            : call_bus(bus, "AddMatch",
                       "type='signal',sender='" SERVICE "',interface='" SERVICE ".Manager',member='JobRemoved'", err);
  const struct bus_call call = {"/org/freedesktop/systemd1", SERVICE ".Manager", "Subscribe", "", NULL};
  return r < 0 ? r : bus_call(bus, &call, &answer, err);
}

int bus_open(int fd, bool direct, struct bus *ret_bus, struct err *err) {
  cleanup_bus struct bus bus = {.fd = fd, .direct = direct, .timeout_ms = TIMEOUT_MS};
  int r = authenticate(&bus, err);
  if (r == 0 && !direct) {
    r = subscribe(&bus, err);
  }
  if (r < 0) {
    return r;
  }
  *ret_bus = bus;
  bus.fd = -1;
  return 0;
}

int bus_connect(const char *path, bool direct, struct bus *ret_bus, struct err *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return err_errno(err, "cannot make a socket");
  }
  if (strlen(path) >= sizeof(address.sun_path)) {
    return err_code(err, ENAMETOOLONG, "socket %s", path);
  }
  strcpy(address.sun_path, path);
  if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
    return err_errno(err, "cannot connect to %s", path);
  }
  int r = bus_open(take_fd(&fd), direct, ret_bus, err);
  return r < 0 ? err_prefix(err, "%s", path) : 0;
}

void bus_close(struct bus *bus) {
  if (bus->fd >= 0) {
    close(bus->fd);
    bus->fd = -1;
  }
}

void bus_answer_free(struct bus_answer *answer) {
  free(answer->message);
  answer->message = NULL;
}

static void put_field(struct bus_body *header, enum field field, const char *type, const char *value) {
  uint8_t code = (uint8_t)field;
  if (value == NULL || value[0] == '\0') {
    return;
  }
  bus_put_align(header, 8);
  put(header, &code, 1);
  bus_put_signature(header, type);
  if (type[0] == 'g') {
    bus_put_signature(header, value);
  } else {
    bus_put_text(header, value);
  }
}

static int send_call(struct bus *bus, const struct bus_call *call, struct err *err) {
  cleanup_bus_body struct bus_body message = {.failed = false};
  size_t body_size = call->body == NULL ? 0 : call->body->data.size;
  const struct fixed fixed = {own_order, CALL, 0, 1, (uint32_t)body_size, ++bus->serial, 0};
  const char *target = bus->direct                                        ? NULL
                       : strcmp(call->path, "/org/freedesktop/DBus") == 0 ? "org.freedesktop.DBus"
                                                                          : SERVICE;
  put(&message, &fixed, 12);
  size_t fields = bus_array_begin(&message, 8);
  put_field(&message, FIELD_PATH, "o", call->path);
  put_field(&message, FIELD_INTERFACE, "s", call->interface);
  put_field(&message, FIELD_MEMBER, "s", call->member);
  put_field(&message, FIELD_TARGET, "s", target);
  put_field(&message, FIELD_SIGNATURE, "g", call->signature);
  bus_array_end(&message, fields, 8);
  bus_put_align(&message, 8);
  if (body_size > 0) {
    put(&message, call->body->data.data, body_size);
  }
  if (message.failed || (call->body != NULL && call->body->failed)) {
    return err_oom(err);
  }
  return send_all(bus, message.data.data, message.data.size, err);
}

static int bad_message(struct err *err) {
  return err_set(err, EPROTO, "systemd sent a message that is not understood");
}

/* A string at an offset of the message, its end checked; NULL when it does not fit. */
static const char *text_at(const char *data, size_t size, size_t *at) {
  uint32_t length = 0;
  size_t start = (*at + 3) / 4 * 4;
  if (start + 4 > size) {
    return NULL;
  }
  memcpy(&length, data + start, 4);
  if (length >= size || start + 4 + length + 1 > size || data[start + 4 + length] != '\0' ||
      strlen(data + start + 4) != length) {
    return NULL;
  }
  *at = start + 4 + length + 1;
  return data + start + 4;
}

static const char *signature_at(const char *data, size_t size, size_t *at) {
  if (*at >= size) {
    return NULL;
  }
  size_t length = (uint8_t)data[*at], start = *at + 1;
  if (start + length + 1 > size || data[start + length] != '\0' || strlen(data + start) != length) {
    return NULL;
  }
  *at = start + length + 1;
  return data + start;
}

/* Fields are (byte, variant) with one of the types o, s, g, u. */
static int read_fields(struct incoming *message, const char *fields, size_t size) {
  for (size_t at = 0; at < size;) {
    at = (at + 7) / 8 * 8;
    if (at >= size) {
      return -EPROTO;
    }
    uint8_t code = (uint8_t)fields[at++];
    const char *type = signature_at(fields, size, &at);
    const char *text = NULL;
    if (type == NULL || strlen(type) != 1) {
      return -EPROTO;
    }
    if (type[0] == 'u') {
      at = (at + 3) / 4 * 4;
      if (at + 4 > size) {
        return -EPROTO;
      }
      if (code == FIELD_REPLY) {
        memcpy(&message->reply_to, fields + at, 4);
      }
      at += 4;
      continue;
    }
    text = type[0] == 'g'                  ? signature_at(fields, size, &at)
           : strchr("so", type[0]) != NULL ? text_at(fields, size, &at)
                                           : NULL;
    if (text == NULL) {
      return -EPROTO;
    }
    if (code == FIELD_PATH) {
      message->path = text;
    } else if (code == FIELD_MEMBER) {
      message->member = text;
    } else if (code == FIELD_ERROR) {
      message->error = text;
    } else if (code == FIELD_SIGNATURE) {
      snprintf(message->signature, sizeof(message->signature), "%s", text);
    }
  }
  return 0;
}

static int receive(struct bus *bus, struct incoming *ret_message, struct err *err) {
  struct fixed fixed;
  struct incoming message = {.type = 0};
  int r = read_some(bus, &fixed, sizeof(fixed), err);
  if (r < 0) {
    return r;
  }
  size_t padded = ((size_t)fixed.fields_size + 7) / 8 * 8;
  if (fixed.order != own_order || fixed.version != 1 || fixed.fields_size > BUS_LIMIT || fixed.body_size > BUS_LIMIT) {
    return bad_message(err);
  }
  cleanup_free char *data = malloc(padded + fixed.body_size + 1);
  if (data == NULL) {
    return err_oom(err);
  }
  r = read_some(bus, data, padded + fixed.body_size, err);
  if (r < 0) {
    return r;
  }
  message.type = fixed.type;
  if (read_fields(&message, data, fixed.fields_size) < 0) {
    return bad_message(err);
  }
  message.body = data + padded;
  message.body_size = fixed.body_size;
  message.message = take_ptr(data);
  *ret_message = message;
  return 0;
}

/* JobRemoved: number, job, unit, result. */
static void keep_job(struct bus *bus, const struct incoming *message) {
  size_t at = 4;
  if (message->type != SIGNAL || message->member == NULL || strcmp(message->member, "JobRemoved") != 0 ||
      strcmp(message->signature, "uoss") != 0) {
    return;
  }
  const char *job = text_at(message->body, message->body_size, &at);
  const char *unit = job == NULL ? NULL : text_at(message->body, message->body_size, &at);
  const char *result = unit == NULL ? NULL : text_at(message->body, message->body_size, &at);
  if (result != NULL) {
    struct bus_job *kept = &bus->jobs[bus->job_count++ % array_length(bus->jobs)];
    snprintf(kept->path, sizeof(kept->path), "%s", job);
    snprintf(kept->result, sizeof(kept->result), "%s", result);
  }
}

static int refused(const struct incoming *message, struct err *err) {
  size_t at = 0;
  const char *text = message->signature[0] == 's' ? text_at(message->body, message->body_size, &at) : NULL;
  const char *name = message->error == NULL ? "?" : message->error;
  int code = strcmp(name, SERVICE ".UnitExists") == 0                       ? EEXIST
             : strcmp(name, SERVICE ".NoSuchUnit") == 0                     ? ENOENT
             : strcmp(name, "org.freedesktop.DBus.Error.AccessDenied") == 0 ? EACCES
                                                                            : EIO;
  return err_set(err, code, "systemd: %s (%s)", text == NULL ? "refused" : text, name);
}

int bus_call(struct bus *bus, const struct bus_call *call, struct bus_answer *ret_answer, struct err *err) {
  int r = send_call(bus, call, err);
  uint32_t serial = bus->serial;
  while (r == 0) {
    struct incoming message;
    r = receive(bus, &message, err);
    if (r < 0) {
      return r;
    }
    if (message.type == ANSWER && message.reply_to == serial) {
      *ret_answer = (struct bus_answer){message.message, message.body, message.body_size, 0, ""};
      strcpy(ret_answer->signature, message.signature);
      return 0;
    }
    if (message.type == REFUSAL && message.reply_to == serial) {
      r = refused(&message, err);
    } else {
      keep_job(bus, &message);
    }
    free(message.message);
  }
  return r;
}

int bus_get_text(struct bus_answer *answer, const char **ret_text, struct err *err) {
  const char *type = answer->signature;
  if (type[0] == 'v') {
    type = signature_at(answer->body, answer->size, &answer->at);
  }
  const char *text = type == NULL || strchr("so", type[0]) == NULL || type[0] == '\0'
                         ? NULL
                         : text_at(answer->body, answer->size, &answer->at);
  if (text == NULL) {
    return bad_message(err);
  }
  *ret_text = text;
  return 0;
}

int bus_wait_job(struct bus *bus, const char *job, struct err *err) {
  for (;;) {
    size_t kept = bus->job_count < array_length(bus->jobs) ? bus->job_count : array_length(bus->jobs);
    for (size_t i = 0; i < kept; i++) {
      if (strcmp(bus->jobs[i].path, job) == 0) {
        return strcmp(bus->jobs[i].result, "done") == 0
                   ? 0
                   : err_set(err, EIO, "systemd's job for the scope ended with '%s'", bus->jobs[i].result);
      }
    }
    struct incoming message;
    int r = receive(bus, &message, err);
    if (r < 0) {
      return r;
    }
    keep_job(bus, &message);
    free(message.message);
  }
}
