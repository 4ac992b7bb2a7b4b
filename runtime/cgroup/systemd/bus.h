/*
 * The little of D-Bus that asking systemd for a scope takes: one connection, calls with a reply, one signal. Messages
 * are in the machine's own byte order, as any peer on a unix socket sends them; what is larger than BUS_LIMIT ends the
 * connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define BUS_LIMIT ((size_t)1 << 20)

/* A job that ended, kept since its signal may overtake the answer that names it. */
struct bus_job {
  char path[128];
  char result[32];
};

struct bus {
  int fd;
  bool direct;    /* to the manager itself, not through a bus */
  int timeout_ms; /* of one answer */
  uint32_t serial;
  struct bus_job jobs[32];
  size_t job_count; /* ever seen: the newest are kept */
};

/* Authenticates as the user we are; takes over the socket, also on failure. */
int bus_open(int fd, bool direct, struct bus *ret_bus, struct err *err);
int bus_connect(const char *path, bool direct, struct bus *ret_bus, struct err *err);
void bus_close(struct bus *bus);
#define BUS_INIT                                                                                                       \
  { .fd = -1 }
#define cleanup_bus __attribute__((cleanup(bus_close)))

/* Body of a message: values with their alignment. Running out of memory shows when it is sent. */
struct bus_body {
  struct str data;
  bool failed;
};
#define cleanup_bus_body __attribute__((cleanup(bus_body_free)))
void bus_body_free(struct bus_body *body);
void bus_put_align(struct bus_body *body, size_t alignment);
void bus_put_u32(struct bus_body *body, uint32_t value);    /* u, b */
void bus_put_u64(struct bus_body *body, uint64_t value);    /* t */
void bus_put_text(struct bus_body *body, const char *text); /* s, o */
void bus_put_signature(struct bus_body *body, const char *text);
/* An array of things aligned to `alignment`; returns what bus_array_end needs. */
size_t bus_array_begin(struct bus_body *body, size_t alignment);
void bus_array_end(struct bus_body *body, size_t array, size_t alignment);

struct bus_call {
  const char *path, *interface, *member, *signature; /* signature "": no body */
  const struct bus_body *body;
};

/* An answer's body; reading goes on where the last read ended. */
struct bus_answer {
  char *message;
  const char *body;
  size_t size, at;
  char signature[64];
};
void bus_answer_free(struct bus_answer *answer);
#define cleanup_bus_answer __attribute__((cleanup(bus_answer_free)))

/* Sends and waits for the answer. A refusal of the other side is the error, with its name and text; -EEXIST and -ENOENT
   for a unit that exists or does not. */
int bus_call(struct bus *bus, const struct bus_call *call, struct bus_answer *ret_answer, struct err *err);

/* The next value, a string, object path or a variant that holds one; borrowed. */
int bus_get_text(struct bus_answer *answer, const char **ret_text, struct err *err);

/* Waits until the job is removed; anything but "done" is an error. */
int bus_wait_job(struct bus *bus, const char *job, struct err *err);
