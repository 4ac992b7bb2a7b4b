/*
 * Questions we cannot answer, carried to upstream servers as they are: only the id is replaced. An answer counts when
 * it comes from the server asked, to the socket asked from, with our id and the question repeated (N10). A truncated
 * answer to a TCP client is asked again over TCP; a UDP client is told, and asks again itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "names/parts.h"

#define PACKETS_PER_TURN 64

static void attempt(struct server *server, struct relay *relay);

/* ---- the list by deadline and the table by id ---- */

static size_t bucket_of(const struct channel *channel, uint16_t id) {
  return (id ^ (((uintptr_t)channel >> 4) * 2654435761U)) % RELAY_BUCKETS;
}

static struct relay *find(struct server *server, const struct channel *channel, uint16_t id) {
  struct relay *relay = server->buckets[bucket_of(channel, id)];
  while (relay != NULL && (relay->channel != channel || relay->id != id)) {
    relay = relay->bucket_next;
  }
  return relay;
}

static void unlist(struct server *server, struct relay *relay) {
  *(relay->previous == NULL ? &server->first : &relay->previous->next) = relay->next;
  *(relay->next == NULL ? &server->last : &relay->next->previous) = relay->previous;
}

static void enlist(struct server *server, struct relay *relay) {
  relay->deadline = now_milliseconds() + TRY_MILLISECONDS;
  relay->previous = server->last;
  relay->next = NULL;
  *(server->last == NULL ? &server->first : &server->last->next) = relay;
  server->last = relay;
}

/* Forgets the socket of the present attempt. */
static void let_go(struct server *server, struct relay *relay) {
  if (relay->channel != NULL) {
    struct relay **at = &server->buckets[bucket_of(relay->channel, relay->id)];
    while (*at != relay) {
      at = &(*at)->bucket_next;
    }
    *at = relay->bucket_next;
    relay->channel->in_flight--;
    relay->channel = NULL;
  }
  if (relay->stream != NULL) {
    struct stream *stream = relay->stream;
    relay->stream = NULL;
    stream->relay = NULL;
    free(take_ptr(stream->buffer));
    (void)watch(server, &stream->source, 0, NULL);
    /* Disconnected, a TCP socket is as new: the next question comes from another port. */
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(stream->source.fd, &none, sizeof(none));
  }
}

static void destroy(struct server *server, struct relay *relay) {
  let_go(server, relay);
  unlist(server, relay);
  relay->sandbox->questions--;
  if (relay->connection != NULL) {
    relay->connection->relay = NULL;
  }
  free(relay);
}

/* A stream came free: the oldest question that waits for one. */
static void wake_waiting(struct server *server) {
  for (struct relay *relay = server->first; relay != NULL; relay = relay->next) {
    if (relay->by_tcp && relay->stream == NULL) {
      attempt(server, relay);
      return;
    }
  }
}

static void finish(struct server *server, struct relay *relay, uint8_t *packet, size_t size) {
  bool had_stream = relay->stream != NULL;
  dns_put16(packet, relay->client_id);
  client_answer(server, relay, packet, size);
  destroy(server, relay);
  if (had_stream) {
    wake_waiting(server);
  }
}

static void give_up(struct server *server, struct relay *relay) {
  struct dns_question question;
  if (dns_read_query(relay->query, relay->size, &question) != DNS_OK) {
    destroy(server, relay);
    return;
  }
  size_t size = dns_write_code(relay->query, relay->size, &question, DNS_FAILED, server->answer);
  finish(server, relay, server->answer, size);
}

void relay_cancel(struct server *server, struct relay *relay) {
  bool had_stream = relay->stream != NULL;
  destroy(server, relay);
  if (had_stream) {
    wake_waiting(server);
  }
}

/* ---- sending ---- */

static struct pool *pool_of(struct server *server, const struct relay *relay, const struct upstream *upstream) {
  return upstream->host ? &server->host : &relay->sandbox->pool;
}

