/* Questions from sandboxes: answered from zones, or handed to relay.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "names/parts.h"

#define PACKETS_PER_TURN 64
#define CLASS_IN 1
#define CLASS_ANY 255

/* The asker's own machine, whatever anybody calls himself (RFC 6761). */
static const struct zone_host *loopback(void) {
  static char name[] = "localhost";
  static struct in_addr four;
  static struct in6_addr six = IN6ADDR_LOOPBACK_INIT;
  static const struct zone_host host = {.name = name, .addresses = &four, .count = 1, .addresses6 = &six, .count6 = 1};
  four.s_addr = htonl(INADDR_LOOPBACK);
  return &host;
}

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

static const struct zone_host *find_host(const struct sandbox *sandbox, const char *name) {
  if (strcmp(name, "localhost") == 0) {
    return loopback();
  }
  const struct zone_host *host = sandbox->extra == NULL ? NULL : zone_find(sandbox->extra, name);
  for (size_t i = 0; host == NULL && i < sandbox->zone_count; i++) {
    host = sandbox->zones[i].zone == NULL ? NULL : zone_find(sandbox->zones[i].zone, name);
  }
  return host == NULL && ends_with(name, ".localhost") ? loopback() : host;
}

static const struct zone_host *find_address(const struct sandbox *sandbox, const char *name) {
  struct in6_addr address;
  const struct zone_host *host = NULL;
  int family = dns_reverse_address(name, &address);
  if (family == 0) {
    return NULL;
  }
  for (size_t i = 0; host == NULL && i < sandbox->zone_count; i++) {
    host = sandbox->zones[i].zone == NULL ? NULL : zone_find_address(sandbox->zones[i].zone, family, &address);
  }
  return host;
}

/* What a host has of a type; a question for anything gets one family, IPv4 first. */
static struct dns_addresses records_of(const struct zone_host *host, uint16_t type) {
  if (type == DNS_A || (type == DNS_ANY && host->count > 0)) {
    return (struct dns_addresses){.family = AF_INET, .bytes = host->addresses, .count = host->count};
  }
  if (type == DNS_AAAA || type == DNS_ANY) {
    return (struct dns_addresses){.family = AF_INET6, .bytes = host->addresses6, .count = host->count6};
  }
  return (struct dns_addresses){0};
}

/* The answer we can give ourselves, in server->answer; 0: it must be relayed. */
static size_t answer_here(struct server *server, const struct sandbox *sandbox, const uint8_t *query, size_t size,
                          const struct dns_question *question, size_t limit) {
  bool ours = question->plain && (question->class == CLASS_IN || question->class == CLASS_ANY);
  if (ours && question->type == DNS_PTR) {
    const struct zone_host *host = find_address(sandbox, question->name);
    if (host != NULL) {
      return dns_write_name(query, question, host->name, server->answer, limit);
    }
  } else if (ours) {
    const struct zone_host *host = find_host(sandbox, question->name);
    struct dns_addresses addresses = host == NULL ? (struct dns_addresses){0} : records_of(host, question->type);
    /* A known name without such records: no error, no data. */
    if (host != NULL && addresses.count == 0) {
      return dns_write_code(query, size, question, DNS_OK, server->answer);
    }
    if (host != NULL) {
      size_t first = server->turn++ % addresses.count;
      return dns_write_addresses(query, question, &addresses, first, server->answer, limit);
    }
  }
  if (!gate_allows(server, sandbox, question)) {
    return dns_write_code(query, size, question, DNS_REFUSED, server->answer);
  }
  if (sandbox->internal || sandbox->upstream_count == 0 || sandbox->questions >= QUESTIONS_MAX) {
    return dns_write_code(query, size, question, DNS_FAILED, server->answer);
  }
  return 0;
}

static void send_to(const struct sandbox *sandbox, const struct sockaddr_in *client, const uint8_t *packet,
                    size_t size) {
  /* A client that does not read loses answers, as UDP does. */
  (void)sendto(sandbox->clients.fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)client,
               sizeof(*client));
}

void clients_ready(struct server *server, struct sandbox *sandbox) {
  for (int i = 0; i < PACKETS_PER_TURN; i++) {
    struct sockaddr_in client;
    socklen_t length = sizeof(client);
    ssize_t n = recvfrom(sandbox->clients.fd, server->packet, DNS_UDP_MAX, MSG_DONTWAIT | MSG_TRUNC,
                         (struct sockaddr *)&client, &length);
    if (n < 0) {
      return;
    }
    if (n > DNS_UDP_MAX || length != sizeof(client)) {
      continue;
    }
    struct dns_question question;
    int code = dns_read_query(server->packet, (size_t)n, &question);
    if (code < 0) {
      continue;
    }
    size_t size = code == DNS_OK
                      ? answer_here(server, sandbox, server->packet, (size_t)n, &question, question.udp_limit)
                      : dns_write_code(server->packet, (size_t)n, &question, (enum dns_code)code, server->answer);
    if (size > 0) {
      send_to(sandbox, &client, server->answer, size);
    } else {
      relay_start(server, sandbox, NULL, &client, server->packet, (size_t)n, question.end);
    }
  }
}

/* Connections, oldest deadline first. */
static void unlink_connection(struct server *server, struct connection *connection) {
  *(connection->previous == NULL ? &server->first_connection : &connection->previous->next) = connection->next;
  *(connection->next == NULL ? &server->last_connection : &connection->next->previous) = connection->previous;
  connection->previous = connection->next = NULL;
}

