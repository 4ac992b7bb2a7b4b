#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "net/bridge.h"
#include "net/dump.h"
#include "net/link.h"
#include "net/verbs.h"
#include "sys/netlink.h"

#define REMOVE_MAX 4096

/* N08: a router advertisement of a container must not reach the host, and link-local addresses are only where IPv6 was
   asked for. */
static int set_ipv6(const char *name, bool ipv6, struct err *err) {
  int r = sysctl_write_ipv6(name, "accept_ra", "0", err);
  r = r < 0 ? r : sysctl_write_ipv6(name, "accept_dad", "0", err);
  return r < 0 ? r : sysctl_write_ipv6(name, "disable_ipv6", ipv6 ? "0" : "1", err);
}

#define ADDRESSES_MAX 16

/* With an IPv6 address among them the bridge speaks IPv6. */
static int add_addresses(int nl, const char *name, int index, const struct json *request, struct err *err) {
  struct link_address each[ADDRESSES_MAX];
  struct json addresses = {0};
  size_t count = 0;
  bool ipv6 = false;
  int r = json_array_at(request, "addresses", &addresses, &count, err);
  if (r >= 0 && count > ADDRESSES_MAX) {
    return err_set(err, E2BIG, "%zu addresses, at most %d are possible", count, ADDRESSES_MAX);
  }
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    const char *text = NULL;
    (void)json_item(&addresses, i, &item);
    r = json_as_string(&item, &text, err);
    r = r < 0 ? r : link_parse_address(text, &each[i], err);
    ipv6 = ipv6 || (r >= 0 && each[i].family == AF_INET6);
  }
  r = r < 0 ? r : set_ipv6(name, ipv6, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    r = link_add_address(nl, index, &each[i], err);
  }
  return r < 0 ? r : 0;
}

static int create(int nl, const struct json *request, const char *name, bool *ret_created, struct err *err) {
  const char *mac_text = NULL;
  uint8_t mac[6];
  long long mtu = 0;
  int r = json_string_at(request, "mac", &mac_text, err);
  r = r < 0 ? r : json_long_at(request, "mtu", 0, 65535, &mtu, err);
  r = r < 0 || mac_text == NULL ? r : link_parse_mac(mac_text, mac, err);
  r = r < 0 ? r : link_add_bridge(nl, name, mac_text == NULL ? NULL : mac, (unsigned)mtu, err);
  /* Somebody made it at the same moment: judged by what it is then. */
  *ret_created = r >= 0;
  return r == -EEXIST ? 0 : r;
}

/* Whether the namespace is as the caller last saw it: it chose the addresses by that. Else adds what is there now. */
static int check_expected(int nl, const struct json *request, bool *ret_changed, struct str *out, struct err *err) {
  cleanup_str struct str now = STR_INIT;
  struct json expected;
  const char *digest = NULL;
  struct sha256 hash;
  char text[65];
  int r = json_object_at(request, "expected", &expected, err);
  if (r < 0 || expected.value == NULL) {
    return r;
  }
  r = json_need_string(&expected, "digest", &digest, err);
  r = r < 0 ? r : dump_network(nl, &expected, &now, err);
  if (r < 0) {
    return r;
  }
  sha256_start(&hash);
  sha256_add(&hash, now.data, now.size);
  sha256_hex(&hash, text);
  if (str_equal(text, digest)) {
    return 0;
  }
  *ret_changed = true;
  return str_addf(out, "{\"created\":false,\"digest\":\"%s\",\"network\":%s}\n", text, now.data);
}

int verb_bridge_add(const struct json *request, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  const char *name = NULL;
  struct link_info info;
  bool created = false, changed = false;
  int r = json_need_string(request, "name", &name, err);
  r = r < 0 ? r : nl_open(NETLINK_ROUTE, &nl, err);
  r = r < 0 ? r : link_find(nl, name, &info, err);
  if (r >= 0 && (info.index == 0 || info.is_ours)) {
    r = check_expected(nl, request, &changed, out, err);
  }
  if (r < 0 || changed) {
    return r;
  }
  if (info.index == 0) {
    r = create(nl, request, name, &created, err);
    r = r < 0 ? r : link_find(nl, name, &info, err);
  }
  if (r < 0) {
    return r;
  }
  if (!info.is_bridge || !info.is_ours) {
    return err_set(err, EEXIST, "interface %s exists and is %s", name,
                   info.is_bridge ? "a bridge of somebody else" : "not a bridge");
  }
  r = add_addresses(nl, name, info.index, request, err);
  r = r < 0 ? r : link_set_up(nl, info.index, err);
  if (r < 0) {
    if (created) {
      (void)link_remove(nl, info.index, NULL);
    }
    return err_prefix(err, "bridge %s", name);
  }
  return str_addf(out, "{\"created\":%s}\n", created ? "true" : "false");
}

struct doomed {
  int *indexes;
  size_t count, capacity;
  size_t bridges; /* that many of them */
  const char *ends;
};

