#include "net/link.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/str.h"
#include "sys/netlink.h"

static size_t address_size(int family) {
  return family == AF_INET6 ? 16 : 4;
}

int link_parse_host(const char *text, struct link_address *ret_address, struct err *err) {
  struct link_address parsed = {.family = strchr(text, ':') == NULL ? AF_INET : AF_INET6};
  if (inet_pton(parsed.family, text, parsed.bytes) != 1) {
    return err_set(err, EINVAL, "'%s' is not an IP address", text);
  }
  parsed.prefix = (uint8_t)(8 * address_size(parsed.family));
  *ret_address = parsed;
  return 0;
}

int link_parse_address(const char *text, struct link_address *ret_address, struct err *err) {
  const char *slash = strchr(text, '/');
  char address[INET6_ADDRSTRLEN];
  long long prefix = 0;
  struct link_address parsed;
  size_t length = slash == NULL ? 0 : (size_t)(slash - text);
  if (slash == NULL || length >= sizeof(address)) {
    return err_set(err, EINVAL, "'%s' is not an IP address with a prefix length", text);
  }
  memcpy(address, text, length);
  address[length] = '\0';
  int r = link_parse_host(address, &parsed, err);
  if (r < 0 || str_to_long(slash + 1, 0, parsed.prefix, &prefix) < 0) {
    return err_set(err, EINVAL, "'%s' is not an IP address with a prefix length", text);
  }
  parsed.prefix = (uint8_t)prefix;
  *ret_address = parsed;
  return 0;
}

int link_parse_mac(const char *text, uint8_t ret_mac[6], struct err *err) {
  unsigned b[6];
  char rest;
  if (strlen(text) != 17 ||
      sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 6) {
    return err_set(err, EINVAL, "'%s' is not a MAC address", text);
  }
  for (int i = 0; i < 6; i++) {
    ret_mac[i] = (uint8_t)b[i];
  }
  return 0;
}

int link_check_name(const char *name, struct err *err) {
  size_t length = strlen(name);
  bool fine = length > 0 && length < IFNAMSIZ && !str_equal(name, ".") && !str_equal(name, "..");
  for (size_t i = 0; i < length; i++) {
    fine = fine && name[i] > ' ' && name[i] < 127 && name[i] != '/' && name[i] != ':' && name[i] != '%';
  }
  return fine ? 0 : err_set(err, EINVAL, "'%s' is not an interface name", name);
}

static int read_link(const struct nlmsghdr *message, void *context) {
  struct link_info *info = context;
  const struct ifinfomsg *fixed = NLMSG_DATA(message);
  if (message->nlmsg_type != RTM_NEWLINK) {
    return 0;
  }
  info->index = fixed->ifi_index;
  info->is_up = (fixed->ifi_flags & IFF_UP) != 0;
  const struct nlattr *alias = nl_find(message, sizeof(*fixed), IFLA_IFALIAS);
  info->is_ours =
      alias != NULL && nl_size(alias) == sizeof(LINK_MARK) && memcmp(nl_data(alias), LINK_MARK, sizeof(LINK_MARK)) == 0;
  const struct nlattr *linkinfo = nl_find(message, sizeof(*fixed), IFLA_LINKINFO);
  const struct nlattr *kind = linkinfo == NULL ? NULL : nl_find_in(linkinfo, IFLA_INFO_KIND);
  info->is_bridge = kind != NULL && strncmp(nl_data(kind), "bridge", nl_size(kind)) == 0;
  return 0;
}

int link_find(int nl, const char *name, struct link_info *ret_info, struct err *err) {
  int r = link_check_name(name, err);
  if (r < 0) {
    return r;
  }
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {.ifi_family = AF_UNSPEC};
  struct link_info info = {0};
  nl_begin(&batch, RTM_GETLINK, NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, name);
  r = nl_query(nl, &batch, read_link, &info, err);
  if (r < 0 && r != -ENODEV) {
    return err_prefix(err, "cannot look up interface %s", name);
  }
  *ret_info = info;
  return 0;
}

int link_set_up(int nl, int index, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK, &fixed, sizeof(fixed));
  int r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot set interface %d up", index) : 0;
}

int link_set_port_up(int nl, int index, bool isolated, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK, &fixed, sizeof(fixed));
  size_t info = nl_nest(&batch, IFLA_LINKINFO);
  nl_put_text(&batch, IFLA_INFO_SLAVE_KIND, "bridge");
  size_t data = nl_nest(&batch, IFLA_INFO_SLAVE_DATA);
  nl_put_u8(&batch, IFLA_BRPORT_MODE, 1);
  nl_put_u8(&batch, IFLA_BRPORT_ISOLATED, isolated ? 1 : 0);
  nl_nest_end(&batch, data);
  nl_nest_end(&batch, info);
  int r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot set bridge port %d up", index) : 0;
}

