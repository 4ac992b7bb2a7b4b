#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "net/dump.h"
#include "net/link.h"
#include "net/verbs.h"
#include "sys/netlink.h"

/* Bridges of a large instance, which its own daemon need not ask about. */
#define WITHOUT_MAX 4096

struct listing {
  struct str *out;
  const unsigned *without; /* indexes, `without_count` of them */
  size_t without_count;
  size_t count;
  int family;
  size_t size; /* of an address */
};

static void separate(struct listing *listing) {
  if (listing->count++ > 0) {
    (void)str_add(listing->out, ",");
  }
}

static void add_interface(struct str *out, unsigned index) {
  char name[IF_NAMESIZE] = "";
  (void)if_indextoname(index, name);
  (void)json_add_quoted(out, name);
}

static bool is_without(const struct listing *listing, unsigned index) {
  for (size_t i = 0; i < listing->without_count; i++) {
    if (listing->without[i] == index) {
      return true;
    }
  }
  return false;
}

static int each_link(const struct nlmsghdr *message, void *context) {
  struct listing *listing = context;
  const struct ifinfomsg *fixed = NLMSG_DATA(message);
  const struct nlattr *name = nl_find(message, sizeof(*fixed), IFLA_IFNAME);
  if (message->nlmsg_type != RTM_NEWLINK || name == NULL || is_without(listing, (unsigned)fixed->ifi_index)) {
    return 0;
  }
  const struct nlattr *alias = nl_find(message, sizeof(*fixed), IFLA_IFALIAS);
  const struct nlattr *info = nl_find(message, sizeof(*fixed), IFLA_LINKINFO);
  const struct nlattr *kind = info == NULL ? NULL : nl_find_in(info, IFLA_INFO_KIND);
  bool bridge = kind != NULL && strncmp(nl_data(kind), "bridge", nl_size(kind)) == 0;
  bool ours =
      alias != NULL && nl_size(alias) == sizeof(LINK_MARK) && memcmp(nl_data(alias), LINK_MARK, sizeof(LINK_MARK)) == 0;
  separate(listing);
  (void)str_add(listing->out, "{\"name\":");
  (void)json_add_quoted(listing->out, nl_data(name));
  return str_addf(listing->out, ",\"index\":%d,\"up\":%s,\"bridge\":%s,\"ours\":%s}", fixed->ifi_index,
                  (fixed->ifi_flags & IFF_UP) != 0 ? "true" : "false", bridge ? "true" : "false",
                  ours ? "true" : "false");
}

static int each_address(const struct nlmsghdr *message, void *context) {
  struct listing *listing = context;
  const struct ifaddrmsg *fixed = NLMSG_DATA(message);
  const struct nlattr *local = nl_find(message, sizeof(*fixed), IFA_LOCAL);
  /* Point to point links have both; IPv6 addresses are mostly without a local one. */
  const struct nlattr *address = local != NULL ? local : nl_find(message, sizeof(*fixed), IFA_ADDRESS);
  if (message->nlmsg_type != RTM_NEWADDR || fixed->ifa_family != listing->family || address == NULL ||
      nl_size(address) != listing->size || is_without(listing, fixed->ifa_index)) {
    return 0;
  }
  char text[INET6_ADDRSTRLEN];
  inet_ntop(listing->family, nl_data(address), text, sizeof(text));
  separate(listing);
  (void)str_add(listing->out, "{\"interface\":");
  add_interface(listing->out, fixed->ifa_index);
  return str_addf(listing->out, ",\"address\":\"%s/%u\"}", text, fixed->ifa_prefixlen);
}