static struct upstream *upstream_of(const struct relay *relay) {
  return &relay->sandbox->upstreams[(relay->first + relay->attempt) % relay->sandbox->upstream_count];
}

/* In the order given, but one that failed a moment ago would make every question wait. */
static unsigned first_upstream(const struct sandbox *sandbox, int64_t now) {
  for (unsigned i = 0; i < sandbox->upstream_count; i++) {
    if (sandbox->upstreams[i].avoided_until <= now) {
      return i;
    }
  }
  return 0;
}

static unsigned attempts_of(const struct relay *relay) {
  size_t servers = relay->sandbox->upstream_count;
  return servers == 1 ? 2 : servers > 3 ? 3 : (unsigned)servers;
}

/* A random one of the family; an idle one that was used enough moves to another random port. */
static struct channel *choose_channel(struct server *server, struct pool *pool, int family) {
  size_t start = pool->channel_count == 0 ? 0 : random16(server) % pool->channel_count;
  for (size_t i = 0; i < pool->channel_count; i++) {
    struct channel *channel = &pool->channels[(start + i) % pool->channel_count];
    if (channel->family != family || channel->source.fd < 0) {
      continue;
    }
    if (channel->in_flight == 0 && channel->uses >= PORT_USES) {
      struct sockaddr none = {.sa_family = AF_UNSPEC};
      (void)connect(channel->source.fd, &none, sizeof(none));
      channel->uses = 0;
    }
    return channel;
  }
  return NULL;
}

static bool send_by_udp(struct server *server, struct relay *relay, const struct upstream *upstream) {
  struct channel *channel = choose_channel(server, pool_of(server, relay, upstream), upstream->address.ss_family);
  if (channel == NULL) {
    return false;
  }
  uint16_t id;
  do {
    id = random16(server);
  } while (find(server, channel, id) != NULL);
  relay->id = id;
  relay->channel = channel;
  relay->bucket_next = server->buckets[bucket_of(channel, id)];
  server->buckets[bucket_of(channel, id)] = relay;
  channel->in_flight++;
  channel->uses++;
  dns_put16(relay->query, id);
  for (int try = 0; try < 2; try++) {
    if (sendto(channel->source.fd, relay->query, relay->size, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&upstream->address, upstream->size) >= 0) {
      return true;
    }
    /* The first failure may be about an earlier question (IP_RECVERR). */
  }
  return false;
}

/* The host's few streams are everybody's: one sandbox holds half of them at most. */
static bool holds_its_share(const struct server *server, const struct pool *pool, const struct sandbox *sandbox) {
  size_t held = 0;
  for (size_t i = 0; i < pool->stream_count; i++) {
    held += pool->streams[i].relay != NULL && pool->streams[i].relay->sandbox == sandbox;
  }
  return pool == &server->host && held * 2 >= pool->stream_count;
}

/* True also when every stream is busy: the relay then waits for one, until its deadline. */
static bool send_by_tcp(struct server *server, struct relay *relay, const struct upstream *upstream) {
  struct pool *pool = pool_of(server, relay, upstream);
  struct stream *stream = NULL;
  bool any = false;
  for (size_t i = 0; i < pool->stream_count && stream == NULL; i++) {
    bool fits = pool->streams[i].family == upstream->address.ss_family && pool->streams[i].source.fd >= 0;
    any = any || fits;
    stream = fits && pool->streams[i].relay == NULL ? &pool->streams[i] : NULL;
  }
  if (stream != NULL && holds_its_share(server, pool, relay->sandbox)) {
    stream = NULL;
  }
  if (stream == NULL) {
    return any;
  }
  uint8_t *buffer = malloc(relay->size + 2);
  if (buffer == NULL) {
    return false;
  }
  relay->id = random16(server);
  dns_put16(relay->query, relay->id);
  dns_put16(buffer, (uint16_t)relay->size);
  memcpy(buffer + 2, relay->query, relay->size);
  stream->relay = relay;
  relay->stream = stream;
  stream->buffer = buffer;
  stream->size = relay->size + 2;
  stream->done = 0;
  stream->reading = false;
  if (connect(stream->source.fd, (const struct sockaddr *)&upstream->address, upstream->size) < 0 &&
      errno != EINPROGRESS) {
    return false;
  }
  return watch(server, &stream->source, EPOLLOUT, NULL) == 0;
}

