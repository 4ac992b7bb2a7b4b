#include "names/zone.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "names/wire.h"

#define ZONE_HOSTS_MAX ((size_t)1 << 16)

static uint32_t hash(const char *text) {
  uint32_t h = 2166136261U;
  for (; *text != '\0'; text++) {
    h = (h ^ (uint8_t)*text) * 16777619U;
  }
  return h;
}

void zone_free(struct zone *zone) {
  if (zone == NULL) {
    return;
  }
  for (size_t i = 0; i < zone->count; i++) {
    free(zone->hosts[i].name);
    free(zone->hosts[i].addresses);
    free(zone->hosts[i].addresses6);
  }
  free(zone->hosts);
  free(zone->buckets);
  free(zone->id);
  free(zone);
}

static void zone_free_at(struct zone **zone) {
  zone_free(*zone);
}

static int add_address(struct zone_host *host, const char *text, struct err *err) {
  bool six = strchr(text, ':') != NULL;
  size_t count = six ? host->count6 : host->count;
  /* Grown to the next power of two. */
  if ((count & (count - 1)) == 0) {
    size_t capacity = count == 0 ? 1 : count * 2;
    void *old = six ? (void *)host->addresses6 : (void *)host->addresses;
    void *grown = reallocarray(old, capacity, six ? sizeof(*host->addresses6) : sizeof(*host->addresses));
    if (grown == NULL) {
      return err_oom(err);
    }
    *(six ? (void **)&host->addresses6 : (void **)&host->addresses) = grown;
  }
  void *place = six ? (void *)&host->addresses6[count] : (void *)&host->addresses[count];
  if (inet_pton(six ? AF_INET6 : AF_INET, text, place) != 1) {
    return err_set(err, EINVAL, "%s: '%s' is not an IP address", host->name, text);
  }
  *(six ? &host->count6 : &host->count) += 1;
  return 0;
}

static int read_host(const char *name, const struct json *list, struct zone_host *host, struct err *err) {
  size_t length = strlen(name);
  if (length == 0 || length >= DNS_NAME_MAX - 2) {
    return err_set(err, EINVAL, "name of %zu bytes", length);
  }
  struct json wrapped = *list;
  if (!json_is_array(&wrapped)) {
    return err_set(err, EINVAL, "%s: expected a list of addresses", name);
  }
  struct json item;
  host->name = strdup(name);
  if (host->name == NULL) {
    return err_oom(err);
  }
  for (char *c = host->name; *c != '\0'; c++) {
    *c = (char)tolower((unsigned char)*c);
  }
  if (length > 1 && host->name[length - 1] == '.') {
    host->name[length - 1] = '\0';
  }
  for (size_t i = 0; json_item(&wrapped, i, &item) >= 0 && item.value != NULL; i++) {
    const char *text = NULL;
    int r = json_as_string(&item, &text, err);
    r = r < 0 ? r : add_address(host, text, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int zone_new(const char *id, const struct json *hosts, struct zone **ret_zone, struct err *err) {
  struct zone *zone __attribute__((cleanup(zone_free_at))) = calloc(1, sizeof(*zone));
  if (zone == NULL || (zone->id = strdup(id)) == NULL) {
    return err_oom(err);
  }
  size_t position = 0, capacity = 0;
  const char *name;
  struct json list;
  while (json_next(hosts, &position, &name, &list)) {
    if (zone->count == capacity) {
      capacity = capacity == 0 ? 16 : capacity * 2;
      struct zone_host *grown = capacity > ZONE_HOSTS_MAX ? NULL : reallocarray(zone->hosts, capacity, sizeof(*grown));
      if (grown == NULL) {
        return err_oom(err);
      }
      zone->hosts = grown;
    }
    struct zone_host *host = &zone->hosts[zone->count++];
    *host = (struct zone_host){0};
    int r = read_host(name, &list, host, err);
    if (r < 0) {
      return err_prefix(err, "zone %s", id);
    }
  }
  zone->bucket_count = 16;
  while (zone->bucket_count < zone->count * 2) {
    zone->bucket_count *= 2;
  }
  zone->buckets = calloc(zone->bucket_count, sizeof(*zone->buckets));
  if (zone->buckets == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < zone->count; i++) {
    uint32_t *bucket = &zone->buckets[hash(zone->hosts[i].name) & (zone->bucket_count - 1)];
    zone->hosts[i].next = *bucket;
    *bucket = (uint32_t)i + 1;
  }
  *ret_zone = take_ptr(zone);
  return 0;
}

const struct zone_host *zone_find(const struct zone *zone, const char *name) {
  uint32_t at = zone->buckets[hash(name) & (zone->bucket_count - 1)];
  while (at != 0 && strcmp(zone->hosts[at - 1].name, name) != 0) {
    at = zone->hosts[at - 1].next;
  }
  return at == 0 ? NULL : &zone->hosts[at - 1];
}

const struct zone_host *zone_find_address(const struct zone *zone, int family, const void *address) {
  size_t size = family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
  for (size_t i = 0; i < zone->count; i++) {
    const struct zone_host *host = &zone->hosts[i];
    const uint8_t *each = family == AF_INET6 ? (const void *)host->addresses6 : (const void *)host->addresses;
    size_t count = family == AF_INET6 ? host->count6 : host->count;
    for (size_t a = 0; a < count; a++) {
      if (memcmp(each + a * size, address, size) == 0) {
        return host;
      }
    }
  }
  return NULL;
}
