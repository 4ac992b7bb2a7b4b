/* net/stacked: links that stand on another interface of the host (macvlan, ipvlan, VLAN sub-interfaces), and the dummy
 * that stands in for one. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/link.h"
#include "net/verbs.h"
#include "sys/netlink.h"

static const struct {
  const char *kind, *name;
  uint32_t value;
} modes[] = {
    {"macvlan", "private", MACVLAN_MODE_PRIVATE},
    {"macvlan", "vepa", MACVLAN_MODE_VEPA},
    {"macvlan", "bridge", MACVLAN_MODE_BRIDGE},
    {"macvlan", "passthru", MACVLAN_MODE_PASSTHRU},
    {"ipvlan", "l2", IPVLAN_MODE_L2},
    {"ipvlan", "l3", IPVLAN_MODE_L3},
    {"ipvlan", "l3s", IPVLAN_MODE_L3S},
};

static const struct {
  const char *name;
  uint16_t value;
} flags[] = {{"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}};

int link_parse_stacked(const char *kind, const char *mode, const char *flag, struct link_stacked *stacked,
                       struct err *err) {
  for (size_t i = 0; i < array_length(modes); i++) {
    if (str_equal(modes[i].kind, kind) && str_equal(modes[i].name, mode)) {
      stacked->kind = modes[i].kind;
      stacked->mode = modes[i].value;
    }
  }
  if (stacked->kind == NULL) {
    return err_set(err, EINVAL, "%s is no mode of %s", mode, kind);
  }
  for (size_t i = 0; i < array_length(flags); i++) {
    if (flag == NULL || str_equal(flags[i].name, flag)) {
      stacked->flag = flags[i].value;
      return 0;
    }
  }
  return err_set(err, EINVAL, "%s is no flag of %s", flag, kind);
}

/* EOPNOTSUPP: the kernel has no such kind and could not load it. */
static int explain(int r, const char *kind, struct err *err) {
  return r == -EOPNOTSUPP ? err_set(err, EOPNOTSUPP, "this kernel has no %s (module %s)", kind,
                                    str_equal(kind, "vlan") ? "8021q" : kind)
                          : r;
}

int link_add_stacked(int nl, const struct link_stacked *stacked, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {0};
  bool is_ipvlan = str_equal(stacked->kind, "ipvlan");
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, stacked->interface);
  nl_put_u32(&batch, IFLA_LINK, (uint32_t)stacked->parent);
  nl_put_u32(&batch, IFLA_NET_NS_FD, (uint32_t)stacked->netns);
  if (stacked->has_mac) {
    nl_put(&batch, IFLA_ADDRESS, stacked->mac, sizeof(stacked->mac));
  }
  if (stacked->mtu != 0) {
    nl_put_u32(&batch, IFLA_MTU, stacked->mtu);
  }
  size_t info = nl_nest(&batch, IFLA_LINKINFO);
  nl_put_text(&batch, IFLA_INFO_KIND, stacked->kind);
  size_t data = nl_nest(&batch, IFLA_INFO_DATA);
  if (is_ipvlan) {
    uint16_t mode = (uint16_t)stacked->mode;
    nl_put(&batch, IFLA_IPVLAN_MODE, &mode, sizeof(mode));
    nl_put(&batch, IFLA_IPVLAN_FLAGS, &stacked->flag, sizeof(stacked->flag));
  } else {
    nl_put_u32(&batch, IFLA_MACVLAN_MODE, stacked->mode);
  }
  nl_nest_end(&batch, data);
  nl_nest_end(&batch, info);
  int r = explain(nl_talk(nl, &batch, err), stacked->kind, err);
  if (r == -EBUSY || r == -EINVAL) {
    return err_prefix(err, "cannot put %s %s on its parent, which may carry links of another kind, mode or network",
                      stacked->kind, stacked->interface);
  }
  return r < 0 ? err_prefix(err, "cannot create %s %s", stacked->kind, stacked->interface) : 0;
}

/* A parent that is missing: a VLAN of another interface, or a dummy. */
static int make_parent(int nl, const char *name, int base, long long vlan, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {0};
  const char *kind = base == 0 ? "dummy" : "vlan";
  nl_begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
  nl_put_text(&batch, IFLA_IFNAME, name);
  if (base != 0) {
    nl_put_u32(&batch, IFLA_LINK, (uint32_t)base);
  }
  size_t info = nl_nest(&batch, IFLA_LINKINFO);
  nl_put_text(&batch, IFLA_INFO_KIND, kind);
  if (base != 0) {
    uint16_t id = (uint16_t)vlan;
    size_t data = nl_nest(&batch, IFLA_INFO_DATA);
    nl_put(&batch, IFLA_VLAN_ID, &id, sizeof(id));
    nl_nest_end(&batch, data);
  }
  nl_nest_end(&batch, info);
  int r = explain(nl_talk(nl, &batch, err), kind, err);
  struct link_info made;
  r = r < 0 ? r : link_mark(nl, name, err);
  r = r < 0 ? r : link_find(nl, name, &made, err);
  r = r < 0 ? r : sysctl_write_ipv6(name, "disable_ipv6", "1", err);
  return r < 0 ? r : link_set_up(nl, made.index, err);
}

int verb_parent_add(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  const char *name = NULL, *base_name = NULL;
  long long vlan = 0;
  struct link_info info, base = {0};
  int r = json_need_string(request, "name", &name, err);
  r = r < 0 ? r : json_string_at(request, "base", &base_name, err);
  r = r < 0 || base_name == NULL ? r : json_need_long(request, "vlan", 1, 4094, &vlan, err);
  r = r < 0 ? r : nl_open(NETLINK_ROUTE, &nl, err);
  r = r < 0 ? r : link_find(nl, name, &info, err);
  if (r < 0) {
    return r;
  }
  if (info.index != 0) {
    return str_add(out, "{\"created\":false}\n");
  }
  r = base_name == NULL ? 0 : link_find(nl, base_name, &base, err);
  if (r >= 0 && base_name != NULL && base.index == 0) {
    return err_set(err, ENODEV, "there is no interface %s for VLAN %s", base_name, name);
  }
  r = r < 0 ? r : make_parent(nl, name, base.index, vlan, err);
  if (r == -EEXIST) {
    return err_set(err, EBUSY, "cannot create %s: VLAN %lld of %s has another name already", name, vlan,
                   base_name == NULL ? "" : base_name);
  }
  return r < 0 ? err_prefix(err, "cannot create %s", name) : str_add(out, "{\"created\":true}\n");
}
