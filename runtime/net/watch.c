/* What others do to the firewall, as the kernel tells it: a reload of theirs may flush our table, and Docker makes the
 * chain late that our packets must pass (N03, F48). */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/verbs.h"
#include "sys/netlink.h"

#define RECEIVE_SIZE ((size_t)64 << 10)
/* Changes to the chains of others come in bursts: one answer for all of them. A loss of ours is told at once. */
#define QUIET_MS 20
#define BURST_MS 300
/* Transactions between two watches may have been anything: time for one answer to all of them. */
#define UNSEEN_MS 1000

/* Chains of other programs that carry a rule of ours. */
static const char *const guests[] = {"DOCKER-USER"};

static bool has_text(const struct nlmsghdr *message, uint16_t attribute, const char *text) {
  const struct nlattr *found = nl_find(message, sizeof(struct nfgenmsg), attribute);
  size_t size = strlen(text) + 1;
  return found != NULL && nl_size(found) == size && memcmp(nl_data(found), text, size) == 0;
}

static bool names_guest(const struct nlmsghdr *message, uint16_t attribute) {
  for (size_t i = 0; i < array_length(guests); i++) {
    if (has_text(message, attribute, guests[i])) {
      return true;
    }
  }
  return false;
}

enum change { NOTHING, GUEST, OURS };

/* firewalld makes its table anew at a reload, and forgets which zone our bridges are in. */
static bool names_firewalld(const struct nlmsghdr *message) {
  return has_text(message, NFTA_TABLE_NAME, "firewalld");
}

/* Removals in our table and changes of it as a whole, and any change to a chain in which we are guests. Elements of
   sets come and go by our own hand all the time. */
static enum change judge(const struct nlmsghdr *message, const char *table) {
  if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
      message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg))) {
    return NOTHING;
  }
  const struct nfgenmsg *fixed = NLMSG_DATA(message);
  bool inet = fixed->nfgen_family == NFPROTO_INET;
  switch (NFNL_MSG_TYPE(message->nlmsg_type)) {
  case NFT_MSG_NEWTABLE:
    if (inet && names_firewalld(message)) {
      return GUEST;
    }
    /* Put to sleep, for one; our own loading comes by as well. */
    return inet && has_text(message, NFTA_TABLE_NAME, table) ? OURS : NOTHING;
  case NFT_MSG_DELTABLE:
    if (inet && names_firewalld(message)) {
      return GUEST;
    }
    return inet && has_text(message, NFTA_TABLE_NAME, table) ? OURS : NOTHING;
  case NFT_MSG_DELSET:
    return inet && has_text(message, NFTA_SET_TABLE, table) ? OURS : NOTHING;
  case NFT_MSG_NEWCHAIN:
    return !inet && names_guest(message, NFTA_CHAIN_NAME) ? GUEST : NOTHING;
  case NFT_MSG_DELCHAIN:
    if (!inet) {
      return names_guest(message, NFTA_CHAIN_NAME) ? GUEST : NOTHING;
    }
    return has_text(message, NFTA_CHAIN_TABLE, table) ? OURS : NOTHING;
  case NFT_MSG_DELRULE:
    if (!inet) {
      return names_guest(message, NFTA_RULE_CHAIN) ? GUEST : NOTHING;
    }
    return has_text(message, NFTA_RULE_TABLE, table) ? OURS : NOTHING;
  default:
    return NOTHING;
  }
}

/* The number of the transaction that a message tells, if it does. */
static void note_generation(const struct nlmsghdr *message, uint32_t *generation) {
  const struct nlattr *id = nl_find(message, sizeof(struct nfgenmsg), NFTA_GEN_ID);
  if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) && id != NULL &&
      nl_size(id) == sizeof(*generation)) {
    uint32_t number;
    memcpy(&number, nl_data(id), sizeof(number));
    *generation = ntohl(number);
  }
}

/* The enum change, the greatest that was among it. More than the socket holds counts as ours. `generation` becomes that
   of the last transaction. */
static int take(int fd, const char *table, uint32_t *generation, char *buffer, struct err *err) {
  ssize_t size = recv(fd, buffer, RECEIVE_SIZE, MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0) {
    return errno == EAGAIN || errno == EINTR ? 0 : errno == ENOBUFS ? OURS : err_errno(err, "cannot receive");
  }
  if ((size_t)size > RECEIVE_SIZE) {
    return OURS;
  }
  enum change greatest = NOTHING;
  size_t left = (size_t)size;
  for (const struct nlmsghdr *message = (const void *)buffer; NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left)) {
    enum change change = judge(message, table);
    greatest = change > greatest ? change : greatest;
    note_generation(message, generation);
  }
  return greatest;
}

