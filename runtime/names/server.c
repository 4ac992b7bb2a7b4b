#include "names/server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "names/names.h"
#include "names/parts.h"

#define EVENTS_PER_TURN 64
#define SANDBOX_FDS 6
#define HOST_CHANNELS_4 4
#define HOST_CHANNELS_6 2

int64_t now_milliseconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint16_t random16(struct server *server) {
  if (server->random_left == 0) {
    while (getrandom(server->random, sizeof(server->random), 0) != sizeof(server->random)) {
    }
    server->random_left = array_length(server->random);
  }
  return server->random[--server->random_left];
}

/* No events: not waited for at all (a closed TCP socket would report its hang-up for ever). */
int watch(struct server *server, struct source *source, uint32_t events, struct err *err) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  if (events == 0) {
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    return 0;
  }
  if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, source->fd, &event) == 0) {
    return 0;
  }
  if (errno != ENOENT || epoll_ctl(server->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0) {
    return err_errno(err, "cannot wait for a socket");
  }
  return 0;
}

/* ---- sockets ---- */

static void add_channel(struct pool *pool, int fd, int family, struct sandbox *sandbox) {
  pool->channels[pool->channel_count++] =
      (struct channel){.source = {.kind = SOURCE_CHANNEL, .fd = fd, .sandbox = sandbox}, .family = family};
}

static void add_stream(struct pool *pool, int fd, int family, struct sandbox *sandbox) {
  pool->streams[pool->stream_count++] =
      (struct stream){.source = {.kind = SOURCE_STREAM, .fd = fd, .sandbox = sandbox}, .family = family};
}

static int watch_channels(struct server *server, struct pool *pool, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < pool->channel_count; i++) {
    r = watch(server, &pool->channels[i].source, EPOLLIN, err);
  }
  return r;
}

static void close_pool(struct pool *pool) {
  for (size_t i = 0; i < pool->channel_count; i++) {
    close(pool->channels[i].source.fd);
  }
  for (size_t i = 0; i < pool->stream_count; i++) {
    close(pool->streams[i].source.fd);
    free(pool->streams[i].buffer);
  }
  *pool = (struct pool){0};
}

/* Made before confinement, used for the whole life: the confined process cannot open sockets. */
static int open_host_pool(struct server *server, struct err *err) {
  for (int i = 0; i < HOST_CHANNELS_4 + HOST_CHANNELS_6; i++) {
    int family = i < HOST_CHANNELS_4 ? AF_INET : AF_INET6;
    cleanup_close int udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cleanup_close int tcp = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (family == AF_INET6 && (udp < 0 || tcp < 0)) {
      break; /* a host without IPv6 has no such servers either */
    }
    if (udp < 0 || tcp < 0) {
      return err_errno(err, "cannot open a socket");
    }
    int r = fd_report_errors(udp, family, err);
    if (r < 0) {
      return r;
    }
    add_channel(&server->host, take_fd(&udp), family, NULL);
    add_stream(&server->host, take_fd(&tcp), family, NULL);
  }
  return watch_channels(server, &server->host, err);
}

int server_new(struct server **ret_server, int gate, struct err *err) {
  struct server *server = calloc(1, sizeof(*server));
  if (server == NULL) {
    return err_oom(err);
  }
  server->control.fd = -1;
  server->gate = gate;
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  int r = server->epoll < 0 ? err_errno(err, "cannot create an epoll") : open_host_pool(server, err);
  if (r < 0) {
    server_free(server);
    return r;
  }
  *ret_server = server;
  return 0;
}

static void close_sandbox_sockets(struct server *server, struct sandbox *sandbox) {
  relays_drop(server, sandbox);
  connections_drop(server, sandbox);
  close_pool(&sandbox->pool);
  if (sandbox->clients.fd >= 0) {
    close(sandbox->clients.fd);
    close(sandbox->listener.fd);
  }
  sandbox->clients.fd = sandbox->listener.fd = -1;
}

static void forget_zones(struct sandbox *sandbox) {
  for (size_t i = 0; i < sandbox->zone_count; i++) {
    free(sandbox->zones[i].id);
  }
  sandbox->zone_count = 0;
}

