/*
 * SCTP for tests. The first two speak just enough of it over a raw socket (root; a kernel without SCTP will do, only
 * its packets are forwarded), the others by the kernel's own sockets:
 *
 *   sctp greet ADDRESS PORT    sends INIT, prints `answer from ADDRESS:PORT` for its INIT ACK, `timeout` after 1.2 s
 *   sctp answer PORT           prints ready, answers every INIT to PORT, prints who asked
 *   sctp serve PORT NAME       prints ready, says NAME to whoever connects
 *   sctp ask ADDRESS PORT      connects, prints what is said, or the name of the error
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INIT 1
#define INIT_ACK 2
#define PATIENCE_MS 1200

struct packet {
  uint16_t source, destination;
  uint32_t tag, checksum;
  uint8_t type, flags;
  uint16_t length;
  uint32_t initiate_tag, window;
  uint16_t out_streams, in_streams;
  uint32_t tsn;
  /* A state cookie, which an INIT ACK needs; an INIT ends before. */
  uint16_t cookie_type, cookie_length;
  uint32_t cookie;
};
#define INIT_SIZE 32

static uint32_t crc32c(const uint8_t *data, size_t size) {
  uint32_t crc = 0xffffffffU;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
    }
  }
  return ~crc;
}

static size_t seal(struct packet *packet, uint8_t type) {
  size_t size = type == INIT ? INIT_SIZE : sizeof(*packet);
  packet->type = type;
  packet->length = htons((uint16_t)(size - 12));
  packet->initiate_tag = htonl(0x01020304);
  packet->window = htonl(65536);
  packet->out_streams = packet->in_streams = htons(1);
  packet->tsn = htonl(1);
  packet->cookie_type = htons(7);
  packet->cookie_length = htons(8);
  packet->checksum = 0;
  packet->checksum = crc32c((const uint8_t *)packet, size); /* little endian on the wire, as here */
  return size;
}

static bool resolve(const char *address, int port, struct sockaddr_storage *ret, socklen_t *ret_size) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  memset(ret, 0, sizeof(*ret));
  if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
    memcpy(ret, &v4, *ret_size = sizeof(v4));
    return true;
  }
  memcpy(ret, &v6, *ret_size = sizeof(v6));
  return inet_pton(AF_INET6, address, &((struct sockaddr_in6 *)ret)->sin6_addr) == 1;
}

static const char *name_of(const struct sockaddr_storage *peer) {
  static char text[INET6_ADDRSTRLEN];
  const void *address = peer->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)peer)->sin_addr
                                                   : (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr;
  return inet_ntop(peer->ss_family, address, text, sizeof(text));
}

/* The next packet of this type to this port; of IPv4 the kernel gives the header too. 0: none came. */
static int take(int fd, int family, uint16_t port, uint8_t type, struct packet *ret, struct sockaddr_storage *peer,
                int patience) {
  uint8_t buffer[512];
  for (struct pollfd wait = {.fd = fd, .events = POLLIN}; poll(&wait, 1, patience) > 0;) {
    socklen_t length = sizeof(*peer);
    ssize_t size = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)peer, &length);
    size_t skip = family == AF_INET && size > 0 ? 4U * (buffer[0] & 15U) : 0;
    if (size >= (ssize_t)(skip + INIT_SIZE)) {
      memcpy(ret, buffer + skip, INIT_SIZE);
      if (ret->type == type && ret->destination == port) {
        return 1;
      }
    }
  }
  return 0;
}

static int do_greet(char **args) {
  struct sockaddr_storage to, peer;
  socklen_t to_size;
  if (!resolve(args[0], 0, &to, &to_size)) {
    return 2;
  }
  uint16_t own = htons((uint16_t)(20000 + getpid() % 10000));
  struct packet packet = {.source = own, .destination = htons((uint16_t)atoi(args[1]))};
  uint16_t asked = packet.destination;
  size_t size = seal(&packet, INIT);
  int fd = socket(to.ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP);
  if (fd < 0 || sendto(fd, &packet, size, 0, (struct sockaddr *)&to, to_size) < 0) {
    printf("%s\n", strerrorname_np(errno));
    return 0;
  }
  if (take(fd, to.ss_family, own, INIT_ACK, &packet, &peer, PATIENCE_MS) == 0 || packet.source != asked) {
    puts("timeout");
    return 0;
  }
  printf("answer from %s:%d\n", name_of(&peer), ntohs(packet.source));
  return 0;
}

static int do_answer(char **args) {
  uint16_t port = htons((uint16_t)atoi(args[0]));
  struct pollfd fds[2] = {{.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP), .events = POLLIN},
                          {.fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP), .events = POLLIN}};
  puts("ready");
  while (fflush(stdout) == 0 && poll(fds, 2, -1) > 0) {
    for (int i = 0; i < 2; i++) {
      int family = i == 0 ? AF_INET : AF_INET6;
      struct packet packet;
      struct sockaddr_storage peer;
      if (fds[i].revents == 0 || take(fds[i].fd, family, port, INIT, &packet, &peer, 0) == 0) {
        continue;
      }
      printf("asked by %s\n", name_of(&peer));
      packet.destination = packet.source;
      packet.source = port;
      packet.tag = packet.initiate_tag;
      if (family == AF_INET6) {
        ((struct sockaddr_in6 *)&peer)->sin6_port = 0; /* raw sockets take no port */
      }
      (void)sendto(fds[i].fd, &packet, seal(&packet, INIT_ACK), 0, (struct sockaddr *)&peer,
                   family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    }
  }
  return 1;
}

static int do_serve(char **args) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(args[0]))};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 8) < 0) {
    perror("sctp: serve");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (int client; (client = accept(fd, NULL, NULL)) >= 0; close(client)) {
    (void)send(client, args[1], strlen(args[1]), MSG_NOSIGNAL);
  }
  return 1;
}

static int do_ask(char **args) {
  struct sockaddr_storage to;
  socklen_t to_size;
  char text[64] = "";
  if (!resolve(args[0], atoi(args[1]), &to, &to_size)) {
    return 2;
  }
  int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
  (void)alarm(5);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, to_size) < 0 || recv(fd, text, sizeof(text) - 1, 0) < 0) {
    puts(strerrorname_np(errno));
    return 0;
  }
  puts(text);
  return 0;
}

static const struct {
  const char *name;
  int count;
  int (*run)(char **args);
} verbs[] = {{"greet", 2, do_greet}, {"answer", 1, do_answer}, {"serve", 2, do_serve}, {"ask", 2, do_ask}};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
    if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 == verbs[i].count) {
      return verbs[i].run(argv + 2);
    }
  }
  fputs("sctp: bad verb\n", stderr);
  return 2;
}
