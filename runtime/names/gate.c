/*
 * Limited sandboxes: a name that is not allowed is refused without asking anybody (a question is a message, too), and
 * the addresses of one that is are let through the firewall before its answer is given. The firewall is the keeper's to
 * change; it is asked on a socket of its own, and the server waits for its word: a moment, as the keeper does nothing
 * long.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "names/names.h"
#include "names/parts.h"

#define RULES_MAX 1024
#define ADDRESSES_MAX 128
/* Programs keep addresses longer than they should; one that nobody uses does no harm for a while. */
#define OPEN_SECONDS_MIN 600
#define OPEN_SECONDS_MAX 86400

void gate_forget(struct sandbox *sandbox) {
  for (size_t i = 0; i < sandbox->rule_count; i++) {
    free(sandbox->rules[i].name);
  }
  free(take_ptr(sandbox->rules));
  sandbox->rule_count = 0;
}

static int read_rule(const struct json *item, struct egress_rule *rule, struct err *err) {
  const char *name = NULL;
  long long port = 0;
  int r = json_need_string(item, "name", &name, err);
  r = r < 0 ? r : json_bool_at(item, "below", &rule->below, err);
  r = r < 0 ? r : json_long_at(item, "port", 0, 65535, &port, err);
  if (r < 0) {
    return r;
  }
  rule->port = (uint16_t)port;
  rule->name = strdup(name);
  return rule->name == NULL ? err_oom(err) : 0;
}

int gate_read(struct sandbox *sandbox, const struct json *message, struct err *err) {
  struct json allow = {0}, item;
  size_t count = 0;
  int r = json_bool_at(message, "limited", &sandbox->limited, err);
  r = r < 0 ? r : json_array_at(message, "allow", &allow, &count, err);
  if (r < 0 || allow.value == NULL) {
    return r < 0 ? r : 0;
  }
  if (count > RULES_MAX) {
    return err_set(err, E2BIG, "%zu allowed names, at most %d are possible", count, RULES_MAX);
  }
  gate_forget(sandbox);
  sandbox->rules = calloc(count + 1, sizeof(*sandbox->rules));
  if (sandbox->rules == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; r >= 0 && i < count; i++) {
    (void)json_item(&allow, i, &item);
    r = read_rule(&item, &sandbox->rules[sandbox->rule_count], err);
    sandbox->rule_count += r >= 0;
  }
  return r < 0 ? r : 0;
}

static bool matches(const struct egress_rule *rule, const char *name) {
  size_t have = strlen(name), want = strlen(rule->name);
  if (!rule->below) {
    return strcmp(name, rule->name) == 0;
  }
  return have > want + 1 && name[have - want - 1] == '.' && strcmp(name + have - want, rule->name) == 0;
}

static const struct egress_rule *next_match(const struct sandbox *sandbox, const char *name, size_t *position) {
  while (*position < sandbox->rule_count) {
    const struct egress_rule *rule = &sandbox->rules[(*position)++];
    if (matches(rule, name)) {
      return rule;
    }
  }
  return NULL;
}

/* A report, nothing waits for it: a keeper that is busy misses it. */
static void report(const struct server *server, const struct sandbox *sandbox, const char *name) {
  cleanup_str struct str text = STR_INIT;
  if (server->gate < 0 || str_add(&text, "{\"op\":\"refused\",\"sandbox\":") < 0 ||
      json_add_quoted(&text, sandbox->name) < 0 || str_add(&text, ",\"name\":") < 0 ||
      json_add_quoted(&text, name) < 0 || str_add(&text, "}") < 0) {
    return;
  }
  (void)send(server->gate, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool gate_allows(const struct server *server, const struct sandbox *sandbox, const struct dns_question *question) {
  size_t position = 0;
  if (!sandbox->limited || (question->plain && next_match(sandbox, question->name, &position) != NULL)) {
    return true;
  }
  report(server, sandbox, question->plain ? question->name : "?");
  return false;
}

static int write_admission(const struct sandbox *sandbox, const char *name, const struct dns_address *addresses,
                           int count, struct str *text) {
  uint32_t seconds = OPEN_SECONDS_MIN;
  size_t position = 0;
  const char *comma = "";
  int r = str_add(text, "{\"op\":\"admit\",\"sandbox\":");
  r = r < 0 ? r : json_add_quoted(text, sandbox->name);
  r = r < 0 ? r : str_add(text, ",\"ports\":[");
  for (const struct egress_rule *rule; r >= 0 && (rule = next_match(sandbox, name, &position)) != NULL; comma = ",") {
    r = str_addf(text, "%s%u", comma, rule->port);
  }
  r = r < 0 ? r : str_add(text, "],\"addresses\":[");
  for (int i = 0; r >= 0 && i < count; i++) {
    char address[INET6_ADDRSTRLEN];
    inet_ntop(addresses[i].family, &addresses[i].address, address, sizeof(address));
    r = str_addf(text, "%s\"%s\"", i == 0 ? "" : ",", address);
    seconds = addresses[i].ttl > seconds ? addresses[i].ttl : seconds;
  }
  seconds = seconds > OPEN_SECONDS_MAX ? OPEN_SECONDS_MAX : seconds;
  return r < 0 ? r : str_addf(text, "],\"seconds\":%u}", seconds);
}

bool gate_admit(const struct server *server, const struct sandbox *sandbox, const struct relay *relay,
                const uint8_t *packet, size_t size) {
  struct dns_question question;
  struct dns_address addresses[ADDRESSES_MAX];
  if (!sandbox->limited) {
    return true;
  }
  int count = dns_read_addresses(packet, size, relay->question_end, addresses, ADDRESSES_MAX);
  if (count <= 0) {
    return count == 0;
  }
  cleanup_str struct str text = STR_INIT;
  char word = 0;
  if (server->gate < 0 || dns_read_query(relay->query, relay->size, &question) != DNS_OK ||
      write_admission(sandbox, question.name, addresses, count, &text) < 0) {
    return false;
  }
  /* The word of an earlier question that came too late is not the word for this one. */
  while (recv(server->gate, &word, 1, MSG_DONTWAIT) > 0) {
  }
  if (send(server->gate, text.data, text.size, MSG_NOSIGNAL) < 0) {
    return false;
  }
  ssize_t n;
  do {
    n = recv(server->gate, &word, 1, 0);
  } while (n < 0 && errno == EINTR);
  return n == 1 && word == NAMES_GATE_OPEN;
}