static void bury(struct server *server) {
  while (server->dead_connections != NULL) {
    struct connection *connection = server->dead_connections;
    server->dead_connections = connection->next;
    free(connection);
  }
  while (server->dead_sandboxes != NULL) {
    struct sandbox *sandbox = server->dead_sandboxes;
    server->dead_sandboxes = sandbox->next;
    forget_zones(sandbox);
    gate_forget(sandbox);
    zone_free(sandbox->extra);
    free(sandbox->name);
    free(sandbox);
  }
}

static void drop_sandbox(struct server *server, struct sandbox *sandbox) {
  struct sandbox **at = &server->sandboxes;
  while (*at != sandbox) {
    at = &(*at)->next;
  }
  *at = sandbox->next;
  close_sandbox_sockets(server, sandbox);
  sandbox->dead = true;
  sandbox->next = server->dead_sandboxes;
  server->dead_sandboxes = sandbox;
}

void server_free(struct server *server) {
  if (server == NULL) {
    return;
  }
  while (server->sandboxes != NULL) {
    drop_sandbox(server, server->sandboxes);
  }
  bury(server);
  while (server->zones != NULL) {
    struct zone *zone = server->zones;
    server->zones = zone->next;
    zone_free(zone);
  }
  close_pool(&server->host);
  if (server->epoll >= 0) {
    close(server->epoll);
  }
  free(server);
}

/* ---- control messages ---- */

static const struct zone *zone_by_id(const struct server *server, const char *id) {
  const struct zone *zone = server->zones;
  while (zone != NULL && strcmp(zone->id, id) != 0) {
    zone = zone->next;
  }
  return zone;
}

static void resolve_zones(const struct server *server, struct sandbox *sandbox) {
  for (size_t i = 0; i < sandbox->zone_count; i++) {
    sandbox->zones[i].zone = zone_by_id(server, sandbox->zones[i].id);
  }
}

static int take_zone(struct server *server, const struct json *message, struct err *err) {
  const char *id = NULL;
  struct json hosts = {0};
  struct zone *fresh = NULL;
  int r = json_need_string(message, "zone", &id, err);
  r = r < 0 ? r : json_object_at(message, "hosts", &hosts, err);
  r = r < 0 || hosts.value == NULL ? r : zone_new(id, &hosts, &fresh, err);
  if (r < 0) {
    return r;
  }
  for (struct zone **at = &server->zones; *at != NULL; at = &(*at)->next) {
    if (strcmp((*at)->id, id) == 0) {
      struct zone *old = *at;
      *at = old->next;
      zone_free(old);
      break;
    }
  }
  if (fresh != NULL) {
    fresh->next = server->zones;
    server->zones = fresh;
  }
  for (struct sandbox *sandbox = server->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    resolve_zones(server, sandbox);
  }
  return 0;
}

static int read_zones(struct sandbox *sandbox, const struct json *message, struct err *err) {
  struct json zones = {0}, item;
  size_t count = 0;
  int r = json_array_at(message, "zones", &zones, &count, err);
  if (r <= 0) {
    return r;
  }
  if (count > ZONES_MAX) {
    return err_set(err, E2BIG, "%zu zones, at most %d are possible", count, ZONES_MAX);
  }
  forget_zones(sandbox);
  for (size_t i = 0; i < count; i++) {
    const char *id = NULL;
    (void)json_item(&zones, i, &item);
    r = json_as_string(&item, &id, err);
    if (r < 0) {
      return r;
    }
    char *copy = strdup(id);
    if (copy == NULL) {
      return err_oom(err);
    }
    sandbox->zones[sandbox->zone_count++] = (struct zone_ref){.id = copy};
  }
  return 0;
}

static int read_upstream(const struct json *item, struct upstream *ret_upstream, struct err *err) {
  const char *text = NULL;
  long long port = 53;
  struct upstream upstream = {0};
  struct sockaddr_in *four = (void *)&upstream.address;
  struct sockaddr_in6 *six = (void *)&upstream.address;
  int r = json_need_string(item, "address", &text, err);
  r = r < 0 ? r : json_bool_at(item, "host", &upstream.host, err);
  r = r < 0 ? r : json_long_at(item, "port", 1, 65535, &port, err);
  if (r < 0) {
    return r;
  }
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    upstream.size = sizeof(*four);
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    upstream.size = sizeof(*six);
  } else {
    return err_set(err, EINVAL, "'%s' is not an address", text);
  }
  *ret_upstream = upstream;
  return 0;
}

