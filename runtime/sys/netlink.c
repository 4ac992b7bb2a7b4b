#include "sys/netlink.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define NL_RECEIVE_SIZE 65536

void nl_batch_free(struct nl_batch *batch) {
  free(batch->data);
  *batch = (struct nl_batch)NL_BATCH_INIT;
}

void nl_reset(struct nl_batch *batch) {
  batch->size = 0;
  batch->message = 0;
  batch->failed = 0;
}

/* Room for `size` bytes, zeroed and padded to 4; NULL when out of memory. */
static void *reserve(struct nl_batch *batch, size_t size) {
  size_t padded = NLMSG_ALIGN(size);
  if (batch->failed == 0 && batch->size + padded > batch->capacity) {
    size_t capacity = batch->capacity == 0 ? 1024 : batch->capacity;
    while (capacity < batch->size + padded) {
      capacity *= 2;
    }
    char *data = realloc(batch->data, capacity);
    if (data == NULL) {
      batch->failed = ENOMEM;
    } else {
      batch->data = data;
      batch->capacity = capacity;
    }
  }
  if (batch->failed != 0) {
    return NULL;
  }
  char *at = batch->data + batch->size;
  memset(at, 0, padded);
  batch->size += padded;
  if (batch->size - batch->message >= NLMSG_HDRLEN) {
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)(batch->data + batch->message);
    header->nlmsg_len = (uint32_t)(batch->size - batch->message);
  }
  return at;
}

void nl_begin(struct nl_batch *batch, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_size) {
  batch->message = batch->size;
  struct nlmsghdr *header = reserve(batch, NLMSG_HDRLEN);
  if (header == NULL) {
    return;
  }
  header->nlmsg_len = NLMSG_HDRLEN;
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  header->nlmsg_seq = ++batch->sequence;
  nl_put_raw(batch, fixed, fixed_size);
}

void nl_put_raw(struct nl_batch *batch, const void *data, size_t size) {
  void *at = reserve(batch, size);
  if (at != NULL && size > 0) {
    memcpy(at, data, size);
  }
}

void nl_put(struct nl_batch *batch, uint16_t type, const void *data, size_t size) {
  struct nlattr *attribute = reserve(batch, NLA_HDRLEN + size);
  if (attribute == NULL) {
    return;
  }
  attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
  attribute->nla_type = type;
  if (size > 0) {
    memcpy((char *)attribute + NLA_HDRLEN, data, size);
  }
}

void nl_put_text(struct nl_batch *batch, uint16_t type, const char *text) {
  nl_put(batch, type, text, strlen(text) + 1);
}

void nl_put_u8(struct nl_batch *batch, uint16_t type, uint8_t value) {
  nl_put(batch, type, &value, sizeof(value));
}

void nl_put_u32(struct nl_batch *batch, uint16_t type, uint32_t value) {
  nl_put(batch, type, &value, sizeof(value));
}

size_t nl_nest(struct nl_batch *batch, uint16_t type) {
  size_t at = batch->size;
  nl_put(batch, type | NLA_F_NESTED, NULL, 0);
  return at;
}

void nl_nest_end(struct nl_batch *batch, size_t nest) {
  if (batch->failed == 0) {
    struct nlattr *attribute = (struct nlattr *)(void *)(batch->data + nest);
    attribute->nla_len = (uint16_t)(batch->size - nest);
  }
}

int nl_open(int protocol, int *ret_fd, struct err *err) {
  cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) {
    return err_errno(err, "cannot open a netlink socket (protocol %d)", protocol);
  }
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
    return err_errno(err, "cannot bind a netlink socket");
  }
  int on = 1;
  /* Both only make messages better and shorter; old kernels lack them. */
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  *ret_fd = take_fd(&fd);
  return 0;
}

static const struct nlattr *find_between(const char *at, const char *end, uint16_t type) {
  while (end - at >= (ptrdiff_t)NLA_HDRLEN) {
    const struct nlattr *attribute = (const struct nlattr *)(const void *)at;
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at) {
      return NULL;
    }
    if ((attribute->nla_type & NLA_TYPE_MASK) == type) {
      return attribute;
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  return NULL;
}

const struct nlattr *nl_find(const struct nlmsghdr *message, size_t fixed_size, uint16_t type) {
  const char *start = (const char *)message;
  size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(fixed_size);
  return message->nlmsg_len < skip ? NULL : find_between(start + skip, start + message->nlmsg_len, type);
}

const struct nlattr *nl_find_in(const struct nlattr *nest, uint16_t type) {
  return find_between(nl_data(nest), (const char *)nest + nest->nla_len, type);
}

/* The kernel's own words, when it gives any. */
static int refusal(const struct nlmsghdr *message, int code, struct err *err) {
  const struct nlattr *text = NULL;
  if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
    size_t fixed = sizeof(struct nlmsgerr);
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) {
      const struct nlmsgerr *body = NLMSG_DATA(message);
      fixed += NLMSG_ALIGN(body->msg.nlmsg_len) - NLMSG_HDRLEN;
    }
    text = nl_find(message, fixed, NLMSGERR_ATTR_MSG);
  }
  if (text == NULL) {
    return err_code(err, code, "the kernel refused");
  }
  return err_code(err, code, "the kernel refused (%.*s)", (int)nl_size(text), (const char *)nl_data(text));
}

static int send_batch(int fd, struct nl_batch *batch, struct err *err) {
  if (batch->failed != 0) {
    return err_oom(err);
  }
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t n = sendto(fd, batch->data, batch->size, 0, (struct sockaddr *)&kernel, sizeof(kernel));
  return n < 0 ? err_errno(err, "cannot send over netlink") : 0;
}

int nl_talk(int fd, struct nl_batch *batch, struct err *err) {
  int r = send_batch(fd, batch, err);
  if (r < 0) {
    return r;
  }
  cleanup_free char *buffer = malloc(NL_RECEIVE_SIZE);
  if (buffer == NULL) {
    return err_oom(err);
  }
  size_t acknowledged = 0;
  for (;;) {
    ssize_t n = recv(fd, buffer, NL_RECEIVE_SIZE, acknowledged == 0 ? 0 : MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return errno == EAGAIN ? r : err_errno(err, "cannot receive over netlink");
    }
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      acknowledged++;
      if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
        const struct nlmsgerr *answer = NLMSG_DATA(h);
        if (answer->error != 0 && r == 0) {
          r = refusal(h, answer->error, err);
        }
      }
    }
  }
}

int nl_query(int fd, struct nl_batch *batch, int (*each)(const struct nlmsghdr *message, void *context), void *context,
             struct err *err) {
  int r = send_batch(fd, batch, err);
  cleanup_free char *buffer = malloc(NL_RECEIVE_SIZE);
  if (r < 0 || buffer == NULL) {
    return r < 0 ? r : err_oom(err);
  }
  int result = 0;
  for (;;) {
    ssize_t n = recv(fd, buffer, NL_RECEIVE_SIZE, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return err_errno(err, "cannot receive over netlink");
    }
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type == NLMSG_DONE) {
        return result;
      }
      if (h->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *answer = NLMSG_DATA(h);
        return answer->error == 0 ? result : refusal(h, answer->error, err);
      }
      if (result == 0) {
        result = each(h, context);
      }
    }
  }
}
