/*
 * x-egress in the name server: which questions of a limited sandbox go out, and what the firewall is asked to open for
 * the answer. Input: a byte that chooses the allowed names, the length of the question, the question, then the records
 * of an upstream server's answer behind their number.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "names/names.h"
#include "names/parts.h"

#define GATE 1000000
#define QUERY_MAX 512

static const struct egress_rule ALL[] = {
    {.name = (char *)"example.org", .below = false, .port = 443},
    {.name = (char *)"example.org", .below = false},
    {.name = (char *)"example.org", .below = true, .port = 80},
    {.name = (char *)"org", .below = true},
    {.name = (char *)"a.b.example.org", .below = false},
    {.name = (char *)"x", .below = true, .port = 65535},
    {.name = (char *)"x", .below = false, .port = 1},
    {.name = (char *)"_tcp.example.org", .below = true},
};

static struct {
  const uint8_t *answer;
  size_t size;
  struct sandbox *sandbox;
  char name[DNS_NAME_MAX];
  bool opened;
  bool refused;
} now;

/* Word for word what the documentation says of an entry. */
static bool is_meant(const struct egress_rule *rule, const char *name) {
  if (!rule->below) {
    return strcasecmp(rule->name, name) == 0;
  }
  const char *at = name;
  while ((at = strchr(at, '.')) != NULL) {
    at++;
    if (at > name + 1 && strcasecmp(at, rule->name) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_port_meant(long long port) {
  for (size_t i = 0; i < now.sandbox->rule_count; i++) {
    if (is_meant(&now.sandbox->rules[i], now.name) && now.sandbox->rules[i].port == port) {
      return true;
    }
  }
  return false;
}

static void check_admission(const struct json *message, struct err *err) {
  struct json addresses = {0}, ports = {0}, item;
  size_t address_count = 0, port_count = 0;
  long long seconds = 0, port = 0;
  must(json_need_long(message, "seconds", 600, 86400, &seconds, err) >= 0);
  must(json_array_at(message, "addresses", &addresses, &address_count, err) >= 0 && address_count > 0);
  must(json_array_at(message, "ports", &ports, &port_count, err) >= 0 && port_count > 0);
  for (size_t i = 0; i < port_count; i++) {
    (void)json_item(&ports, i, &item);
    must(json_as_long(&item, 0, 65535, &port, err) >= 0 && is_port_meant(port));
  }
  for (size_t i = 0; i < address_count; i++) {
    const char *text = NULL;
    struct in6_addr address;
    (void)json_item(&addresses, i, &item);
    must(json_as_string(&item, &text, err) >= 0);
    size_t length = strchr(text, ':') == NULL ? 4 : 16;
    must(inet_pton(length == 4 ? AF_INET : AF_INET6, text, &address) == 1);
    must(memmem(now.answer, now.size, &address, length) != NULL);
  }
  now.opened = true;
}

ssize_t __wrap_send(int fd, const void *text, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *word, size_t size, int flags);

ssize_t __wrap_send(int fd, const void *text, size_t size, int flags) {
  cleanup_json struct json message = {.value = NULL};
  struct err err = ERR_INIT;
  const char *op = NULL, *name = NULL;
  (void)flags;
  must(fd == GATE && size <= NAMES_GATE_MESSAGE_MAX);
  must(json_parse(text, size, &message, &err) >= 0 && json_need_string(&message, "op", &op, &err) >= 0);
  must(json_need_string(&message, "sandbox", &name, &err) >= 0 && strcmp(name, now.sandbox->name) == 0);
  if (strcmp(op, "refused") == 0) {
    now.refused = true;
  } else {
    must(strcmp(op, "admit") == 0);
    check_admission(&message, &err);
  }
  return (ssize_t)size;
}

ssize_t __wrap_recv(int fd, void *word, size_t size, int flags) {
  must(fd == GATE && size == 1);
  if ((flags & MSG_DONTWAIT) != 0) {
    errno = EAGAIN;
    return -1;
  }
  *(char *)word = NAMES_GATE_OPEN;
  return 1;
}

/* The upstream's packet: id and question as asked, then whatever it likes. */
static size_t make_answer(const uint8_t *query, size_t end, const uint8_t *rest, size_t size, uint8_t *out) {
  memcpy(out, query, end);
  out[2] |= 0x80;
  memcpy(out + 6, rest, 2);
  memcpy(out + end, rest + 2, size - 2);
  return end + size - 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct server server;
  static uint8_t answer[DNS_PACKET_MAX + 1];
  static union {
    struct relay relay;
    uint8_t room[sizeof(struct relay) + QUERY_MAX];
  } asked;
  struct egress_rule rules[sizeof(ALL) / sizeof(ALL[0])];
  struct sandbox sandbox = {.name = (char *)"s", .limited = true, .rules = rules};
  size_t length = size < 3 ? 0 : (size_t)(data[1] << 8 | data[2]) % QUERY_MAX;
  struct dns_question question;
  if (size < 5 + length || dns_read_query(data + 3, length, &question) != DNS_OK) {
    return 0;
  }
  for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
    if ((data[0] >> i & 1) != 0) {
      rules[sandbox.rule_count++] = ALL[i];
    }
  }
  server.gate = GATE;
  now.sandbox = &sandbox;
  now.opened = now.refused = false;
  memcpy(now.name, question.name, sizeof(now.name));
  bool meant = false;
  for (size_t i = 0; i < sandbox.rule_count; i++) {
    meant = meant || (question.plain && is_meant(&rules[i], question.name));
  }
  bool allowed = gate_allows(&server, &sandbox, &question);
  must(allowed == meant && now.refused == !meant);
  if (!allowed) {
    return 0;
  }
  asked.relay = (struct relay){.sandbox = &sandbox, .question_end = question.end, .size = length};
  memcpy(asked.relay.query, data + 3, length);
  now.answer = answer;
  now.size = make_answer(data + 3, question.end, data + 3 + length, size - 3 - length, answer);
  struct dns_address addresses[128];
  int count = dns_read_addresses(answer, now.size, question.end, addresses, 128);
  /* An answer is given when it has no addresses, or the way to them is open. */
  must(gate_admit(&server, &sandbox, &asked.relay, answer, now.size) == (count >= 0));
  must(now.opened == (count > 0));
  return 0;
}
