/* The name server: packets as bytes, then the server in a network namespace of its own. Needs root. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "names/names.h"
#include "names/parts.h"
#include "names/server.h"
#include "names/wire.h"
#include "names/zone.h"
#include "net/link.h"
#include "net/sandbox.h"
#include "sys/netlink.h"

#define require(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static size_t make_query(const char *name, uint16_t type, uint16_t id, uint8_t *out) {
  memset(out, 0, DNS_HEADER);
  dns_put16(out, id);
  out[2] = 1;
  out[5] = 1;
  size_t at = DNS_HEADER;
  for (const char *label = name; *label != '\0';) {
    size_t n = strcspn(label, ".");
    out[at++] = (uint8_t)n;
    memcpy(out + at, label, n);
    at += n;
    label += n + (label[n] == '.');
  }
  out[at++] = 0;
  dns_put16(out + at, type);
  dns_put16(out + at + 2, 1);
  return at + 4;
}

static void test_wire(void) {
  uint8_t packet[600], out[DNS_PACKET_MAX];
  struct dns_question question;
  size_t size = make_query("Web.Example", DNS_A, 7, packet);
  require(dns_read_query(packet, size, &question) == DNS_OK);
  require(str_equal(question.name, "web.example") && question.type == DNS_A && question.end == size && !question.edns);
  for (size_t cut = 0; cut < size; cut++) {
    int code = dns_read_query(packet, cut, &question);
    require(cut < DNS_HEADER ? code == -1 : code == DNS_FORMAT);
    if (code == DNS_FORMAT) {
      require(dns_write_code(packet, cut, &question, DNS_FORMAT, out) == DNS_HEADER && dns_code_of(out) == DNS_FORMAT);
    }
  }
  /* a pointer to itself, a pointer forward, a reserved label kind */
  for (int kind = 0x40; kind <= 0xc0; kind += 0x40) {
    packet[DNS_HEADER] = (uint8_t)kind;
    packet[DNS_HEADER + 1] = DNS_HEADER;
    require(dns_read_query(packet, size, &question) == DNS_FORMAT);
  }
  /* the longest name, and one more */
  char name[300] = "";
  for (int i = 0; i < 126; i++) {
    strcat(name, "a.");
  }
  size = make_query(name, DNS_A, 7, packet);
  require(dns_read_query(packet, size, &question) == DNS_OK && strlen(question.name) == 251);
  strcat(name, "a.a.");
  size = make_query(name, DNS_A, 7, packet);
  require(dns_read_query(packet, size, &question) == DNS_FORMAT);
  struct in6_addr address;
  require(dns_reverse_address("2.0.20.172.in-addr.arpa", &address) == AF_INET &&
          memcmp(&address, "\xac\x14\x00\x02", 4) == 0);
#define ZEROES "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
  require(dns_reverse_address("f.1." ZEROES "1.0.0.d.f.ip6.arpa", &address) == AF_INET6 && address.s6_addr[0] == 0xfd &&
          address.s6_addr[1] == 0 && address.s6_addr[2] == 0x10 && address.s6_addr[15] == 0x1f);
  require(!dns_reverse_address("f.1." ZEROES "1.0.0.d.ip6.arpa", &address) &&
          !dns_reverse_address("f.1." ZEROES "1.0.0.d.g.ip6.arpa", &address) &&
          !dns_reverse_address("f.1." ZEROES "1.0.0.d.f.ip6.arpa.x", &address));
  require(!dns_reverse_address("2.0.20.in-addr.arpa", &address) && !dns_reverse_address("", &address) &&
          !dns_reverse_address("2.0.20.172.in-addr.arpa.x", &address) &&
          !dns_reverse_address("2.0.20.300.in-addr.arpa", &address));
}