static int read_upstreams(struct sandbox *sandbox, const struct json *message, struct err *err) {
  struct json upstreams = {0}, item;
  size_t count = 0;
  int r = json_array_at(message, "upstreams", &upstreams, &count, err);
  if (r <= 0) {
    return r;
  }
  sandbox->upstream_count = 0;
  for (size_t i = 0; i < count && i < UPSTREAMS_MAX; i++) {
    (void)json_item(&upstreams, i, &item);
    r = read_upstream(&item, &sandbox->upstreams[sandbox->upstream_count], err);
    if (r < 0) {
      return r;
    }
    sandbox->upstream_count++;
  }
  return 0;
}

static int read_extra(struct sandbox *sandbox, const struct json *message, struct err *err) {
  struct json extra = {0};
  struct zone *fresh = NULL;
  int r = json_object_at(message, "extra", &extra, err);
  if (r <= 0) {
    return r;
  }
  r = zone_new("extra", &extra, &fresh, err);
  if (r < 0) {
    return r;
  }
  zone_free(sandbox->extra);
  sandbox->extra = fresh;
  return 0;
}

static int take_sockets(struct server *server, struct sandbox *sandbox, int *fds, struct err *err) {
  close_sandbox_sockets(server, sandbox);
  sandbox->clients = (struct source){.kind = SOURCE_CLIENTS, .fd = take_fd(&fds[0]), .sandbox = sandbox};
  sandbox->listener = (struct source){.kind = SOURCE_LISTENER, .fd = take_fd(&fds[1]), .sandbox = sandbox};
  for (int i = 0; i < 2; i++) {
    add_channel(&sandbox->pool, take_fd(&fds[2 + i]), AF_INET, sandbox);
    add_stream(&sandbox->pool, take_fd(&fds[4 + i]), AF_INET, sandbox);
  }
  int r = watch(server, &sandbox->clients, EPOLLIN, err);
  r = r < 0 ? r : watch(server, &sandbox->listener, EPOLLIN, err);
  return r < 0 ? r : watch_channels(server, &sandbox->pool, err);
}

static struct sandbox *sandbox_by_name(struct server *server, const char *name) {
  struct sandbox *sandbox = server->sandboxes;
  while (sandbox != NULL && strcmp(sandbox->name, name) != 0) {
    sandbox = sandbox->next;
  }
  return sandbox;
}

static struct sandbox *new_sandbox(struct server *server, const char *name) {
  struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
  if (sandbox == NULL || (sandbox->name = strdup(name)) == NULL) {
    free(sandbox);
    return NULL;
  }
  sandbox->clients.fd = sandbox->listener.fd = -1;
  sandbox->next = server->sandboxes;
  server->sandboxes = sandbox;
  return sandbox;
}

static int take_sandbox(struct server *server, const struct json *message, int *fds, size_t count, struct err *err) {
  const char *name = NULL;
  int r = json_need_string(message, "name", &name, err);
  if (r < 0) {
    return r;
  }
  if (count != 0 && count != SANDBOX_FDS) {
    return err_set(err, EINVAL, "sandbox %s: %zu descriptors instead of %d", name, count, SANDBOX_FDS);
  }
  struct sandbox *sandbox = sandbox_by_name(server, name);
  if (sandbox == NULL && (sandbox = new_sandbox(server, name)) == NULL) {
    return err_oom(err);
  }
  r = read_zones(sandbox, message, err);
  r = r < 0 ? r : read_upstreams(sandbox, message, err);
  r = r < 0 ? r : read_extra(sandbox, message, err);
  r = r < 0 ? r : json_bool_at(message, "internal", &sandbox->internal, err);
  r = r < 0 ? r : gate_read(sandbox, message, err);
  resolve_zones(server, sandbox);
  if (r >= 0 && count == SANDBOX_FDS) {
    r = take_sockets(server, sandbox, fds, err);
  }
  return r < 0 ? err_prefix(err, "sandbox %s", name) : 0;
}