static int each_answer(const struct nlmsghdr *message, void *context) {
  note_generation(message, context);
  return 0;
}

struct watching {
  int events;
  int questions;
  const char *table;
  bool unseen; /* something happened that nobody looked at */
  uint32_t generation;
};

/* 1: the table is not there. `generation` becomes that of the last transaction, whosever it was. */
static int look(struct watching *watching, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct nfgenmsg fixed = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
  nl_begin(&batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_ACK, &fixed, sizeof(fixed));
  int r = nl_query(watching->questions, &batch, each_answer, &watching->generation, err);
  if (r < 0) {
    return r;
  }
  nl_reset(&batch);
  nl_begin(&batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put_text(&batch, NFTA_TABLE_NAME, watching->table);
  r = nl_query(watching->questions, &batch, each_answer, &watching->generation, err);
  return r == -ENOENT ? 1 : r;
}

static long long clock_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000LL + at.tv_nsec / 1000000;
}

/* 1: ours was touched, or theirs and it has been quiet for a moment; 0: the time is up. */
static int wait_change(struct watching *watching, long long ms, struct err *err) {
  cleanup_free char *buffer = malloc(RECEIVE_SIZE);
  long long end = clock_ms() + (watching->unseen ? UNSEEN_MS : ms);
  bool changed = false;
  if (buffer == NULL) {
    return err_oom(err);
  }
  for (;;) {
    long long left = end - clock_ms();
    struct pollfd wait = {.fd = watching->events, .events = POLLIN};
    int r = left <= 0 ? 0 : poll(&wait, 1, (int)(changed && left > QUIET_MS ? QUIET_MS : left));
    if (r < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait");
    }
    if (r == 0) {
      return changed || watching->unseen ? 1 : 0;
    }
    r = take(watching->events, watching->table, &watching->generation, buffer, err);
    if (r < 0) {
      return r;
    }
    if (r == OURS) {
      return 1;
    }
    if (r == GUEST && !changed) {
      changed = true;
      end = clock_ms() + BURST_MS;
    }
  }
}

/* Whoever closes the sockets last waits until the kernel has freed what was removed, some 10 ms: a child, which ends
   after us. */
static void leave_open(void) {
  pid_t parent = getpid();
  if (fork() != 0) {
    return;
  }
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (getppid() == parent) {
    (void)pause();
  }
  _exit(0);
}

static int watch(struct watching *watching, long long seen, long long ms, struct str *out, struct err *err) {
  int group = NFNLGRP_NFTABLES;
  if (setsockopt(watching->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
    return err_errno(err, "cannot follow the firewall");
  }
  /* Asked for after joining, so that nothing happens unseen between the two. */
  int lost = look(watching, err);
  watching->unseen = watching->generation != (uint32_t)seen;
  int changed = lost == 0 ? wait_change(watching, ms, err) : lost;
  if (changed > 0 && lost == 0) {
    lost = look(watching, err);
  }
  if (changed < 0 || lost < 0) {
    return changed < 0 ? changed : lost;
  }
  if (changed > 0) {
    leave_open();
  }
  return str_addf(out, "{\"changed\":%s,\"lost\":%s,\"generation\":%u}\n", changed > 0 ? "true" : "false",
                  lost > 0 ? "true" : "false", watching->generation);
}

int verb_watch_firewall(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int events = -1;
  cleanup_close int questions = -1;
  struct watching watching = {0};
  long long seconds = 0, seen = 0;
  int r = json_need_string(request, "table", &watching.table, err);
  r = r < 0 ? r : json_need_long(request, "seconds", 0, 3600, &seconds, err);
  r = r < 0 ? r : json_long_at(request, "generation", 0, UINT32_MAX, &seen, err);
  r = r < 0 ? r : nl_open(NETLINK_NETFILTER, &events, err);
  r = r < 0 ? r : nl_open(NETLINK_NETFILTER, &questions, err);
  if (r < 0) {
    return r;
  }
  /* Nobody would read the answer any more. */
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  watching.events = events;
  watching.questions = questions;
  return watch(&watching, seen, seconds * 1000, out, err);
}