static void test_many_addresses(void) {
  uint8_t packet[600], out[DNS_PACKET_MAX];
  struct in_addr addresses[100] = {0};
  struct dns_question question;
  size_t size = make_query("many", DNS_A, 7, packet);
  require(dns_read_query(packet, size, &question) == DNS_OK);
  const struct dns_addresses all = {.family = AF_INET, .bytes = addresses, .count = 100};
  size_t answer = dns_write_addresses(packet, &question, &all, 5, out, DNS_UDP_PLAIN);
  require(answer <= DNS_UDP_PLAIN && dns_truncated(out) && dns_get16(out + 6) == 30);
  answer = dns_write_addresses(packet, &question, &all, 5, out, DNS_PACKET_MAX);
  require(!dns_truncated(out) && dns_get16(out + 6) == 100 && answer == size + 1600);
  struct in6_addr addresses6[3] = {{.s6_addr = {[15] = 1}}, {.s6_addr = {[15] = 2}}, {.s6_addr = {[15] = 3}}};
  const struct dns_addresses six = {.family = AF_INET6, .bytes = addresses6, .count = 3};
  answer = dns_write_addresses(packet, &question, &six, 1, out, DNS_UDP_PLAIN);
  require(answer == size + (size_t)3 * 28 && dns_get16(out + size + 2) == DNS_AAAA && out[size + 27] == 2 &&
          out[answer - 1] == 1);
}

/* Behind a question: a record of one of the types, pointing to the name. Returns the size of the packet. */
static size_t add_record(uint8_t *packet, size_t size, uint16_t type, const void *data, uint16_t length) {
  static const uint8_t pointer[2] = {0xc0, DNS_HEADER};
  memcpy(packet + size, pointer, 2);
  dns_put16(packet + size + 2, type);
  dns_put16(packet + size + 4, 1);
  dns_put16(packet + size + 6, 0);
  dns_put16(packet + size + 8, 90);
  dns_put16(packet + size + 10, length);
  memcpy(packet + size + 12, data, length);
  dns_put16(packet + 6, (uint16_t)(dns_get16(packet + 6) + 1));
  return size + 12 + length;
}

