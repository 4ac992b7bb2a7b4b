/* The name server: packets of containers and of upstream servers, and the keeper's control messages. */
#include <string.h>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "names/server.h"
#include "names/wire.h"

static void read_packet(const uint8_t *packet, size_t size) {
  struct dns_question question = {.plain = false};
  int code = dns_read_query(packet, size, &question);
  uint8_t out[DNS_UDP_MAX];
  if (code > 0) {
    must(dns_write_code(packet, size, &question, (enum dns_code)code, out) <= sizeof(out));
  }
  if (code != DNS_OK) {
    return;
  }
  must(question.end <= size && memchr(question.name, '\0', sizeof(question.name)) != NULL);
  struct in6_addr addresses[40] = {0};
  int family = dns_reverse_address(question.name, &addresses[0]);
  must(family == 0 || family == AF_INET || family == AF_INET6);
  size_t limit = question.udp_limit;
  must(limit >= DNS_UDP_PLAIN && limit <= DNS_UDP_MAX);
  must(dns_write_code(packet, size, &question, DNS_NO_NAME, out) <= limit);
  for (int six = 0; six < 2; six++) {
    struct dns_addresses all = {.family = six ? AF_INET6 : AF_INET, .bytes = addresses, .count = 40};
    must(dns_write_addresses(packet, &question, &all, 7, out, limit) <= limit);
  }
  must(dns_write_name(packet, &question, "db.default", out, limit) <= limit);
  /* Whatever comes second as the answer to it. */
  (void)dns_answers(packet + size / 2, size - size / 2, packet, question.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct server *server;
  struct err err = ERR_INIT;
  if (size == 0) {
    return 0;
  }
  if (data[0] != '{') {
    read_packet(data + 1, size - 1);
    return 0;
  }
  if (server == NULL) {
    must(server_new(&server, -1, &err) == 0);
  }
  (void)server_message(server, (const char *)data, size, NULL, 0, &err);
  (void)server_turn(server, 0, &err);
  return 0;
}