static int dispatch_message(struct server *server, const struct json *message, int *fds, size_t count,
                            struct err *err) {
  const char *op = NULL, *name = NULL;
  int r = json_need_string(message, "op", &op, err);
  if (r < 0) {
    return r;
  }
  if (strcmp(op, "zone") == 0) {
    return take_zone(server, message, err);
  }
  if (strcmp(op, "sandbox") == 0) {
    return take_sandbox(server, message, fds, count, err);
  }
  if (strcmp(op, "drop") != 0) {
    return err_set(err, EINVAL, "unknown op '%s'", op);
  }
  r = json_need_string(message, "name", &name, err);
  struct sandbox *sandbox = r < 0 ? NULL : sandbox_by_name(server, name);
  if (sandbox != NULL) {
    drop_sandbox(server, sandbox);
  }
  return r < 0 ? r : 0;
}

int server_message(struct server *server, const char *text, size_t size, int *fds, size_t count, struct err *err) {
  cleanup_json struct json message = {0};
  int r = json_parse(text, size, &message, err);
  r = r < 0 ? r : dispatch_message(server, &message, fds, count, err);
  for (size_t i = 0; i < count; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  return r;
}

/* ---- the loop ---- */

int server_watch_control(struct server *server, int control, struct err *err) {
  server->control = (struct source){.kind = SOURCE_CONTROL, .fd = control};
  return watch(server, &server->control, EPOLLIN, err);
}

static int control_ready(struct server *server, struct err *err) {
  cleanup_free char *text = malloc(NAMES_MESSAGE_MAX);
  int fds[FD_PASS_MAX];
  size_t size = 0, count = 0;
  if (text == NULL) {
    return err_oom(err);
  }
  int r = fd_receive(server->control.fd, text, NAMES_MESSAGE_MAX, &size, fds, FD_PASS_MAX, &count, err);
  if (r < 0) {
    return r == -EAGAIN || r == -EINTR ? 0 : r;
  }
  if (size == 0) {
    server->ended = true;
    return 0;
  }
  return server_message(server, text, size, fds, count, err);
}

static int dispatch(struct server *server, struct source *source, uint32_t events, struct err *err) {
  if (source->sandbox != NULL && source->sandbox->dead) {
    return 0;
  }
  switch (source->kind) {
  case SOURCE_CONTROL:
    return control_ready(server, err);
  case SOURCE_CLIENTS:
    clients_ready(server, source->sandbox);
    return 0;
  case SOURCE_LISTENER:
    listener_ready(server, source->sandbox);
    return 0;
  case SOURCE_CONNECTION:
    connection_ready(server, (struct connection *)(void *)source, events);
    return 0;
  case SOURCE_CHANNEL:
    channel_ready(server, (struct channel *)(void *)source, events);
    return 0;
  case SOURCE_STREAM:
    stream_ready(server, (struct stream *)(void *)source, events);
    return 0;
  }
  return 0;
}

static int wait_time(const struct server *server, int milliseconds) {
  int64_t next = INT64_MAX;
  if (server->first != NULL) {
    next = server->first->deadline;
  }
  if (server->first_connection != NULL && server->first_connection->deadline < next) {
    next = server->first_connection->deadline;
  }
  if (next == INT64_MAX) {
    return milliseconds;
  }
  int64_t left = next - now_milliseconds();
  left = left < 0 ? 0 : left;
  return milliseconds < 0 || left < milliseconds ? (int)left : milliseconds;
}

int server_turn(struct server *server, int milliseconds, struct err *err) {
  struct epoll_event events[EVENTS_PER_TURN];
  int n = epoll_wait(server->epoll, events, EVENTS_PER_TURN, wait_time(server, milliseconds));
  if (n < 0 && errno != EINTR) {
    return err_errno(err, "cannot wait for sockets");
  }
  int r = 0;
  for (int i = 0; i < n; i++) {
    int one = dispatch(server, events[i].data.ptr, events[i].events, err);
    r = one < 0 ? one : r;
  }
  int64_t now = now_milliseconds();
  relays_expire(server, now);
  connections_expire(server, now);
  bury(server);
  return r < 0 ? r : !server->ended;
}