int link_hold_mac(int nl, int index, const uint8_t mac[6], struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ndmsg fixed = {
      .ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER | NTF_STICKY};
  nl_begin(&batch, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &fixed, sizeof(fixed));
  nl_put(&batch, NDA_LLADDR, mac, 6);
  int r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot bind a hardware address to bridge port %d", index) : 0;
}

int link_add_address(int nl, int index, const struct link_address *address, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifaddrmsg fixed = {.ifa_family = (uint8_t)address->family,
                            .ifa_prefixlen = address->prefix,
                            .ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0,
                            .ifa_index = (unsigned)index};
  nl_begin(&batch, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
  nl_put(&batch, IFA_LOCAL, address->bytes, address_size(address->family));
  nl_put(&batch, IFA_ADDRESS, address->bytes, address_size(address->family));
  if (address->family == AF_INET && address->prefix < 31) {
    uint32_t broadcast;
    memcpy(&broadcast, address->bytes, sizeof(broadcast));
    broadcast |= ~(address->prefix == 0 ? 0 : htonl(0xffffffffU << (32 - address->prefix)));
    nl_put(&batch, IFA_BROADCAST, &broadcast, sizeof(broadcast));
  }
  int r = nl_talk(nl, &batch, err);
  if (r < 0 && r != -EEXIST) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(address->family, address->bytes, text, sizeof(text));
    return err_prefix(err, "cannot add address %s/%u", text, address->prefix);
  }
  return 0;
}

int link_remove_address(int nl, int index, const struct link_address *address, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifaddrmsg fixed = {
      .ifa_family = (uint8_t)address->family, .ifa_prefixlen = address->prefix, .ifa_index = (unsigned)index};
  nl_begin(&batch, RTM_DELADDR, NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put(&batch, IFA_LOCAL, address->bytes, address_size(address->family));
  int r = nl_talk(nl, &batch, err);
  if (r < 0 && r != -EADDRNOTAVAIL) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(address->family, address->bytes, text, sizeof(text));
    return err_prefix(err, "cannot remove address %s/%u", text, address->prefix);
  }
  return 0;
}

int link_remove(int nl, int index, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {.ifi_index = index};
  nl_begin(&batch, RTM_DELLINK, NLM_F_ACK, &fixed, sizeof(fixed));
  int r = nl_talk(nl, &batch, err);
  return r < 0 && r != -ENODEV ? err_prefix(err, "cannot remove interface %d", index) : 0;
}

int link_add_route(int nl, const struct link_address *destination, const struct link_address *via, int index,
                   struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  int family = via != NULL ? via->family : destination != NULL ? destination->family : AF_INET;
  struct rtmsg fixed = {.rtm_family = (uint8_t)family,
                        .rtm_table = RT_TABLE_MAIN,
                        .rtm_protocol = RTPROT_BOOT,
                        .rtm_scope = via == NULL ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                        .rtm_type = RTN_UNICAST,
                        .rtm_dst_len = destination == NULL ? 0 : destination->prefix};
  nl_begin(&batch, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &fixed, sizeof(fixed));
  if (destination != NULL) {
    nl_put(&batch, RTA_DST, destination->bytes, address_size(destination->family));
  }
  if (via != NULL) {
    nl_put(&batch, RTA_GATEWAY, via->bytes, address_size(via->family));
  }
  nl_put_u32(&batch, RTA_OIF, (uint32_t)index);
  int r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot add a route") : 0;
}

int link_mark(int nl, const char *name, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct link_info made;
  int r = link_find(nl, name, &made, err);
  if (r < 0) {
    return r;
  }
  struct ifinfomsg fixed = {.ifi_index = made.index};
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFALIAS, LINK_MARK);
  r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot mark interface %s", name) : 0;
}

int link_add_bridge(int nl, const char *name, const uint8_t *mac, unsigned mtu, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {0};
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, name);
  if (mtu != 0) {
    nl_put_u32(&batch, IFLA_MTU, mtu);
  }
  /* A fixed address: else the bridge takes the lowest of its ports' and changes it as they come and go. */
  if (mac != NULL) {
    nl_put(&batch, IFLA_ADDRESS, mac, 6);
  }
  size_t info = nl_nest(&batch, IFLA_LINKINFO);
  nl_put_text(&batch, IFLA_INFO_KIND, "bridge");
  nl_nest_end(&batch, info);
  int r = nl_talk(nl, &batch, err);
  if (r < 0) {
    return r == -EEXIST ? r : err_prefix(err, "cannot create bridge %s", name);
  }
  return link_mark(nl, name, err);
}

