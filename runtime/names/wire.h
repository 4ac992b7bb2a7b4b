/* names/wire: DNS packets as bytes. Pure; every input is hostile. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER 12
#define DNS_NAME_MAX 256
#define DNS_PACKET_MAX 65535
/* What fits without EDNS, and the most we send over UDP with it. */
#define DNS_UDP_PLAIN 512
#define DNS_UDP_MAX 4096
/* Seconds an answer may be kept: containers come and go. */
#define DNS_TTL 5

enum dns_code { DNS_OK = 0, DNS_FORMAT = 1, DNS_FAILED = 2, DNS_NO_NAME = 3, DNS_NOT_DONE = 4, DNS_REFUSED = 5 };
enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_ANY = 255 };

struct dns_question {
  char name[DNS_NAME_MAX]; /* lower case, dotted, no dot at the end; empty when `plain` is false or for the root */
  bool plain;              /* no label holds a dot or a control byte: the text says it all */
  uint16_t type;
  uint16_t class;
  size_t end; /* offset behind the question */
  bool edns;
  size_t udp_limit;
};

/* Reads a query. Returns DNS_OK, a code to refuse it with, or -1 when it deserves no answer. */
int dns_read_query(const uint8_t *packet, size_t size, struct dns_question *ret_question);

/* An address that a name leads to, with the seconds it may be kept. */
struct dns_address {
  int family;
  struct in6_addr address; /* AF_INET: its first four bytes */
  uint32_t ttl;
};

/* The addresses among the answers of a response whose question ends at `question_end`; at most `limit`. Returns their
   number, or -1 when the packet is not well-formed. */
int dns_read_addresses(const uint8_t *packet, size_t size, size_t question_end, struct dns_address *ret_addresses,
                       size_t limit);

/* Whether `answer` repeats id and question of `query` (letters in either case) and is a response. */
bool dns_answers(const uint8_t *answer, size_t answer_size, const uint8_t *query, size_t question_end);

/* The address a reverse name asks for: 2.0.20.172.in-addr.arpa, or 32 hexadecimal digits in front of ip6.arpa. Returns
   AF_INET with a struct in_addr, AF_INET6 with a struct in6_addr, or 0. */
int dns_reverse_address(const char *name, struct in6_addr *ret_address);

static inline uint16_t dns_get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void dns_put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static inline int dns_code_of(const uint8_t *packet) {
  return packet[3] & 15;
}

static inline bool dns_truncated(const uint8_t *packet) {
  return (packet[2] & 2) != 0;
}

/* Answers are built into `out` of at least `limit` bytes (DNS_UDP_PLAIN or more); the size is returned. */
size_t dns_write_code(const uint8_t *query, size_t size, const struct dns_question *question, enum dns_code code,
                      uint8_t *out);
/* Addresses of one family: `bytes` of them one behind the other. */
struct dns_addresses {
  int family;
  const void *bytes;
  size_t count;
};

/* From address number `first` on, wrapping; what does not fit is cut and the packet marked truncated. */
size_t dns_write_addresses(const uint8_t *query, const struct dns_question *question,
                           const struct dns_addresses *addresses, size_t first, uint8_t *out, size_t limit);
size_t dns_write_name(const uint8_t *query, const struct dns_question *question, const char *name, uint8_t *out,
                      size_t limit);
