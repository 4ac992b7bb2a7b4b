/* net/link: interfaces, addresses and routes as single requests. `nl` is a NETLINK_ROUTE socket of the namespace meant.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct link_info {
  int index; /* 0: there is no such interface */
  bool is_bridge;
  bool is_ours; /* carries LINK_MARK */
  bool is_up;
};

/* Alias of bridges we made; without it a bridge is somebody else's and is never removed. */
#define LINK_MARK "tscompose"

/* "172.20.0.2/24" or "fd00::2/64" taken apart; `bytes` in network order, 4 or 16 of them. */
struct link_address {
  int family;
  uint8_t bytes[16];
  uint8_t prefix;
};

/* Without prefix length; that of a host is set. */
int link_parse_host(const char *text, struct link_address *ret_address, struct err *err);
int link_parse_address(const char *text, struct link_address *ret_address, struct err *err);
int link_parse_mac(const char *text, uint8_t ret_mac[6], struct err *err);
/* A name the kernel takes and that cannot leave its directory in /proc/sys. */
int link_check_name(const char *name, struct err *err);

int link_find(int nl, const char *name, struct link_info *ret_info, struct err *err);
int link_set_up(int nl, int index, struct err *err);
/* A bridge port; frames may leave by the port they came in on: where bridge netfilter is on (Docker turns it on), a
   container that asks for its own published port is answered on the way through the bridge. An `isolated` one
   exchanges frames with the bridge alone, not with other isolated ports. */
int link_set_port_up(int nl, int index, bool isolated, struct err *err);
/* Frames to the address leave by this port of its bridge alone, whoever else sends under it: a sandbox that comes back
   has the address of its former self, whose link the kernel may keep for a while. */
int link_hold_mac(int nl, int index, const uint8_t mac[6], struct err *err);
/* An address that is already there is fine. IPv6 ones are usable at once: they come from a pool that gives each once.
 */
int link_add_address(int nl, int index, const struct link_address *address, struct err *err);
/* One that is not there is fine. */
int link_remove_address(int nl, int index, const struct link_address *address, struct err *err);
int link_remove(int nl, int index, struct err *err);
/* `destination` NULL: the default route; `via` NULL: on the link (one of the two says the family). A route that is
   already there is replaced. */
int link_add_route(int nl, const struct link_address *destination, const struct link_address *via, int index,
                   struct err *err);

/* Marks an interface as ours; the kernel refuses the alias at creation. */
int link_mark(int nl, const char *name, struct err *err);
int link_add_bridge(int nl, const char *name, const uint8_t *mac, unsigned mtu, struct err *err);

struct link_veth {
  const char *host_interface;
  const char *interface;
  int master; /* index of the bridge */
  int peer_netns;
  uint8_t mac[6];
  unsigned mtu; /* 0: the kernel's default */
};

/* Both ends down; the peer is born inside its namespace. */
int link_add_veth(int nl, const struct link_veth *veth, struct err *err);

/* An interface on top of another one of the host, born inside its namespace. */
struct link_stacked {
  const char *kind; /* macvlan or ipvlan */
  uint32_t mode;
  uint16_t flag;
  const char *interface;
  int parent; /* index */
  int netns;
  bool has_mac; /* else the kernel's choice, or the parent's */
  uint8_t mac[6];
  unsigned mtu; /* 0: the parent's */
};

/* Words to kind, mode and flag (NULL: bridge). */
int link_parse_stacked(const char *kind, const char *mode, const char *flag, struct link_stacked *stacked,
                       struct err *err);
int link_add_stacked(int nl, const struct link_stacked *stacked, struct err *err);

/* Removes several at once: the kernel waits for its readers once instead of once each. */
int link_remove_batch(int nl, const int *indexes, size_t count, struct err *err);

/* Reads net.… (as below), without its line end; -ENOENT when this kernel, or interface, is without it. */
int sysctl_read(const char *name, char *value, size_t capacity, struct err *err);
/* Writes net.… (dots or slashes) in the network namespace of the calling process. Missing files are fine when
 * `optional`. */
int sysctl_write(const char *name, const char *value, bool optional, struct err *err);
/* The same below net/ipv6/conf/INTERFACE; a kernel without IPv6 is fine. */
int sysctl_write_ipv6(const char *interface, const char *key, const char *value, struct err *err);
