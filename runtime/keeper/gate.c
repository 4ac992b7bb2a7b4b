/*
 * The name server's wishes for the firewall. It faces hostile packets, so little is taken from it: a sandbox must be
 * limited, the sets are those its configuration names, and no address leads back to the host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/state.h"
#include "names/names.h"
#include "sys/nft_set.h"

#define SET_NAME_MAX 64
#define NUMBERS_MAX 256

/* An allowed name that leads to loopback, the link, nobody or everybody is a trick, or a mistake. */
static bool may_open(int family, const void *address) {
  if (family == AF_INET) {
    uint32_t host = ntohl(*(const uint32_t *)address);
    return host >> 24 != 0 && host >> 24 != 127 && host >> 16 != 0xa9fe && host >> 28 < 14;
  }
  const struct in6_addr *six = address;
  return !IN6_IS_ADDR_UNSPECIFIED(six) && !IN6_IS_ADDR_LOOPBACK(six) && !IN6_IS_ADDR_LINKLOCAL(six) &&
         !IN6_IS_ADDR_MULTICAST(six) && !IN6_IS_ADDR_V4MAPPED(six);
}

struct opening {
  struct nft_batch *batch;
  const char *table;
  const char *prefix; /* of the sandbox's sets */
  uint64_t milliseconds;
  size_t count;
};

/* Port 0: every port and protocol. The sets are named by the daemon's firewall in the same way. */
static void open_one(struct opening *opening, int family, const void *address, uint16_t port) {
  char name[SET_NAME_MAX];
  uint8_t key[sizeof(struct in6_addr) + 4] = {0};
  size_t size = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
  snprintf(name, sizeof(name), "%s_%s%d", opening->prefix, port == 0 ? "any" : "port", family == AF_INET ? 4 : 6);
  struct nft_set set = {.table = opening->table, .set = name};
  memcpy(key, address, size);
  if (port != 0) {
    uint16_t wire = htons(port);
    memcpy(key + size, &wire, sizeof(wire));
  }
  nft_batch_add(opening->batch, &set, key, port == 0 ? size : size + 4, opening->milliseconds);
  opening->count++;
}

static int open_address(struct opening *opening, const char *text, const struct json *ports, size_t port_count,
                        struct err *err) {
  struct in6_addr address;
  struct json item;
  int family = inet_pton(AF_INET, text, &address) == 1 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && inet_pton(AF_INET6, text, &address) != 1) {
    return err_set(err, EINVAL, "'%s' is not an address", text);
  }
  if (!may_open(family, &address)) {
    return 0;
  }
  for (size_t i = 0; i < port_count; i++) {
    long long port = 0;
    (void)json_item(ports, i, &item);
    int r = json_as_long(&item, 0, 65535, &port, err);
    if (r < 0) {
      return r;
    }
    open_one(opening, family, &address, (uint16_t)port);
  }
  return 0;
}

static int admit(const struct sandbox *sandbox, const struct json *message, struct err *err) {
  cleanup_nft_batch struct nft_batch *batch = NULL;
  struct json config = {.value = sandbox->names}, addresses = {0}, ports = {0}, item;
  struct opening opening = {0};
  size_t address_count = 0, port_count = 0;
  long long seconds = 0;
  bool limited = false;
  int r = json_bool_at(&config, "limited", &limited, err);
  if (r >= 0 && !limited) {
    return err_set(err, EPERM, "sandbox %s is not limited", sandbox->name);
  }
  r = r < 0 ? r : json_need_string(&config, "gate_table", &opening.table, err);
  r = r < 0 ? r : json_need_string(&config, "gate_sets", &opening.prefix, err);
  r = r < 0 ? r : json_array_at(message, "addresses", &addresses, &address_count, err);
  r = r < 0 ? r : json_array_at(message, "ports", &ports, &port_count, err);
  r = r < 0 ? r : json_need_long(message, "seconds", 1, 86400, &seconds, err);
  if (r >= 0 && address_count * port_count > NUMBERS_MAX * 16) {
    r = err_set(err, E2BIG, "too many addresses at once");
  }
  r = r < 0 ? r : nft_batch_new(&batch, err);
  opening.batch = batch;
  opening.milliseconds = (uint64_t)seconds * 1000;
  for (size_t i = 0; r >= 0 && i < address_count; i++) {
    const char *text = NULL;
    (void)json_item(&addresses, i, &item);
    r = json_as_string(&item, &text, err);
    r = r < 0 ? r : open_address(&opening, text, &ports, port_count, err);
  }
  return r < 0 || opening.count == 0 ? r : nft_batch_commit(batch, err);
}

/* The daemon makes an event of it; one that is away misses it. */
static void pass_on(struct keeper *keeper, const char *sandbox, const char *name) {
  cleanup_str struct str line = STR_INIT;
  if (str_add(&line, "{\"event\":\"refused\",\"sandbox\":") < 0 || json_add_quoted(&line, sandbox) < 0 ||
      str_add(&line, ",\"name\":") < 0 || json_add_quoted(&line, name) < 0 || str_add(&line, "}") < 0) {
    return;
  }
  control_send(keeper, &line);
}

static int take_message(struct keeper *keeper, const char *text, size_t size, struct err *err) {
  cleanup_json struct json message = {0};
  const char *op = NULL, *name = NULL, *host = NULL;
  int r = json_parse(text, size, &message, err);
  r = r < 0 ? r : json_need_string(&message, "op", &op, err);
  r = r < 0 ? r : json_need_string(&message, "sandbox", &name, err);
  struct sandbox *sandbox = r < 0 ? NULL : sandbox_find(keeper, name);
  if (r < 0 || sandbox == NULL || sandbox->names == NULL) {
    return r < 0 ? r : err_set(err, ENOENT, "no sandbox %s", name);
  }
  if (strcmp(op, "refused") == 0) {
    r = json_need_string(&message, "name", &host, err);
    if (r >= 0) {
      pass_on(keeper, name, host);
    }
    return r < 0 ? r : 1;
  }
  return admit(sandbox, &message, err);
}

void gate_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct keeper *keeper = watch->owner;
  struct err err = ERR_INIT;
  char text[NAMES_GATE_MESSAGE_MAX];
  ssize_t n = recv(watch->fd, text, sizeof(text), MSG_DONTWAIT);
  if (n <= 0) {
    if (n == 0) {
      loop_drop(&keeper->loop, watch); /* its process has ended; the next brings another */
    }
    return;
  }
  int r = take_message(keeper, text, (size_t)n, &err);
  if (r < 0) {
    log_error("gate: %s", err.text);
  }
  if (r <= 0) {
    char word = r == 0 ? NAMES_GATE_OPEN : NAMES_GATE_SHUT;
    (void)send(watch->fd, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}
