/* Tracked connections outlive the rules that made them: a UDP peer that keeps sending would go to a dead container for
 * ever (N12). */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>

#include "net/link.h"
#include "net/verbs.h"
#include "sys/netlink.h"

#define WANTED_MAX 4096

struct wanted {
  struct link_address *addresses;
  size_t address_count;
  uint16_t *ports; /* network byte order */
  size_t port_count;
  int delete_nl; /* a second socket: the first is in the middle of its dump */
  struct nl_batch deletes;
  size_t found;
};

#define DELETE_CHUNK ((size_t)16 << 10)

/* Refusals are not looked for one by one: a connection that ended by itself meanwhile is as good. */
static int send_deletes(struct wanted *wanted) {
  if (wanted->deletes.size == 0 || wanted->deletes.failed != 0) {
    return -wanted->deletes.failed;
  }
  struct nlmsghdr *last = (struct nlmsghdr *)(void *)(wanted->deletes.data + wanted->deletes.message);
  last->nlmsg_flags |= NLM_F_ACK;
  int r = nl_talk(wanted->delete_nl, &wanted->deletes, NULL);
  nl_reset(&wanted->deletes);
  return r == -ENOENT ? 0 : r;
}

static void wanted_free(struct wanted *wanted) {
  free(wanted->addresses);
  free(wanted->ports);
  if (wanted->delete_nl >= 0) {
    close(wanted->delete_nl);
  }
  nl_batch_free(&wanted->deletes);
}

static bool has_address(const struct wanted *wanted, const struct nlattr *tuple) {
  const struct nlattr *ip = tuple == NULL ? NULL : nl_find_in(tuple, CTA_TUPLE_IP);
  static const uint16_t types[] = {CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST};
  for (size_t e = 0; ip != NULL && e < array_length(types); e++) {
    const struct nlattr *end = nl_find_in(ip, types[e]);
    size_t size = end == NULL ? 0 : nl_size(end);
    for (size_t i = 0; size > 0 && i < wanted->address_count; i++) {
      const struct link_address *address = &wanted->addresses[i];
      if (size == (address->family == AF_INET6 ? 16 : 4) && memcmp(nl_data(end), address->bytes, size) == 0) {
        return true;
      }
    }
  }
  return false;
}

static bool has_udp_port(const struct wanted *wanted, const struct nlattr *tuple) {
  const struct nlattr *proto = tuple == NULL ? NULL : nl_find_in(tuple, CTA_TUPLE_PROTO);
  const struct nlattr *number = proto == NULL ? NULL : nl_find_in(proto, CTA_PROTO_NUM);
  const struct nlattr *port = proto == NULL ? NULL : nl_find_in(proto, CTA_PROTO_DST_PORT);
  if (number == NULL || port == NULL || nl_size(port) != 2 || *(const uint8_t *)nl_data(number) != IPPROTO_UDP) {
    return false;
  }
  for (size_t i = 0; i < wanted->port_count; i++) {
    if (memcmp(nl_data(port), &wanted->ports[i], 2) == 0) {
      return true;
    }
  }
  return false;
}

static int each_flow(const struct nlmsghdr *message, void *context) {
  struct wanted *wanted = context;
  const struct nfgenmsg *got = NLMSG_DATA(message);
  struct nfgenmsg fixed = {.nfgen_family = got->nfgen_family, .version = NFNETLINK_V0};
  const struct nlattr *original = nl_find(message, sizeof(fixed), CTA_TUPLE_ORIG);
  const struct nlattr *reply = nl_find(message, sizeof(fixed), CTA_TUPLE_REPLY);
  const struct nlattr *id = nl_find(message, sizeof(fixed), CTA_ID);
  if (original == NULL || id == NULL ||
      !(has_address(wanted, original) || has_address(wanted, reply) || has_udp_port(wanted, original))) {
    return 0;
  }
  nl_begin(&wanted->deletes, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE, 0, &fixed, sizeof(fixed));
  nl_put(&wanted->deletes, CTA_TUPLE_ORIG | NLA_F_NESTED, nl_data(original), nl_size(original));
  nl_put(&wanted->deletes, CTA_ID, nl_data(id), nl_size(id));
  wanted->found++;
  return wanted->deletes.size > DELETE_CHUNK ? send_deletes(wanted) : 0;
}

static int read_wanted(const struct json *request, struct wanted *wanted, struct err *err) {
  struct json addresses = {0}, ports = {0}, item;
  int r = json_array_at(request, "addresses", &addresses, &wanted->address_count, err);
  r = r < 0 ? r : json_array_at(request, "udp_ports", &ports, &wanted->port_count, err);
  if (r >= 0 && (wanted->address_count > WANTED_MAX || wanted->port_count > WANTED_MAX)) {
    r = err_set(err, E2BIG, "at most %d addresses and ports at once", WANTED_MAX);
  }
  if (r < 0) {
    return r;
  }
  wanted->addresses = calloc(wanted->address_count + 1, sizeof(struct link_address));
  wanted->ports = calloc(wanted->port_count + 1, sizeof(uint16_t));
  if (wanted->addresses == NULL || wanted->ports == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < wanted->address_count && r >= 0; i++) {
    const char *text = NULL;
    (void)json_item(&addresses, i, &item);
    r = json_as_string(&item, &text, err);
    r = r < 0 ? r : link_parse_host(text, &wanted->addresses[i], err);
  }
  for (size_t i = 0; i < wanted->port_count && r >= 0; i++) {
    long long port = 0;
    (void)json_item(&ports, i, &item);
    r = json_as_long(&item, 1, 65535, &port, err);
    wanted->ports[i] = htons((uint16_t)port);
  }
  return r < 0 ? r : 0;
}

int verb_flush_flows(const struct json *request, struct str *out, struct err *err) {
  struct wanted wanted __attribute__((cleanup(wanted_free))) = {.delete_nl = -1, .deletes = NL_BATCH_INIT};
  cleanup_nl_batch struct nl_batch query = NL_BATCH_INIT;
  cleanup_close int nl = -1;
  struct nfgenmsg fixed = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
  int r = read_wanted(request, &wanted, err);
  r = r < 0 ? r : nl_open(NETLINK_NETFILTER, &nl, err);
  r = r < 0 ? r : nl_open(NETLINK_NETFILTER, &wanted.delete_nl, err);
  if (r < 0) {
    return r;
  }
  nl_begin(&query, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &fixed, sizeof(fixed));
  r = nl_query(nl, &query, each_flow, &wanted, err);
  if (r < 0) {
    return err_prefix(err, "cannot list tracked connections");
  }
  r = send_deletes(&wanted);
  if (r < 0) {
    return err_code(err, r, "cannot forget tracked connections");
  }
  return str_addf(out, "{\"flushed\":%zu}\n", wanted.found);
}
