/* What others do to the firewall, as the kernel tells it: a reload of theirs may flush our table, and Docker makes the
 * chain late that our packets must pass (N03, F48). */
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

/* Removals in our table, and any change to a chain in which we are guests. Elements of sets come and go by our own hand
   all the time. */
static enum change judge(const struct nlmsghdr *message, const char *table) {
  if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
      message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg))) {
    return NOTHING;
  }
  const struct nfgenmsg *fixed = NLMSG_DATA(message);
  bool inet = fixed->nfgen_family == NFPROTO_INET;
  switch (NFNL_MSG_TYPE(message->nlmsg_type)) {
  case NFT_MSG_NEWTABLE:
    return inet && names_firewalld(message) ? GUEST : NOTHING;
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

/* The enum change, the greatest that was among it. More than the socket holds counts as ours. */
static int take(int fd, const char *table, char *buffer, struct err *err) {
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
  }
  return greatest;
}

static int ignore_table(const struct nlmsghdr *message, void *context) {
  (void)message, (void)context;
  return 0;
}

/* 1: the table is not there. */
static int is_lost(const char *table, struct err *err) {
  cleanup_close int nl = -1;
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct nfgenmsg fixed = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
  int r = nl_open(NETLINK_NETFILTER, &nl, err);
  if (r < 0) {
    return r;
  }
  nl_begin(&batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put_text(&batch, NFTA_TABLE_NAME, table);
  r = nl_query(nl, &batch, ignore_table, NULL, err);
  return r == -ENOENT ? 1 : r;
}

static long long clock_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000LL + at.tv_nsec / 1000000;
}

/* Until ours is touched, or theirs and it has been quiet for a moment, or the time is up. */
static int wait_change(int fd, const char *table, long long ms, struct err *err) {
  cleanup_free char *buffer = malloc(RECEIVE_SIZE);
  long long end = clock_ms() + ms;
  bool changed = false;
  if (buffer == NULL) {
    return err_oom(err);
  }
  for (;;) {
    long long left = end - clock_ms();
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int r = left <= 0 ? 0 : poll(&wait, 1, (int)(changed && left > QUIET_MS ? QUIET_MS : left));
    if (r < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait");
    }
    if (r == 0) {
      return changed ? 1 : 0;
    }
    r = take(fd, table, buffer, err);
    if (r < 0 || r == OURS) {
      return r;
    }
    if (r == GUEST && !changed) {
      changed = true;
      end = clock_ms() + BURST_MS;
    }
  }
}

int verb_watch_firewall(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  const char *table = NULL;
  long long seconds = 0;
  int group = NFNLGRP_NFTABLES;
  int r = json_need_string(request, "table", &table, err);
  r = r < 0 ? r : json_need_long(request, "seconds", 0, 3600, &seconds, err);
  r = r < 0 ? r : nl_open(NETLINK_NETFILTER, &nl, err);
  if (r < 0) {
    return r;
  }
  /* Nobody would read the answer any more. */
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (setsockopt(nl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
    return err_errno(err, "cannot follow the firewall");
  }
  /* Asked for after joining, so that nothing happens unseen between the two. */
  r = is_lost(table, err);
  r = r == 0 ? wait_change(nl, table, seconds * 1000, err) : r;
  return r < 0 ? r : str_addf(out, "{\"changed\":%s}\n", r > 0 ? "true" : "false");
}
