/* Netlink: building messages and talking to the kernel. Knows no family's meaning. */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A message, or a batch of them, under construction. A full buffer is remembered and reported by nl_talk. */
struct nl_batch {
  char *data;
  size_t size;
  size_t capacity;
  size_t message; /* offset of the message being built */
  uint32_t sequence;
  int failed; /* 0 or ENOMEM */
};

#define NL_BATCH_INIT                                                                                                  \
  { NULL, 0, 0, 0, 0, 0 }

void nl_batch_free(struct nl_batch *batch);
#define cleanup_nl_batch __attribute__((cleanup(nl_batch_free)))

/* Forgets what was built; the buffer stays. */
void nl_reset(struct nl_batch *batch);

/* Starts a message: header, then the family's fixed part. NLM_F_REQUEST is always set. */
void nl_begin(struct nl_batch *batch, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_size);
void nl_put(struct nl_batch *batch, uint16_t type, const void *data, size_t size);
void nl_put_text(struct nl_batch *batch, uint16_t type, const char *text);
void nl_put_u8(struct nl_batch *batch, uint16_t type, uint8_t value);
void nl_put_u32(struct nl_batch *batch, uint16_t type, uint32_t value);
/* Bytes without a header, for fixed parts inside a nest. */
void nl_put_raw(struct nl_batch *batch, const void *data, size_t size);
size_t nl_nest(struct nl_batch *batch, uint16_t type);
void nl_nest_end(struct nl_batch *batch, size_t nest);

/* A socket in the calling thread's network namespace, close-on-exec. */
int nl_open(int protocol, int *ret_fd, struct err *err);

/* Sends the batch and reads every acknowledgement (the kernel answers before send returns). The first refusal is the
   result, in the kernel's words where it gives any. */
int nl_talk(int fd, struct nl_batch *batch, struct err *err);

/* Sends one dump or get request and hands each answer to `each` (0 or -errno; a failure ends it). */
int nl_query(int fd, struct nl_batch *batch, int (*each)(const struct nlmsghdr *message, void *context), void *context,
             struct err *err);

/* The attribute of that type in a message whose fixed part is `fixed_size` long, or NULL. */
const struct nlattr *nl_find(const struct nlmsghdr *message, size_t fixed_size, uint16_t type);
const struct nlattr *nl_find_in(const struct nlattr *nest, uint16_t type);

static inline const void *nl_data(const struct nlattr *attribute) {
  return (const char *)attribute + NLA_HDRLEN;
}

static inline size_t nl_size(const struct nlattr *attribute) {
  return attribute->nla_len - NLA_HDRLEN;
}