static int add_end(const struct nlmsghdr *message, void *context) {
  struct doomed *doomed = context;
  const struct ifinfomsg *fixed = NLMSG_DATA(message);
  const struct nlattr *name = nl_find(message, sizeof(*fixed), IFLA_IFNAME);
  const struct nlattr *master = nl_find(message, sizeof(*fixed), IFLA_MASTER);
  if (message->nlmsg_type != RTM_NEWLINK || name == NULL || master == NULL || nl_size(master) != sizeof(int) ||
      strncmp(nl_data(name), doomed->ends, strlen(doomed->ends)) != 0) {
    return 0;
  }
  for (size_t i = 0; i < doomed->bridges; i++) {
    if (memcmp(nl_data(master), &doomed->indexes[i], sizeof(int)) == 0) {
      if (doomed->count == doomed->capacity) {
        size_t capacity = doomed->capacity * 2 + 16;
        int *grown = realloc(doomed->indexes, capacity * sizeof(int));
        if (grown == NULL) {
          return -ENOMEM;
        }
        doomed->indexes = grown;
        doomed->capacity = capacity;
      }
      doomed->indexes[doomed->count++] = fixed->ifi_index;
      return 0;
    }
  }
  return 0;
}

/* The ends of sandboxes that are gone: one worker of the kernel takes the namespaces of the whole machine apart, and
   until it comes to theirs, which may last minutes, they would stay. They cost no wait of their own. */
static int add_ends(int nl, struct doomed *doomed, struct err *err) {
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  struct ifinfomsg fixed = {.ifi_family = AF_UNSPEC};
  nl_begin(&batch, RTM_GETLINK, NLM_F_DUMP, &fixed, sizeof(fixed));
  int r = nl_query(nl, &batch, add_end, doomed, err);
  return r < 0 ? err_prefix(err, "cannot list interfaces") : 0;
}

static void doomed_free(struct doomed *doomed) {
  free(doomed->indexes);
}

int bridge_remove_ends(int nl, int bridge, const char *ends, struct err *err) {
  struct doomed doomed __attribute__((cleanup(doomed_free))) = {
      .indexes = malloc(sizeof(int)), .count = 1, .capacity = 1, .bridges = 1, .ends = ends};
  if (doomed.indexes == NULL) {
    return err_oom(err);
  }
  doomed.indexes[0] = bridge;
  int r = add_ends(nl, &doomed, err);
  return r < 0 || doomed.count == 1 ? r : link_remove_batch(nl, doomed.indexes + 1, doomed.count - 1, err);
}

/* Bridges or others; marked as ours, or not looked at for that. */
static int remove_named(const struct json *request, bool bridges, bool marked, struct str *out, struct err *err) {
  cleanup_close int nl = -1;
  struct doomed doomed __attribute__((cleanup(doomed_free))) = {0};
  struct json names = {0};
  size_t count = 0;
  int r = json_array_at(request, "names", &names, &count, err);
  r = r < 0 ? r : json_string_at(request, "ends", &doomed.ends, err);
  r = r < 0 ? r : nl_open(NETLINK_ROUTE, &nl, err);
  if (r < 0) {
    return r;
  }
  if (count > REMOVE_MAX) {
    return err_set(err, E2BIG, "%zu names, at most %d are possible", count, REMOVE_MAX);
  }
  doomed.indexes = calloc(count + 1, sizeof(int));
  doomed.capacity = count + 1;
  if (doomed.indexes == NULL || str_add(out, "{\"removed\":[") < 0) {
    return err_oom(err);
  }
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    struct link_info info;
    const char *name = NULL;
    (void)json_item(&names, i, &item);
    r = json_as_string(&item, &name, err);
    r = r < 0 ? r : link_find(nl, name, &info, err);
    if (r >= 0 && info.index > 1 && info.is_bridge == bridges && (!marked || info.is_ours)) {
      r = str_add(out, doomed.count == 0 ? "" : ",") < 0 || json_add_quoted(out, name) < 0 ? err_oom(err) : 0;
      doomed.indexes[doomed.count++] = info.index;
    }
  }
  doomed.bridges = doomed.count;
  if (r >= 0 && bridges && doomed.bridges > 0 && doomed.ends != NULL) {
    r = add_ends(nl, &doomed, err);
  }
  r = r < 0 ? r : link_remove_batch(nl, doomed.indexes, doomed.count, err);
  return r < 0 ? r : str_add(out, "]}\n");
}

int verb_bridge_remove(const struct json *request, struct str *out, struct err *err) {
  return remove_named(request, true, true, out, err);
}

int verb_link_remove(const struct json *request, struct str *out, struct err *err) {
  return remove_named(request, false, false, out, err);
}

int verb_parent_remove(const struct json *request, struct str *out, struct err *err) {
  return remove_named(request, false, true, out, err);
}

int verb_sysctl(const struct json *request, struct str *out, struct err *err) {
  struct json value;
  size_t position = 0;
  const char *key, *text;
  int r = 0;
  while (r >= 0 && json_next(request, &position, &key, &value)) {
    r = json_as_string(&value, &text, err);
    r = r < 0 ? r : sysctl_write(key, text, false, err);
  }
  return r < 0 ? r : str_add(out, "{}\n");
}
