#include "names/wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FLAG_RESPONSE 0x80
#define FLAG_OPCODE 0x78
#define FLAG_TRUNCATED 0x02
#define FLAG_RECURSION_DESIRED 0x01
#define FLAG_RECURSION_AVAILABLE 0x80
#define TYPE_OPT 41
#define OPT_SIZE 11
#define RECORD_SIZE 12
#define LABEL_MAX 63

/* Reads the name at DNS_HEADER. Pointers have nothing to point at in a question: refused. Returns the offset behind it
 * or 0. */
static size_t read_name(const uint8_t *packet, size_t size, struct dns_question *question) {
  size_t at = DNS_HEADER, length = 0;
  question->plain = true;
  for (;;) {
    if (at >= size) {
      return 0;
    }
    size_t label = packet[at++];
    if (label == 0) {
      break;
    }
    /* 255 bytes on the wire leave 253 of text. */
    if (label > LABEL_MAX || at + label > size || length + label + 1 > DNS_NAME_MAX - 2) {
      return 0;
    }
    for (size_t i = 0; i < label; i++) {
      uint8_t c = packet[at + i];
      question->plain = question->plain && c > ' ' && c < 127 && c != '.';
      question->name[length++] = (char)tolower(c);
    }
    question->name[length++] = '.';
    at += label;
  }
  question->name[length > 0 ? length - 1 : 0] = '\0';
  if (!question->plain) {
    question->name[0] = '\0';
  }
  return at;
}

/* Only an OPT record that directly follows the question is looked at; others are the upstream server's business. */
static void read_edns(const uint8_t *packet, size_t size, struct dns_question *question) {
  size_t at = question->end;
  question->edns = dns_get16(packet + 6) == 0 && dns_get16(packet + 8) == 0 && dns_get16(packet + 10) > 0 &&
                   at + OPT_SIZE <= size && packet[at] == 0 && dns_get16(packet + at + 1) == TYPE_OPT;
  question->udp_limit = DNS_UDP_PLAIN;
  if (question->edns) {
    size_t wanted = dns_get16(packet + at + 3);
    question->udp_limit = wanted < DNS_UDP_PLAIN ? DNS_UDP_PLAIN : wanted > DNS_UDP_MAX ? DNS_UDP_MAX : wanted;
  }
}

int dns_read_query(const uint8_t *packet, size_t size, struct dns_question *ret_question) {
  *ret_question = (struct dns_question){.udp_limit = DNS_UDP_PLAIN};
  if (size < DNS_HEADER || (packet[2] & FLAG_RESPONSE) != 0) {
    return -1;
  }
  if ((packet[2] & FLAG_OPCODE) != 0) {
    return DNS_NOT_DONE;
  }
  if (dns_get16(packet + 4) != 1) {
    return DNS_FORMAT;
  }
  size_t at = read_name(packet, size, ret_question);
  if (at == 0 || at + 4 > size) {
    *ret_question = (struct dns_question){.udp_limit = DNS_UDP_PLAIN};
    return DNS_FORMAT;
  }
  ret_question->type = dns_get16(packet + at);
  ret_question->class = dns_get16(packet + at + 2);
  ret_question->end = at + 4;
  read_edns(packet, size, ret_question);
  return DNS_OK;
}

bool dns_answers(const uint8_t *answer, size_t answer_size, const uint8_t *query, size_t question_end) {
  if (answer_size < question_end || (answer[2] & FLAG_RESPONSE) == 0 || memcmp(answer, query, 2) != 0 ||
      dns_get16(answer + 4) != 1) {
    return false;
  }
  for (size_t i = DNS_HEADER; i < question_end; i++) {
    if (tolower(answer[i]) != tolower(query[i])) {
      return false;
    }
  }
  return true;
}

/* The offset behind a name, its labels not looked at; 0 when it runs out of the packet. */
static size_t skip_name(const uint8_t *packet, size_t size, size_t at) {
  while (at < size) {
    uint8_t length = packet[at];
    if (length == 0) {
      return at + 1;
    }
    if ((length & 0xc0) == 0xc0) {
      return at + 2; /* the rest lies elsewhere */
    }
    if ((length & 0xc0) != 0) {
      return 0;
    }
    at += (size_t)length + 1;
  }
  return 0;
}

#define RECORD_FIXED 10
#define CLASS_INTERNET 1

int dns_read_addresses(const uint8_t *packet, size_t size, size_t question_end, struct dns_address *ret_addresses,
                       size_t limit) {
  size_t at = question_end, found = 0;
  if (size < DNS_HEADER || question_end < DNS_HEADER) {
    return -1;
  }
  for (unsigned left = dns_get16(packet + 6); left > 0 && found < limit; left--) {
    at = skip_name(packet, size, at);
    if (at == 0 || at > size || size - at < RECORD_FIXED) {
      return -1;
    }
    const uint8_t *fixed = packet + at;
    size_t length = dns_get16(fixed + 8);
    at += RECORD_FIXED;
    if (size - at < length) {
      return -1;
    }
    uint16_t type = dns_get16(fixed);
    size_t wanted = type == DNS_A ? 4 : type == DNS_AAAA ? 16 : 0;
    if (wanted > 0 && length == wanted && dns_get16(fixed + 2) == CLASS_INTERNET) {
      struct dns_address *address = &ret_addresses[found++];
      *address = (struct dns_address){.family = type == DNS_A ? AF_INET : AF_INET6,
                                      .ttl = (uint32_t)dns_get16(fixed + 4) << 16 | dns_get16(fixed + 6)};
      memcpy(&address->address, packet + at, length);
    }
    at += length;
  }
  return (int)found;
}