/* Asks the server whose turn it is, or the next ones when it cannot even be asked. */
static void attempt(struct server *server, struct relay *relay) {
  for (; relay->sandbox->upstream_count > 0 && relay->attempt < attempts_of(relay); relay->attempt++) {
    const struct upstream *upstream = upstream_of(relay);
    if (relay->by_tcp ? send_by_tcp(server, relay, upstream) : send_by_udp(server, relay, upstream)) {
      return;
    }
    let_go(server, relay);
  }
  give_up(server, relay);
}

/* The next server, or the end. `failed`: this one gave no answer at all. */
static void attempt_next(struct server *server, struct relay *relay, bool failed) {
  if (failed && relay->sandbox->upstream_count > 0) {
    upstream_of(relay)->avoided_until = now_milliseconds() + AVOID_MILLISECONDS;
  }
  bool had_stream = relay->stream != NULL;
  let_go(server, relay);
  unlist(server, relay);
  enlist(server, relay);
  relay->attempt++;
  attempt(server, relay);
  if (had_stream) {
    wake_waiting(server);
  }
}

void relay_start(struct server *server, struct sandbox *sandbox, struct connection *connection,
                 const struct sockaddr_in *client, const uint8_t *query, size_t size, size_t question_end) {
  struct relay *relay = malloc(sizeof(*relay) + size);
  if (relay == NULL) {
    return;
  }
  *relay = (struct relay){.sandbox = sandbox,
                          .connection = connection,
                          .client_id = dns_get16(query),
                          .first = first_upstream(sandbox, now_milliseconds()),
                          .question_end = question_end,
                          .size = size};
  if (client != NULL) {
    relay->client = *client;
  }
  if (connection != NULL) {
    connection->relay = relay;
  }
  memcpy(relay->query, query, size);
  sandbox->questions++;
  enlist(server, relay);
  attempt(server, relay);
}

void relays_expire(struct server *server, int64_t now) {
  while (server->first != NULL && server->first->deadline <= now) {
    struct relay *relay = server->first;
    /* One that waited for a stream was not asked. */
    attempt_next(server, relay, relay->channel != NULL || relay->stream != NULL);
  }
}

void relays_drop(struct server *server, const struct sandbox *sandbox) {
  struct relay *next;
  for (struct relay *relay = server->first; relay != NULL; relay = next) {
    next = relay->next;
    if (relay->sandbox == sandbox) {
      destroy(server, relay);
    }
  }
}

/* ---- answers ---- */

/* Another server may know better; the last one's answer stands whatever it is. */
static bool worth_another(const struct relay *relay, const uint8_t *packet) {
  int code = dns_code_of(packet);
  return (code == DNS_FAILED || code == DNS_NOT_DONE || code == DNS_REFUSED) && relay->sandbox->upstream_count > 1 &&
         relay->attempt + 1 < attempts_of(relay);
}

static void answered(struct server *server, struct relay *relay, uint8_t *packet, size_t size) {
  if (worth_another(relay, packet)) {
    attempt_next(server, relay, /* failed= */ false);
    return;
  }
  if (relay->connection != NULL && !relay->by_tcp && dns_truncated(packet)) {
    let_go(server, relay);
    relay->by_tcp = true;
    attempt(server, relay);
    return;
  }
  if (!gate_admit(server, relay->sandbox, relay, packet, size)) {
    give_up(server, relay);
    return;
  }
  finish(server, relay, packet, size);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
  if (a->ss_family != b->ss_family) {
    return false;
  }
  if (a->ss_family == AF_INET) {
    const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
    return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
  }
  const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
  return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, 16) == 0;
}