static void test_answers(void) {
  uint8_t packet[600];
  struct dns_address found[4];
  size_t question = make_query("a.example", DNS_A, 7, packet);
  size_t size = add_record(packet, question, 5, "\1b\xc0\x0e", 4); /* CNAME b.example */
  size = add_record(packet, size, DNS_A, "\xc0\0\2\7", 4);
  size = add_record(packet, size, DNS_AAAA, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7", 16);
  size = add_record(packet, size, DNS_A, "\xc0\0\2", 3); /* no address */
  require(dns_read_addresses(packet, size, question, found, 4) == 2);
  require(found[0].family == AF_INET && memcmp(&found[0].address, "\xc0\0\2\7", 4) == 0 && found[0].ttl == 90);
  require(found[1].family == AF_INET6 && found[1].address.s6_addr[15] == 7);
  require(dns_read_addresses(packet, size, question, found, 1) == 1);
  for (size_t cut = 0; cut < size; cut++) {
    uint8_t *copy = malloc(cut + 1);
    memcpy(copy, packet, cut);
    require(dns_read_addresses(copy, cut, question, found, 4) == -1);
    free(copy);
  }
}

/* Random bytes and damaged queries: nothing may be read or written beyond the packet (run under the sanitizers). */
static void test_hostile(void) {
  uint32_t state = 12345;
  uint8_t out[DNS_PACKET_MAX];
  for (int round = 0; round < 200000; round++) {
    size_t size = make_query("some.name.example", DNS_A, 7, out);
    uint8_t *packet = malloc(size);
    memcpy(packet, out, size);
    for (int i = 0; i < 4; i++) {
      state = state * 1664525 + 1013904223;
      packet[(state >> 8) % size] = (uint8_t)(state >> 24);
    }
    size_t cut = (state >> 4) % (size + 1);
    struct dns_question question;
    int code = dns_read_query(packet, cut, &question);
    if (code >= 0) {
      require(dns_write_code(packet, cut, &question, DNS_FAILED, out) <= DNS_UDP_PLAIN);
      (void)dns_answers(out, cut, packet, question.end);
      struct dns_address found[4];
      (void)dns_read_addresses(packet, cut, question.end, found, 4);
    }
    free(packet);
  }
}

struct world {
  struct server *server;
  struct sandbox_fds fds;
  int home;
  int client;
  int stream;
  int upstream;
  int upstream_tcp;
};

static void tell(struct world *world, const char *message, int *fds, size_t count) {
  struct err err = ERR_INIT;
  if (server_message(world->server, message, strlen(message), fds, count, &err) < 0) {
    fprintf(stderr, "%s: %s\n", message, err.text);
    exit(1);
  }
}

/* Lets the server work until the socket can be read. */
static ssize_t receive(struct world *world, int socket, uint8_t *out, struct sockaddr_in *from) {
  struct err err = ERR_INIT;
  for (int i = 0; i < 400; i++) {
    socklen_t length = sizeof(*from);
    ssize_t n =
        recvfrom(socket, out, DNS_PACKET_MAX, MSG_DONTWAIT, (struct sockaddr *)from, from == NULL ? NULL : &length);
    if (n >= 0) {
      return n;
    }
    require(server_turn(world->server, 20, &err) >= 0);
  }
  return -1;
}

static ssize_t ask(struct world *world, const char *name, uint16_t type, uint8_t *out) {
  uint8_t query[600];
  size_t size = make_query(name, type, 99, query);
  require(send(world->client, query, size, 0) == (ssize_t)size);
  ssize_t n = receive(world, world->client, out, NULL);
  require(n < 0 || (dns_get16(out) == 99 && (out[2] & 0x80) != 0));
  return n;
}

static void test_zones(struct world *world) {
  uint8_t out[DNS_PACKET_MAX];
  ssize_t n = ask(world, "WEB", DNS_A, out);
  require(n > 0 && dns_code_of(out) == DNS_OK && dns_get16(out + 6) == 2);
  uint8_t first = out[n - 1];
  n = ask(world, "web", DNS_A, out);
  require(out[n - 1] != first); /* the order turns */
  n = ask(world, "web", DNS_AAAA, out);
  require(n > 0 && dns_code_of(out) == DNS_OK && dns_get16(out + 6) == 0);
  n = ask(world, "3.0.20.172.in-addr.arpa", DNS_PTR, out);
  require(n > 0 && dns_get16(out + 6) == 1 && out[n - 5] == 3 && memcmp(out + n - 4, "web", 3) == 0);
  n = ask(world, "only-me", DNS_A, out);
  require(n > 0 && dns_get16(out + 6) == 1 && out[n - 1] == 9);
  tell(world, "{\"op\":\"zone\",\"zone\":\"n1\",\"hosts\":{\"web\":[\"172.20.0.7\"]}}", NULL, 0);
  n = ask(world, "web", DNS_A, out);
  require(n > 0 && dns_get16(out + 6) == 1 && out[n - 1] == 7);
}

static void open_upstream(struct world *world, uint16_t *ret_port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(at);
  world->upstream = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  world->upstream_tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  require(bind(world->upstream, (struct sockaddr *)&at, sizeof(at)) == 0);
  require(getsockname(world->upstream, (struct sockaddr *)&at, &length) == 0);
  require(bind(world->upstream_tcp, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(world->upstream_tcp, 5) == 0);
  *ret_port = ntohs(at.sin_port);
}

static void test_relay(struct world *world) {
  uint8_t query[600], seen[DNS_PACKET_MAX], out[DNS_PACKET_MAX];
  struct sockaddr_in from;
  size_t size = make_query("outside.example", DNS_A, 99, query);
  require(send(world->client, query, size, 0) == (ssize_t)size);
  ssize_t n = receive(world, world->upstream, seen, &from);
  require(n == (ssize_t)size && memcmp(seen + 2, query + 2, size - 2) == 0);
  /* forged: another id, another question, another sender; then the real one */
  seen[2] |= 0x80;
  seen[0] ^= 1;
  require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  seen[0] ^= 1;
  seen[DNS_HEADER + 1] ^= 1;
  require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  seen[DNS_HEADER + 1] ^= 1;
  require(setns(world->fds.netns, CLONE_NEWNET) == 0);
  cleanup_close int stranger = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  require(setns(world->home, CLONE_NEWNET) == 0);
  require(sendto(stranger, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  struct err err = ERR_INIT;
  for (int i = 0; i < 5; i++) {
    require(server_turn(world->server, 5, &err) >= 0);
    require(recv(world->client, out, sizeof(out), MSG_DONTWAIT) < 0);
  }
  seen[3] = DNS_NO_NAME;
  require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  n = receive(world, world->client, out, NULL);
  require(n == (ssize_t)size && dns_get16(out) == 99 && dns_code_of(out) == DNS_NO_NAME);
}

static void tell_upstreams(struct world *world, uint16_t first, uint16_t second) {
  cleanup_free char *message =
      str_format("{\"op\":\"sandbox\",\"name\":\"s1\",\"upstreams\":["
                 "{\"address\":\"127.0.0.1\",\"port\":%u},{\"address\":\"127.0.0.1\",\"port\":%u}]}",
                 first, second);
  tell(world, message, NULL, 0);
}

/* Nobody listens at the first server: the second is asked at once, and first from then on. */
static void test_fail_over(struct world *world, uint16_t port) {
  uint8_t query[600], seen[DNS_PACKET_MAX], out[DNS_PACKET_MAX];
  struct sockaddr_in from, dead = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(dead);
  require(setns(world->fds.netns, CLONE_NEWNET) == 0);
  int taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  require(setns(world->home, CLONE_NEWNET) == 0);
  require(bind(taken, (struct sockaddr *)&dead, sizeof(dead)) == 0);
  require(getsockname(taken, (struct sockaddr *)&dead, &length) == 0);
  tell_upstreams(world, ntohs(dead.sin_port), port);
  close(taken);
  size_t size = make_query("failing.example", DNS_A, 31, query);
  int64_t start = now_milliseconds();
  for (int round = 0; round < 2; round++) {
    require(send(world->client, query, size, 0) == (ssize_t)size);
    require(receive(world, world->upstream, seen, &from) == (ssize_t)size);
    seen[2] |= 0x80;
    require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
    require(receive(world, world->client, out, NULL) == (ssize_t)size && dns_get16(out) == 31);
    /* The second time the dead one may come to life: it is not asked. */
    if (round == 0) {
      require(now_milliseconds() - start < TRY_MILLISECONDS);
      require(setns(world->fds.netns, CLONE_NEWNET) == 0);
      taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      require(setns(world->home, CLONE_NEWNET) == 0);
      require(bind(taken, (struct sockaddr *)&dead, sizeof(dead)) == 0);
    }
  }
  require(recv(taken, out, sizeof(out), MSG_DONTWAIT) < 0);
  close(taken);
  tell_upstreams(world, port, port);
}

static void test_localhost(struct world *world) {
  uint8_t out[DNS_PACKET_MAX];
  tell(world,
       "{\"op\":\"zone\",\"zone\":\"n1\",\"hosts\":{\"localhost\":[\"172.20.0.7\"],"
       "\"web.shop.localhost\":[\"172.20.0.8\"],\"web\":[\"172.20.0.7\"]}}",
       NULL, 0);
  ssize_t n = ask(world, "LocalHost", DNS_A, out);
  require(n > 4 && dns_get16(out + 6) == 1 && memcmp(out + n - 4, "\x7f\0\0\1", 4) == 0);
  n = ask(world, "any.localhost", DNS_AAAA, out);
  require(n > 16 && dns_get16(out + 6) == 1 && out[n - 1] == 1 && out[n - 16] == 0);
  n = ask(world, "web.shop.localhost", DNS_A, out);
  require(n > 4 && out[n - 1] == 8);
}

/* Over TCP: first asked over UDP, asked again over TCP when cut. */
static void test_truncation(struct world *world) {
  uint8_t query[600], seen[DNS_PACKET_MAX], out[DNS_PACKET_MAX];
  struct sockaddr_in from;
  struct err err = ERR_INIT;
  size_t size = make_query("large.example", DNS_A, 55, query + 2);
  dns_put16(query, (uint16_t)size);
  /* in two pieces: a slow client */
  require(send(world->stream, query, 5, 0) == 5);
  require(server_turn(world->server, 50, &err) >= 0);
  require(send(world->stream, query + 5, size - 3, 0) == (ssize_t)size - 3);
  require(receive(world, world->upstream, seen, &from) == (ssize_t)size);
  seen[2] |= 0x82;
  require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  int accepted = -1;
  for (int i = 0; i < 100 && accepted < 0; i++) {
    require(server_turn(world->server, 10, &err) >= 0);
    accepted = accept4(world->upstream_tcp, NULL, NULL, SOCK_CLOEXEC);
  }
  require(accepted >= 0);
  ssize_t n = receive(world, accepted, seen, NULL);
  require(n == (ssize_t)size + 2 && memcmp(seen + 4, query + 4, size - 2) == 0);
  size_t large = 3000;
  memset(seen + 2 + size, 0, large - size);
  dns_put16(seen, (uint16_t)large);
  seen[4] |= 0x80;
  require(send(accepted, seen, large + 2, 0) == (ssize_t)large + 2);
  n = receive(world, world->stream, out, NULL);
  require(n > 0);
  while (n < (ssize_t)large + 2) {
    ssize_t more = receive(world, world->stream, out + n, NULL);
    require(more > 0);
    n += more;
  }
  require(dns_get16(out) == large && dns_get16(out + 2) == 55);
  close(accepted);
}

/* Answers wishes in the keeper's place, each by the letter its first address asks for, and repeats them for the test.
 */
static pid_t start_gatekeeper(int gate, int their_gate, int copies) {
  pid_t pid = fork();
  require(pid >= 0);
  if (pid != 0) {
    return pid;
  }
  close(their_gate); /* its end there ends us */
  char text[NAMES_GATE_MESSAGE_MAX + 1];
  for (ssize_t n; (n = recv(gate, text, sizeof(text) - 1, 0)) > 0;) {
    text[n] = '\0';
    require(send(copies, text, (size_t)n + 1, 0) > 0);
    if (strstr(text, "\"admit\"") != NULL) {
      char word = strstr(text, "192.0.2.7") != NULL ? NAMES_GATE_OPEN : NAMES_GATE_SHUT;
      require(send(gate, &word, 1, 0) == 1);
    }
  }
  _exit(0);
}

/* The answer that arrives when `name` leads to this address. */
static int answer_with(struct world *world, const char *name, const char *address, uint8_t *out) {
  uint8_t query[600], seen[DNS_PACKET_MAX];
  struct sockaddr_in from;
  size_t size = make_query(name, DNS_A, 99, query);
  require(send(world->client, query, size, 0) == (ssize_t)size);
  require(receive(world, world->upstream, seen, &from) == (ssize_t)size);
  seen[2] |= 0x80;
  size = add_record(seen, size, DNS_A, address, 4);
  require(sendto(world->upstream, seen, size, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)size);
  require(receive(world, world->client, out, NULL) > 0);
  return dns_code_of(out);
}

static void test_gate(struct world *world, int copies) {
  uint8_t out[DNS_PACKET_MAX];
  char text[NAMES_GATE_MESSAGE_MAX];
  tell(world,
       "{\"op\":\"sandbox\",\"name\":\"s1\",\"limited\":true,\"allow\":[{\"name\":\"ok.example\"},"
       "{\"name\":\"wild.example\",\"below\":true,\"port\":443},{\"name\":\"a.wild.example\",\"port\":22}]}",
       NULL, 0);
  static const char *const refused[] = {"no.example", "x.ok.example", "wild.example", "notwild.example",
                                        "7.2.0.192.in-addr.arpa"};
  for (size_t i = 0; i < array_length(refused); i++) {
    require(ask(world, refused[i], DNS_A, out) > 0 && dns_code_of(out) == DNS_REFUSED);
    require(recv(copies, text, sizeof(text), 0) > 0 && strstr(text, "\"refused\"") && strstr(text, refused[i]));
  }
  require(recv(world->upstream, out, sizeof(out), MSG_DONTWAIT) < 0); /* nobody was asked */
  require(ask(world, "web", DNS_A, out) > 0 && dns_code_of(out) == DNS_OK);
  require(answer_with(world, "ok.example", "\xc0\0\2\7", out) == DNS_OK && dns_get16(out + 6) == 1);
  require(recv(copies, text, sizeof(text), 0) > 0 && strstr(text, "\"ports\":[0],\"addresses\":[\"192.0.2.7\"]"));
  require(answer_with(world, "a.wild.example", "\xc0\0\2\7", out) == DNS_OK);
  require(recv(copies, text, sizeof(text), 0) > 0 && strstr(text, "\"ports\":[443,22]"));
  /* What the keeper does not let through is not told. */
  require(answer_with(world, "ok.example", "\xc0\0\2\x08", out) == DNS_FAILED && dns_get16(out + 6) == 0);
  require(recv(copies, text, sizeof(text), 0) > 0);
  tell(world, "{\"op\":\"sandbox\",\"name\":\"s1\",\"limited\":false,\"allow\":[]}", NULL, 0);
  require(answer_with(world, "no.example", "\xc0\0\2\x09", out) == DNS_OK);
}

static void test_refusals(struct world *world) {
  uint8_t out[DNS_PACKET_MAX];
  struct err err = ERR_INIT;
  tell(world, "{\"op\":\"sandbox\",\"name\":\"s1\",\"internal\":true}", NULL, 0);
  require(ask(world, "outside.example", DNS_A, out) > 0 && dns_code_of(out) == DNS_FAILED);
  require(ask(world, "web", DNS_A, out) > 0 && dns_code_of(out) == DNS_OK);
  tell(world, "{\"op\":\"sandbox\",\"name\":\"s1\",\"internal\":false,\"upstreams\":[]}", NULL, 0);
  require(ask(world, "outside.example", DNS_A, out) > 0 && dns_code_of(out) == DNS_FAILED);
  static const char *const bad[] = {"",
                                    "{",
                                    "[]",
                                    "{\"op\":1}",
                                    "{\"op\":\"zone\"}",
                                    "{\"op\":\"zone\",\"zone\":\"x\",\"hosts\":[]}",
                                    "{\"op\":\"zone\",\"zone\":\"x\",\"hosts\":{\"a\":\"1.2.3.4\"}}",
                                    "{\"op\":\"zone\",\"zone\":\"x\",\"hosts\":{\"a\":[\"x\"]}}",
                                    "{\"op\":\"sandbox\"}",
                                    "{\"op\":\"sandbox\",\"name\":\"s1\",\"upstreams\":[{\"address\":\"x\"}]}"};
  for (size_t i = 0; i < array_length(bad); i++) {
    require(server_message(world->server, bad[i], strlen(bad[i]), NULL, 0, &err) < 0);
  }
  require(send(world->client, "\0\1", 2, 0) == 2);
  require(ask(world, "web", DNS_A, out) > 0 && dns_code_of(out) == DNS_OK);
  tell(world, "{\"op\":\"drop\",\"name\":\"s1\"}", NULL, 0);
  tell(world, "{\"op\":\"drop\",\"name\":\"s1\"}", NULL, 0);
}

int main(void) {
  struct err err = ERR_INIT;
  struct world world = {.fds = SANDBOX_FDS_NONE};
  cleanup_json struct json config = {0};
  uint16_t port = 0;
  test_wire();
  test_many_addresses();
  test_answers();
  test_hostile();
  if (unshare(CLONE_NEWNET) < 0) {
    fprintf(stderr, "test_names needs root\n");
    return 1;
  }
  world.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  require(json_parse("{\"names\":true}", 14, &config, &err) == 0);
  require(sandbox_make(&config, &world.fds, &err) == 0);
  require(setns(world.fds.netns, CLONE_NEWNET) == 0);
  open_upstream(&world, &port);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f00000b)};
  world.client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  world.stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(connect(world.client, (struct sockaddr *)&server, sizeof(server)) == 0);
  require(connect(world.stream, (struct sockaddr *)&server, sizeof(server)) == 0);
  require(setns(world.home, CLONE_NEWNET) == 0);
  int gate = -1, their_gate = -1, copies[2];
  require(names_gate_pair(&gate, &their_gate, &err) == 0);
  require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, copies) == 0);
  pid_t gatekeeper = start_gatekeeper(gate, their_gate, copies[1]);
  close(gate);
  require(server_new(&world.server, their_gate, &err) == 0);
  cleanup_free char *sandbox =
      str_format("{\"op\":\"sandbox\",\"name\":\"s1\",\"zones\":[\"n1\"],\"extra\":{\"only-me\":[\"172.20.0.9\"]},"
                 "\"upstreams\":[{\"address\":\"127.0.0.1\",\"port\":%u}]}",
                 port);
  int fds[] = {world.fds.names_udp, world.fds.names_tcp, world.fds.up_udp[0],
               world.fds.up_udp[1], world.fds.up_tcp[0], world.fds.up_tcp[1]};
  tell(&world, sandbox, fds, array_length(fds));
  tell(&world, "{\"op\":\"zone\",\"zone\":\"n1\",\"hosts\":{\"web\":[\"172.20.0.2\",\"172.20.0.3\"]}}", NULL, 0);
  test_zones(&world);
  test_relay(&world);
  test_fail_over(&world, port);
  test_localhost(&world);
  test_truncation(&world);
  test_gate(&world, copies[0]);
  test_refusals(&world);
  close(their_gate);
  require(waitpid(gatekeeper, NULL, 0) == gatekeeper);
  server_free(world.server);
  close(world.fds.netns);
  puts("names: ok");
  return 0;
}