#define NIBBLES 32

/* "b.a.9.8." …, lowest digit first. */
static bool reverse_six(const char *name, struct in6_addr *ret_address) {
  struct in6_addr address = {0};
  if (strlen(name) != (size_t)2 * NIBBLES + strlen("ip6.arpa") || strcmp(name + (size_t)2 * NIBBLES, "ip6.arpa") != 0) {
    return false;
  }
  for (size_t i = 0; i < NIBBLES; i++) {
    char c = name[2 * i];
    if (!isxdigit((unsigned char)c) || name[2 * i + 1] != '.') {
      return false;
    }
    unsigned digit = (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
    address.s6_addr[15 - i / 2] |= (uint8_t)(digit << (i % 2 == 0 ? 0 : 4));
  }
  *ret_address = address;
  return true;
}

int dns_reverse_address(const char *name, struct in6_addr *ret_address) {
  unsigned a, b, c, d;
  int used = 0;
  if (reverse_six(name, ret_address)) {
    return AF_INET6;
  }
  if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &d, &c, &b, &a, &used) != 4 || used == 0 || name[used] != '\0' ||
      a > 255 || b > 255 || c > 255 || d > 255) {
    return 0;
  }
  struct in_addr address = {.s_addr = htonl(a << 24 | b << 16 | c << 8 | d)};
  memcpy(ret_address, &address, sizeof(address));
  return AF_INET;
}

/* Header and question of an answer. Returns the size so far. */
static size_t write_head(const uint8_t *query, const struct dns_question *question, enum dns_code code, uint8_t *out) {
  size_t size = question->end == 0 ? DNS_HEADER : question->end;
  memcpy(out, query, size);
  out[2] = (uint8_t)(FLAG_RESPONSE | (query[2] & (FLAG_OPCODE | FLAG_RECURSION_DESIRED)));
  out[3] = (uint8_t)(FLAG_RECURSION_AVAILABLE | code);
  memset(out + 4, 0, 8);
  out[5] = question->end == 0 ? 0 : 1;
  return size;
}

static size_t write_opt(const struct dns_question *question, uint8_t *out, size_t size) {
  if (!question->edns) {
    return size;
  }
  memset(out + size, 0, OPT_SIZE);
  dns_put16(out + size + 1, TYPE_OPT);
  dns_put16(out + size + 3, DNS_UDP_MAX);
  out[11] = 1;
  return size + OPT_SIZE;
}

/* Name (a pointer to the question), type, class, time to live, length. */
static size_t write_record(const struct dns_question *question, uint16_t type, size_t length, uint8_t *out) {
  (void)question;
  static const uint8_t pointer[2] = {0xc0, DNS_HEADER};
  memcpy(out, pointer, 2);
  dns_put16(out + 2, type);
  dns_put16(out + 4, 1);
  dns_put16(out + 6, 0);
  dns_put16(out + 8, DNS_TTL);
  dns_put16(out + 10, (uint16_t)length);
  return RECORD_SIZE;
}

size_t dns_write_code(const uint8_t *query, size_t size, const struct dns_question *question, enum dns_code code,
                      uint8_t *out) {
  (void)size;
  return write_opt(question, out, write_head(query, question, code, out));
}

size_t dns_write_addresses(const uint8_t *query, const struct dns_question *question,
                           const struct dns_addresses *addresses, size_t first, uint8_t *out, size_t limit) {
  bool six = addresses->family == AF_INET6;
  size_t length = six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
  size_t count = addresses->count;
  size_t size = write_head(query, question, DNS_OK, out);
  size_t room = limit - size - (question->edns ? OPT_SIZE : 0);
  size_t fits = room / (RECORD_SIZE + length);
  if (fits < count) {
    out[2] |= FLAG_TRUNCATED;
    count = fits < count ? fits : count;
  }
  for (size_t i = 0; i < count; i++) {
    size += write_record(question, six ? DNS_AAAA : DNS_A, length, out + size);
    memcpy(out + size, (const uint8_t *)addresses->bytes + first % count * length, length);
    first++;
    size += length;
  }
  dns_put16(out + 6, (uint16_t)count);
  return write_opt(question, out, size);
}

size_t dns_write_name(const uint8_t *query, const struct dns_question *question, const char *name, uint8_t *out,
                      size_t limit) {
  uint8_t encoded[DNS_NAME_MAX + 1];
  size_t length = 0;
  for (const char *label = name; *label != '\0';) {
    size_t n = strcspn(label, ".");
    if (n == 0 || n > LABEL_MAX || length + n + 2 > DNS_NAME_MAX) {
      return dns_write_code(query, 0, question, DNS_FAILED, out);
    }
    encoded[length++] = (uint8_t)n;
    memcpy(encoded + length, label, n);
    length += n;
    label += n + (label[n] == '.' ? 1 : 0);
  }
  encoded[length++] = 0;
  size_t size = write_head(query, question, DNS_OK, out);
  if (size + RECORD_SIZE + length + OPT_SIZE > limit) {
    out[2] |= FLAG_TRUNCATED;
    return write_opt(question, out, size);
  }
  size += write_record(question, DNS_PTR, length, out + size);
  memcpy(out + size, encoded, length);
  dns_put16(out + 6, 1);
  return write_opt(question, out, size + length);
}