static void touch(struct server *server, struct connection *connection) {
  connection->deadline = now_milliseconds() + CONNECTION_MILLISECONDS;
  connection->previous = server->last_connection;
  connection->next = NULL;
  *(server->last_connection == NULL ? &server->first_connection : &server->last_connection->next) = connection;
  server->last_connection = connection;
}

void connection_close(struct server *server, struct connection *connection) {
  if (connection->dead) {
    return;
  }
  connection->dead = true;
  unlink_connection(server, connection);
  if (connection->relay != NULL) {
    struct relay *relay = connection->relay;
    connection->relay = NULL;
    relay_cancel(server, relay);
  }
  close(connection->source.fd);
  connection->source.sandbox->connections--;
  free(take_ptr(connection->out));
  connection->next = server->dead_connections;
  server->dead_connections = connection;
}

void connections_expire(struct server *server, int64_t now) {
  while (server->first_connection != NULL && server->first_connection->deadline <= now) {
    connection_close(server, server->first_connection);
  }
}

void connections_drop(struct server *server, const struct sandbox *sandbox) {
  struct connection *next;
  for (struct connection *c = server->first_connection; c != NULL; c = next) {
    next = c->next;
    if (c->source.sandbox == sandbox) {
      connection_close(server, c);
    }
  }
}

static void close_oldest(struct server *server, const struct sandbox *sandbox) {
  for (struct connection *c = server->first_connection; c != NULL; c = c->next) {
    if (c->source.sandbox == sandbox) {
      connection_close(server, c);
      return;
    }
  }
}

void listener_ready(struct server *server, struct sandbox *sandbox) {
  int fd = accept4(sandbox->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    return;
  }
  if (sandbox->connections >= CONNECTIONS_MAX) {
    close_oldest(server, sandbox);
  }
  struct connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL) {
    close(fd);
    return;
  }
  connection->source = (struct source){.kind = SOURCE_CONNECTION, .fd = fd, .sandbox = sandbox};
  if (watch(server, &connection->source, EPOLLIN, NULL) < 0) {
    close(fd);
    free(connection);
    return;
  }
  sandbox->connections++;
  touch(server, connection);
}

static bool connection_send(struct server *server, struct connection *connection) {
  while (connection->out != NULL) {
    ssize_t n = send(connection->source.fd, connection->out + connection->out_done,
                     connection->out_size - connection->out_done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN) {
        connection_close(server, connection);
        return false;
      }
      return watch(server, &connection->source, EPOLLOUT, NULL) == 0;
    }
    connection->out_done += (size_t)n;
    if (connection->out_done == connection->out_size) {
      free(take_ptr(connection->out));
    }
  }
  return watch(server, &connection->source, EPOLLIN, NULL) == 0;
}

static void connection_answer(struct server *server, struct connection *connection, const uint8_t *packet,
                              size_t size) {
  connection->out = malloc(size + 2);
  if (connection->out == NULL || size > DNS_PACKET_MAX) {
    connection_close(server, connection);
    return;
  }
  dns_put16(connection->out, (uint16_t)size);
  memcpy(connection->out + 2, packet, size);
  connection->out_size = size + 2;
  connection->out_done = 0;
  (void)connection_send(server, connection);
}

/* One question at a time; what was sent behind it waits in the buffer. */
static void next_question(struct server *server, struct connection *connection) {
  while (!connection->dead && connection->relay == NULL && connection->out == NULL && connection->have >= 2) {
    size_t size = dns_get16(connection->in);
    if (size > DNS_UDP_MAX || size < DNS_HEADER) {
      connection_close(server, connection);
      return;
    }
    if (connection->have < size + 2) {
      return;
    }
    memcpy(server->packet, connection->in + 2, size);
    connection->have -= size + 2;
    memmove(connection->in, connection->in + size + 2, connection->have);
    struct dns_question question;
    int code = dns_read_query(server->packet, size, &question);
    if (code < 0) {
      connection_close(server, connection);
      return;
    }
    struct sandbox *sandbox = connection->source.sandbox;
    size_t answer = code == DNS_OK
                        ? answer_here(server, sandbox, server->packet, size, &question, DNS_PACKET_MAX)
                        : dns_write_code(server->packet, size, &question, (enum dns_code)code, server->answer);
    if (answer > 0) {
      connection_answer(server, connection, server->answer, answer);
    } else {
      relay_start(server, sandbox, connection, NULL, server->packet, size, question.end);
    }
  }
}

void connection_ready(struct server *server, struct connection *connection, uint32_t events) {
  if (connection->dead) {
    return;
  }
  if (connection->out != NULL) {
    if (!connection_send(server, connection) || connection->out != NULL) {
      return;
    }
  } else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    ssize_t n = recv(connection->source.fd, connection->in + connection->have,
                     sizeof(connection->in) - connection->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    }
    if (n <= 0) {
      connection_close(server, connection);
      return;
    }
    connection->have += (size_t)n;
  }
  unlink_connection(server, connection);
  touch(server, connection);
  next_question(server, connection);
}

void client_answer(struct server *server, struct relay *relay, const uint8_t *packet, size_t size) {
  struct connection *connection = relay->connection;
  if (connection == NULL) {
    send_to(relay->sandbox, &relay->client, packet, size);
    return;
  }
  relay->connection = NULL;
  connection->relay = NULL;
  connection_answer(server, connection, packet, size);
  if (!connection->dead) {
    next_question(server, connection);
  }
}
