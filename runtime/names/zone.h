/* names/zone: names and their addresses, both ways. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

struct zone_host {
  char *name; /* lower case, no dot at the end */
  struct in_addr *addresses;
  size_t count;
  struct in6_addr *addresses6;
  size_t count6;
  uint32_t next; /* hash chain: index + 1 */
};

struct zone {
  char *id;
  struct zone_host *hosts; /* in the order given: the first name of an address is its reverse name */
  size_t count;
  uint32_t *buckets; /* index + 1 */
  size_t bucket_count;
  struct zone *next;
};

/* `hosts` is an object: name → list of addresses of either family. */
int zone_new(const char *id, const struct json *hosts, struct zone **ret_zone, struct err *err);
void zone_free(struct zone *zone);
const struct zone_host *zone_find(const struct zone *zone, const char *name);
/* `family` AF_INET or AF_INET6, `address` the struct of it. */
const struct zone_host *zone_find_address(const struct zone *zone, int family, const void *address);
