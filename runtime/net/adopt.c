#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "base/file.h"
#include "net/bridge.h"
#include "net/link.h"
#include "net/verbs.h"
#include "sys/netlink.h"

typedef int address_act(int nl, int index, const struct link_address *address, struct err *err);

static int each_address(int nl, int index, const struct json *request, address_act *act, struct err *err) {
  struct json addresses = {0};
  size_t count = 0;
  int r = json_array_at(request, "addresses", &addresses, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    struct link_address address;
    const char *text = NULL;
    (void)json_item(&addresses, i, &item);
    r = json_as_string(&item, &text, err);
    r = r < 0 ? r : link_parse_address(text, &address, err);
    r = r < 0 ? r : act(nl, index, &address, err);
  }
  return r < 0 ? r : 0;
}

static int find_named(const struct json *request, int *ret_nl, const char **ret_name, struct link_info *ret_info,
                      struct err *err) {
  int r = json_need_string(request, "name", ret_name, err);
  r = r < 0 ? r : nl_open(NETLINK_ROUTE, ret_nl, err);
  return r < 0 ? r : link_find(*ret_nl, *ret_name, ret_info, err);
}

int verb_bridge_adopt(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  const char *name = NULL;
  struct link_info info;
  int r = find_named(request, &nl, &name, &info, err);
  if (r >= 0 && !info.is_bridge) {
    return err_set(err, EEXIST, info.index == 0 ? "bridge %s is not there" : "interface %s is not a bridge", name);
  }
  r = r < 0 ? r : each_address(nl, info.index, request, link_add_address, err);
  r = r < 0 || info.is_up ? r : link_set_up(nl, info.index, err);
  return r < 0 ? err_prefix(err, "bridge %s", name) : str_add(out, "{}\n");
}

int verb_bridge_leave(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  const char *name = NULL, *ends = NULL;
  struct link_info info;
  int r = find_named(request, &nl, &name, &info, err);
  if (r >= 0 && !info.is_bridge) {
    return str_add(out, "{\"present\":false}\n");
  }
  r = r < 0 ? r : json_need_string(request, "ends", &ends, err);
  r = r < 0 ? r : bridge_remove_ends(nl, info.index, ends, err);
  r = r < 0 ? r : each_address(nl, info.index, request, link_remove_address, err);
  return r < 0 ? err_prefix(err, "bridge %s", name) : str_add(out, "{\"present\":true}\n");
}

int verb_sysctl_read(const struct json *request, struct str *out, struct err *err) {
  struct json names = {0};
  size_t count = 0, found = 0;
  int r = json_array_at(request, "names", &names, &count, err);
  r = r < 0 ? r : str_add(out, "{") < 0 ? err_oom(err) : 0;
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    const char *name = NULL;
    char value[64];
    (void)json_item(&names, i, &item);
    r = json_as_string(&item, &name, err);
    r = r < 0 ? r : sysctl_read(name, value, sizeof(value), err);
    if (r == -ENOENT) {
      r = 0;
    } else if (r >= 0 && (str_add(out, found++ == 0 ? "" : ",") < 0 || json_add_quoted(out, name) < 0 ||
                          str_add(out, ":") < 0 || json_add_quoted(out, value) < 0)) {
      return err_oom(err);
    }
  }
  return r < 0 ? r : str_add(out, "}\n");
}