/* The network says that a question did not arrive (nobody listens, no way): the next server, now and not at the
   deadline. The message is the question as it was sent, its address the server's. */
static void read_errors(struct server *server, struct channel *channel) {
  for (int i = 0; i < PACKETS_PER_TURN; i++) {
    struct sockaddr_storage to = {0};
    struct iovec piece = {.iov_base = server->packet, .iov_len = DNS_PACKET_MAX};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &piece, .msg_iovlen = 1};
    ssize_t n = recvmsg(channel->source.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0) {
      return;
    }
    struct relay *relay = n < 2 ? NULL : find(server, channel, dns_get16(server->packet));
    if (relay != NULL && relay->sandbox->upstream_count > 0 && same_address(&to, &upstream_of(relay)->address)) {
      attempt_next(server, relay, /* failed= */ true);
    }
  }
}

void channel_ready(struct server *server, struct channel *channel, uint32_t events) {
  if ((events & EPOLLERR) != 0) {
    read_errors(server, channel);
  }
  for (int i = 0; i < PACKETS_PER_TURN && channel->source.fd >= 0; i++) {
    struct sockaddr_storage from = {0};
    socklen_t length = sizeof(from);
    ssize_t n =
        recvfrom(channel->source.fd, server->packet, DNS_PACKET_MAX, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (n < 0) {
      return;
    }
    if (n < DNS_HEADER) {
      continue;
    }
    struct relay *relay = find(server, channel, dns_get16(server->packet));
    if (relay != NULL && relay->sandbox->upstream_count > 0 && same_address(&from, &upstream_of(relay)->address) &&
        dns_answers(server->packet, (size_t)n, relay->query, relay->question_end)) {
      answered(server, relay, server->packet, (size_t)n);
    }
  }
}

/* 1 when the message is complete, 0 to wait, -1 when the stream is broken. */
static int stream_read(struct stream *stream) {
  for (;;) {
    if (stream->done == stream->size) {
      if (stream->size > 2) {
        return 1;
      }
      size_t body = dns_get16(stream->buffer);
      uint8_t *grown = body < DNS_HEADER ? NULL : realloc(stream->buffer, body + 2);
      if (grown == NULL) {
        return -1;
      }
      stream->buffer = grown;
      stream->size = body + 2;
    }
    ssize_t n = recv(stream->source.fd, stream->buffer + stream->done, stream->size - stream->done, MSG_DONTWAIT);
    if (n <= 0) {
      return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    stream->done += (size_t)n;
  }
}

/* The same for the question. */
static int stream_write(struct server *server, struct stream *stream) {
  ssize_t n =
      send(stream->source.fd, stream->buffer + stream->done, stream->size - stream->done, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) {
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  stream->done += (size_t)n;
  if (stream->done == stream->size) {
    stream->reading = true;
    stream->size = 2;
    stream->done = 0;
    return watch(server, &stream->source, EPOLLIN, NULL) == 0 ? 0 : -1;
  }
  return 0;
}

void stream_ready(struct server *server, struct stream *stream, uint32_t events) {
  (void)events;
  struct relay *relay = stream->relay;
  if (relay == NULL) {
    return;
  }
  int r = stream->reading ? stream_read(stream) : stream_write(server, stream);
  if (r == 0) {
    return;
  }
  size_t size = stream->size - 2;
  if (r < 0 || !dns_answers(stream->buffer + 2, size, relay->query, relay->question_end)) {
    attempt_next(server, relay, /* failed= */ true);
    return;
  }
  memcpy(server->packet, stream->buffer + 2, size);
  answered(server, relay, server->packet, size);
}
