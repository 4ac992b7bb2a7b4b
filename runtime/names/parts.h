/* names/parts: what the files of the server share. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/json.h"
#include "names/wire.h"
#include "names/zone.h"

/* Per sandbox: one container cannot starve the others. */
#define QUESTIONS_MAX 1024
#define CONNECTIONS_MAX 64
#define UPSTREAMS_MAX 8
#define ZONES_MAX 128
#define TRY_MILLISECONDS 2000
/* A server that did not answer is asked last for so long. */
#define AVOID_MILLISECONDS 30000
#define CONNECTION_MILLISECONDS 10000
/* A UDP socket changes its port when it is idle after so many questions. */
#define PORT_USES 32
#define RELAY_BUCKETS 4096

enum source_kind { SOURCE_CONTROL, SOURCE_CLIENTS, SOURCE_LISTENER, SOURCE_CONNECTION, SOURCE_CHANNEL, SOURCE_STREAM };

/* What an epoll event points at; the first member of everything that is waited for. */
struct source {
  enum source_kind kind;
  int fd;
  struct sandbox *sandbox; /* NULL: the host's */
};

/* A UDP socket towards upstream servers. */
struct channel {
  struct source source;
  int family;
  unsigned in_flight;
  unsigned uses;
};

/* A TCP socket towards upstream servers; disconnected and used again. */
struct stream {
  struct source source;
  int family;
  struct relay *relay; /* NULL: free */
  uint8_t *buffer;     /* the message with its length in front */
  size_t size;
  size_t done;
  bool reading;
};

#define CHANNELS_MAX 6
#define STREAMS_MAX 6

struct pool {
  struct channel channels[CHANNELS_MAX];
  size_t channel_count;
  struct stream streams[STREAMS_MAX];
  size_t stream_count;
};

struct upstream {
  struct sockaddr_storage address;
  socklen_t size;
  bool host;
  int64_t avoided_until;
};

struct zone_ref {
  char *id;
  const struct zone *zone; /* NULL: not published (yet) */
};

/* A name that a limited sandbox may ask for. */
struct egress_rule {
  char *name;    /* lower case, no dot at the end */
  bool below;    /* every name below it, not itself */
  uint16_t port; /* 0: any */
};

struct sandbox {
  char *name;
  struct source clients;
  struct source listener;
  struct pool pool;
  struct zone *extra;
  struct zone_ref zones[ZONES_MAX];
  size_t zone_count;
  struct upstream upstreams[UPSTREAMS_MAX];
  size_t upstream_count;
  bool internal;
  bool limited; /* only names of `rules` are relayed, and the gate opens for their addresses first */
  struct egress_rule *rules;
  size_t rule_count;
  bool dead;
  unsigned questions;
  unsigned connections;
  struct sandbox *next;
};

struct connection {
  struct source source;
  struct relay *relay;
  int64_t deadline;
  uint8_t in[2 + DNS_UDP_MAX];
  size_t have;
  uint8_t *out;
  size_t out_size;
  size_t out_done;
  bool dead;
  struct connection *previous, *next;
};

/* A question on its way to an upstream server. */
struct relay {
  struct sandbox *sandbox;
  struct connection *connection; /* NULL: asked over UDP */
  struct sockaddr_in client;
  uint16_t client_id;
  unsigned first; /* number of the server asked first */
  unsigned attempt;
  bool by_tcp;
  uint16_t id;
  struct channel *channel;
  struct stream *stream;
  int64_t deadline;
  size_t question_end;
  size_t size;
  struct relay *bucket_next;
  struct relay *previous, *next;
  uint8_t query[];
};

struct server {
  int epoll;
  bool ended;
  int gate; /* to whoever opens the firewall; -1: nobody, and limited sandboxes get no outside names */
  struct source control;
  struct pool host;
  struct zone *zones;
  struct sandbox *sandboxes;
  struct sandbox *dead_sandboxes; /* freed between turns: events may still point at them */
  struct relay *first, *last;     /* by deadline */
  struct relay *buckets[RELAY_BUCKETS];
  struct connection *first_connection, *last_connection; /* by deadline */
  struct connection *dead_connections;
  uint32_t turn;
  uint16_t random[64];
  size_t random_left;
  uint8_t packet[DNS_PACKET_MAX + 1];
  uint8_t answer[DNS_PACKET_MAX + 1];
};

int64_t now_milliseconds(void);
uint16_t random16(struct server *server);
int watch(struct server *server, struct source *source, uint32_t events, struct err *err);

/* gate.c: what limited sandboxes may reach */
int gate_read(struct sandbox *sandbox, const struct json *message, struct err *err);
void gate_forget(struct sandbox *sandbox);
/* Whether the name may be asked for; a refusal is reported. */
bool gate_allows(const struct server *server, const struct sandbox *sandbox, const struct dns_question *question);
/* Opens the way to the addresses of an answer and waits until it is open. False: the answer must not be given. */
bool gate_admit(const struct server *server, const struct sandbox *sandbox, const struct relay *relay,
                const uint8_t *packet, size_t size);

/* client.c: those who ask */
void clients_ready(struct server *server, struct sandbox *sandbox);
void listener_ready(struct server *server, struct sandbox *sandbox);
void connection_ready(struct server *server, struct connection *connection, uint32_t events);
void connection_close(struct server *server, struct connection *connection);
void connections_expire(struct server *server, int64_t now);
void connections_drop(struct server *server, const struct sandbox *sandbox);
/* The end of a relay: `packet` already carries the client's id. */
void client_answer(struct server *server, struct relay *relay, const uint8_t *packet, size_t size);

/* relay.c: those who are asked */
void relay_start(struct server *server, struct sandbox *sandbox, struct connection *connection,
                 const struct sockaddr_in *client, const uint8_t *query, size_t size, size_t question_end);
void relay_cancel(struct server *server, struct relay *relay);
void relays_expire(struct server *server, int64_t now);
void relays_drop(struct server *server, const struct sandbox *sandbox);
void channel_ready(struct server *server, struct channel *channel, uint32_t events);
void stream_ready(struct server *server, struct stream *stream, uint32_t events);