static int each_route(const struct nlmsghdr *message, void *context) {
  struct listing *listing = context;
  const struct rtmsg *fixed = NLMSG_DATA(message);
  if (message->nlmsg_type != RTM_NEWROUTE || fixed->rtm_family != listing->family ||
      fixed->rtm_table != RT_TABLE_MAIN || fixed->rtm_type != RTN_UNICAST) {
    return 0;
  }
  const struct nlattr *destination = nl_find(message, sizeof(*fixed), RTA_DST);
  const struct nlattr *gateway = nl_find(message, sizeof(*fixed), RTA_GATEWAY);
  const struct nlattr *device = nl_find(message, sizeof(*fixed), RTA_OIF);
  char text[INET6_ADDRSTRLEN] = "0.0.0.0", via[INET6_ADDRSTRLEN] = "";
  uint32_t index = 0;
  if (listing->family == AF_INET6) {
    memcpy(text, "::", 3);
  }
  if (destination != NULL && nl_size(destination) == listing->size) {
    inet_ntop(listing->family, nl_data(destination), text, sizeof(text));
  }
  if (gateway != NULL && nl_size(gateway) == listing->size) {
    inet_ntop(listing->family, nl_data(gateway), via, sizeof(via));
  }
  if (device != NULL && nl_size(device) == 4) {
    memcpy(&index, nl_data(device), 4);
  }
  if (is_without(listing, index)) {
    return 0;
  }
  separate(listing);
  (void)str_addf(listing->out, "{\"destination\":\"%s/%u\",\"gateway\":\"%s\",\"interface\":", text, fixed->rtm_dst_len,
                 via);
  add_interface(listing->out, index);
  return str_add(listing->out, "}");
}

/* One family, added to what is listed already. A kernel without IPv6 answers for every family: judged by each message.
 */
static int list_family(int nl, uint16_t type, struct listing *listing, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
  struct ifaddrmsg address = {.ifa_family = (uint8_t)listing->family};
  struct rtmsg route = {.rtm_family = (uint8_t)listing->family};
  switch (type) {
  case RTM_GETLINK:
    nl_begin(&batch, type, NLM_F_DUMP, &link, sizeof(link));
    break;
  case RTM_GETADDR:
    nl_begin(&batch, type, NLM_F_DUMP, &address, sizeof(address));
    break;
  default:
    nl_begin(&batch, type, NLM_F_DUMP, &route, sizeof(route));
  }
  return nl_query(nl, &batch,
                  type == RTM_GETLINK   ? each_link
                  : type == RTM_GETADDR ? each_address
                                        : each_route,
                  listing, err);
}

static int list(int nl, uint16_t type, const char *key, struct listing listing, struct err *err) {
  (void)str_addf(listing.out, "\"%s\":[", key);
  int r = list_family(nl, type, &listing, err);
  if (r >= 0 && type != RTM_GETLINK) {
    listing.family = AF_INET6;
    listing.size = 16;
    r = list_family(nl, type, &listing, err);
  }
  return r < 0 ? err_prefix(err, "cannot list %s", key) : str_add(listing.out, "]");
}

static int read_without(const struct json *request, unsigned *indexes, size_t *ret_count, struct err *err) {
  struct json names = {0}, item;
  size_t count = 0, known = 0;
  int r = json_array_at(request, "without", &names, &count, err);
  for (size_t i = 0; r >= 0 && i < count && known < WITHOUT_MAX; i++) {
    const char *name = NULL;
    (void)json_item(&names, i, &item);
    r = json_as_string(&item, &name, err);
    indexes[known] = r < 0 ? 0 : if_nametoindex(name);
    known += indexes[known] != 0;
  }
  *ret_count = known;
  return r < 0 ? r : 0;
}

int dump_network(int nl, const struct json *request, struct str *out, struct err *err) {
  unsigned without[WITHOUT_MAX];
  struct listing listing = {.out = out, .without = without, .family = AF_INET, .size = 4};
  bool links = true;
  int r = read_without(request, without, &listing.without_count, err);
  r = r < 0 ? r : json_bool_at(request, "links", &links, err);
  (void)str_add(out, "{");
  if (r >= 0 && links) {
    r = list(nl, RTM_GETLINK, "links", listing, err);
    (void)str_add(out, ",");
  }
  r = r < 0 ? r : list(nl, RTM_GETADDR, "addresses", listing, err);
  (void)str_add(out, ",");
  r = r < 0 ? r : list(nl, RTM_GETROUTE, "routes", listing, err);
  return r < 0 ? r : str_add(out, "}\n");
}

int verb_dump(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  int r = nl_open(NETLINK_ROUTE, &nl, err);
  return r < 0 ? r : dump_network(nl, request, out, err);
}