int link_add_veth(int nl, const struct link_veth *veth, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {0};
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, veth->host_interface);
  nl_put_u32(&batch, IFLA_MASTER, (uint32_t)veth->master);
  if (veth->mtu != 0) {
    nl_put_u32(&batch, IFLA_MTU, veth->mtu);
  }
  size_t info = nl_nest(&batch, IFLA_LINKINFO);
  nl_put_text(&batch, IFLA_INFO_KIND, "veth");
  size_t data = nl_nest(&batch, IFLA_INFO_DATA);
  size_t peer = nl_nest(&batch, VETH_INFO_PEER);
  nl_put_raw(&batch, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, veth->interface);
  nl_put(&batch, IFLA_ADDRESS, veth->mac, sizeof(veth->mac));
  if (veth->mtu != 0) {
    nl_put_u32(&batch, IFLA_MTU, veth->mtu);
  }
  nl_put_u32(&batch, IFLA_NET_NS_FD, (uint32_t)veth->peer_netns);
  nl_nest_end(&batch, peer);
  nl_nest_end(&batch, data);
  nl_nest_end(&batch, info);
  int r = nl_talk(nl, &batch, err);
  return r < 0 ? err_prefix(err, "cannot create veth %s for %s", veth->host_interface, veth->interface) : 0;
}

int link_remove_batch(int nl, const int *indexes, size_t count, struct err *err) {
  if (count < 2) {
    return count == 0 ? 0 : link_remove(nl, indexes[0], err);
  }
  /* All go into a device group of their own, then the group is deleted. Group 0 holds every other interface: never it.
   */
  uint32_t group = 0;
  if (getrandom(&group, sizeof(group), 0) != sizeof(group)) {
    return err_errno(err, "cannot get randomness");
  }
  group = (group >> 2) | 0x40000000U;
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  for (size_t i = 0; i < count; i++) {
    struct ifinfomsg one = {.ifi_index = indexes[i]};
    nl_reset(&batch);
    nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK, &one, sizeof(one));
    nl_put_u32(&batch, IFLA_GROUP, group);
    int r = nl_talk(nl, &batch, err);
    if (r < 0 && r != -ENODEV) {
      return err_prefix(err, "cannot group interface %d for removal", indexes[i]);
    }
  }
  struct ifinfomsg none = {0};
  nl_reset(&batch);
  nl_begin(&batch, RTM_DELLINK, NLM_F_ACK, &none, sizeof(none));
  nl_put_u32(&batch, IFLA_GROUP, group);
  int r = nl_talk(nl, &batch, err);
  return r < 0 && r != -ENODEV ? err_prefix(err, "cannot remove interfaces") : 0;
}

#define SYSCTL_PATH_MAX 256

static int sysctl_path(const char *name, char path[SYSCTL_PATH_MAX], struct err *err) {
  static const char root[] = "/proc/sys/";
  size_t length = strlen(name);
  if (length > 200 || strstr(name, "..") != NULL || (!str_starts(name, "net.") && !str_starts(name, "net/"))) {
    return err_set(err, EINVAL, "sysctl '%s' does not belong to a network namespace", name);
  }
  memcpy(path, root, sizeof(root));
  memcpy(path + sizeof(root) - 1, name, length + 1);
  /* Dots separate unless the name is written with slashes: then they belong to interface names. */
  for (char *at = path + sizeof(root) - 1; strchr(name, '/') == NULL && *at != '\0'; at++) {
    if (*at == '.') {
      *at = '/';
    }
  }
  return 0;
}

int sysctl_read(const char *name, char *value, size_t capacity, struct err *err) {
  char path[SYSCTL_PATH_MAX];
  int r = sysctl_path(name, path, err);
  r = r < 0 ? r : file_read_line(-1, path, value, capacity, err);
  return r < 0 ? err_prefix(err, "sysctl %s", name) : 0;
}

int sysctl_write(const char *name, const char *value, bool optional, struct err *err) {
  char path[SYSCTL_PATH_MAX];
  int r = sysctl_path(name, path, err);
  if (r < 0) {
    return r;
  }
  r = file_write_existing(-1, path, value, err);
  if (r < 0 && optional && (r == -ENOENT || r == -ENOTDIR)) {
    return 0;
  }
  return r < 0 ? err_prefix(err, "sysctl %s", name) : 0;
}

int sysctl_write_ipv6(const char *interface, const char *key, const char *value, struct err *err) {
  char name[128];
  snprintf(name, sizeof(name), "net/ipv6/conf/%s/%s", interface, key);
  return sysctl_write(name, value, true, err);
}
