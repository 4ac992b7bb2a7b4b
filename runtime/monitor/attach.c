#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/state.h"

/* A burst of connections must wait, not fail: connect(2) on a full unix socket is EAGAIN, which few clients try again.
 */
#define LISTEN_BACKLOG 1024

static size_t backlog(const struct client *client) {
  return client->out.size - client->out_at;
}

static void arm(struct client *client) {
  uint32_t events = EPOLLERR; /* always reported, with EPOLLHUP: keeps the descriptor in the set */
  if (!client->paused && !client->ended) {
    events |= EPOLLIN;
  }
  if (backlog(client) > 0) {
    events |= EPOLLOUT;
  }
  (void)loop_arm(&client->monitor->loop, &client->watch, events, /* err= */ NULL);
}

static size_t client_limit(const struct monitor *monitor) {
  size_t share = TOTAL_BACKLOG / (size_t)(monitor->client_count > 0 ? monitor->client_count : 1);
  return share < CLIENT_BACKLOG ? share : CLIENT_BACKLOG;
}

/* Holds the process's output back while a reader is too far behind, lets it flow when all have caught up. */
static void update_hold(struct monitor *monitor) {
  /* Let go at half only, so that a slow reader does not switch it with every chunk. */
  size_t limit = client_limit(monitor) / (monitor->holding ? 2 : 1);
  bool hold = false;
  for (const struct client *client = monitor->clients; client != NULL; client = client->next) {
    hold = hold || (!client->cut && backlog(client) > limit);
  }
  if (hold != monitor->holding) {
    monitor->holding = hold;
    stdio_hold(monitor, hold);
    loop_timer_set(monitor->stall.fd, hold ? STALL_MS : 0);
  }
}

/* Output is of no use to this client any more; the connection goes once its input is read to the end. */
static void cut(struct client *client) {
  str_free(&client->out);
  client->out_at = client->whole_at = 0;
  client->cut = true;
  client->wants_stdout = client->wants_stderr = false;
  (void)shutdown(client->watch.fd, SHUT_RDWR);
  arm(client);
}

/* This client has had its time. Should it ever read again, it finds the frame that was on its way, the word that it was
 * cut off, and the end: never half a frame, nor an end that looks like the process's. */
static void cut_stalled(struct client *client) {
  static const char event[] = "{\"event\":\"cut\"}";
  unsigned char header[FRAME_HEADER];
  cleanup_str struct str rest = STR_INIT;
  frame_put_header(header, FRAME_EVENT, sizeof(event) - 1);
  if (str_append(&rest, client->out.data + client->out_at, client->whole_at - client->out_at) < 0 ||
      str_append(&rest, (const char *)header, sizeof(header)) < 0 || str_append(&rest, event, sizeof(event) - 1) < 0) {
    cut(client);
    return;
  }
  str_free(&client->out); /* the megabyte, not only its contents */
  client->out = rest;
  rest = (struct str)STR_INIT;
  client->out_at = client->whole_at = 0;
  client->cut = true;
  client->wants_stdout = client->wants_stderr = false;
}

void clients_check_stalled(struct monitor *monitor) {
  for (struct client *client = monitor->clients; client != NULL; client = client->next) {
    if (!client->cut && backlog(client) > client_limit(monitor) / 2 && !client->moved) {
      cut_stalled(client);
    }
    client->moved = false;
  }
  update_hold(monitor);
  if (monitor->holding) {
    loop_timer_set(monitor->stall.fd, STALL_MS);
  }
}

static void drop(struct client *client) {
  struct monitor *monitor = client->monitor;
  for (struct client **at = &monitor->clients; *at != NULL; at = &(*at)->next) {
    if (*at == client) {
      *at = client->next;
      break;
    }
  }
  monitor->client_count--;
  if (monitor->job.client == client) {
    monitor->job.client = NULL;
  }
  loop_drop(&monitor->loop, &client->watch);
  update_hold(monitor);
  bool last_input = client->feeds_stdin && monitor->config.stdin_once;
  str_free(&client->in);
  str_free(&client->out);
  free(client);
  if (last_input) {
    stdin_end(monitor);
  }
  monitor_leave_when_flushed(monitor);
}

/* Everything was said; the client may still send. */
static void part(struct client *client) {
  if (!client->parted) {
    client->parted = true;
    (void)shutdown(client->watch.fd, SHUT_WR);
  }
}

/* Keeps `whole_at` at the first frame of which nothing was sent. */
static void pass_frames(struct client *client) {
  while (client->whole_at < client->out_at) {
    client->whole_at += FRAME_HEADER + frame_payload_size((unsigned char *)client->out.data + client->whole_at);
  }
}

static void flush(struct client *client) {
  while (client->out_at < client->out.size) {
    ssize_t n = send(client->watch.fd, client->out.data + client->out_at, client->out.size - client->out_at,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      client->out_at += (size_t)n;
      client->moved = true;
      if (!client->cut) {
        pass_frames(client);
      }
    } else if (errno == EAGAIN) {
      arm(client);
      return;
    } else if (errno != EINTR) {
      cut(client);
      return;
    }
  }
  str_free(&client->out);
  client->out_at = client->whole_at = 0;
  if (client->cut) {
    part(client);
  }
  arm(client);
}

/* What was sent leaves the buffer before more is added; only when it is the larger part, so that moving stays cheap. */
static void compact(struct client *client) {
  if (client->out_at > client->out.size / 2) {
    memmove(client->out.data, client->out.data + client->out_at, backlog(client));
    client->out.size = backlog(client);
    client->whole_at -= client->out_at;
    client->out_at = 0;
  }
}

int client_send(struct client *client, enum frame_type type, const char *data, size_t size) {
  if (client->cut) {
    return -EPIPE;
  }
  unsigned char header[FRAME_HEADER];
  frame_put_header(header, type, size);
  size_t sent = 0;
  if (client->out.size == 0) {
    /* Nothing waits: straight from where the bytes are. */
    struct iovec parts[2] = {{header, sizeof(header)}, {(char *)data, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(client->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      cut(client);
      return -EPIPE;
    }
    sent = n < 0 ? 0 : (size_t)n;
    client->whole_at = sent > 0 ? FRAME_HEADER + size - sent : 0;
  } else if (type != FRAME_STDOUT && type != FRAME_STDERR && backlog(client) > 2 * CLIENT_BACKLOG) {
    cut(client); /* asks and asks, and never reads the answers */
    return -EPIPE;
  }
  compact(client);
  if (sent < FRAME_HEADER && str_append(&client->out, header + sent, FRAME_HEADER - sent) < 0) {
    cut(client);
    return -ENOMEM;
  }
  size_t done = sent < FRAME_HEADER ? 0 : sent - FRAME_HEADER;
  if (done < size && str_append(&client->out, data + done, size - done) < 0) {
    cut(client);
    return -ENOMEM;
  }
  arm(client);
  return 0;
}

/* 1: taken, 0: no room for its stdin now, negative: the client broke the protocol. */
static int take_frame(struct client *client, enum frame_type type, const char *payload, size_t size) {
  struct monitor *monitor = client->monitor;
  if (type == FRAME_REQUEST) {
    int r = control_request(client, payload, size);
    return r < 0 ? r : 1;
  }
  if (!client->feeds_stdin) {
    return -EPROTO;
  }
  if (type == FRAME_END_OF_STDIN) {
    stdin_end(monitor);
    return 1;
  }
  return stdin_feed(monitor, payload, size) ? 1 : 0;
}

/* Takes whole frames from the client's buffer. Negative: cut it off. */
static int parse(struct client *client) {
  int r = 1;
  while (r > 0 && client->in.size - client->in_at >= FRAME_HEADER) {
    const char *at = client->in.data + client->in_at;
    size_t size = 0;
    enum frame_type type = FRAME_REQUEST;
    if (!frame_read_header((const unsigned char *)at, &type, &size)) {
      return -EPROTO;
    }
    if (client->in.size - client->in_at < FRAME_HEADER + size) {
      break;
    }
    r = take_frame(client, type, at + FRAME_HEADER, size);
    if (r > 0) {
      client->in_at += FRAME_HEADER + size;
    }
  }
  client->paused = r == 0;
  if (client->in_at == client->in.size) {
    str_free(&client->in);
  } else if (client->in_at > 0) {
    memmove(client->in.data, client->in.data + client->in_at, client->in.size - client->in_at);
    client->in.size -= client->in_at;
  }
  client->in_at = 0;
  return r < 0 ? r : 0;
}

static void client_ready(struct watch *watch, uint32_t events) {
  struct client *client = watch->owner;
  if (events & EPOLLOUT) {
    flush(client);
    update_hold(client->monitor);
    monitor_leave_when_flushed(client->monitor);
  }
  if (client->paused) {
    if (client->monitor->phase == PHASE_LEAVING) {
      drop(client); /* the process that could read what waits is gone */
    } else if (events & (EPOLLHUP | EPOLLERR)) {
      /* Gone, but what it sent still waits for the process to read; hanging up again and again helps nobody. */
      (void)loop_arm(&client->monitor->loop, &client->watch, 0, /* err= */ NULL);
    }
    return;
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    return;
  }
  char data[READ_CHUNK];
  ssize_t n = client->ended ? 0 : recv(client->watch.fd, data, sizeof(data), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n <= 0) {
    client->ended = true;
    if (n < 0 || (events & (EPOLLHUP | EPOLLERR))) {
      drop(client);
    } else {
      arm(client); /* half-closed: it still listens */
    }
    return;
  }
  if (str_append(&client->in, data, (size_t)n) < 0 || parse(client) < 0) {
    drop(client);
    return;
  }
  arm(client);
}

void clients_resume(struct monitor *monitor) {
  for (struct client *client = monitor->clients, *next; client != NULL; client = next) {
    next = client->next;
    if (!client->paused) {
      continue;
    }
    if (parse(client) < 0) {
      drop(client);
    } else if (!client->paused) {
      arm(client);
    }
  }
}

static bool allowed(int connection) {
  struct ucred peer;
  socklen_t size = sizeof(peer);
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void listener_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct monitor *monitor = watch->owner;
  cleanup_close int connection = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0 || monitor->client_count >= CLIENTS_MAX || !allowed(connection)) {
    return;
  }
  struct client *client = calloc(1, sizeof(*client));
  if (client == NULL) {
    return;
  }
  client->watch = (struct watch){.fd = take_fd(&connection), .ready = client_ready, .owner = client};
  client->monitor = monitor;
  client->next = monitor->clients;
  monitor->clients = client;
  monitor->client_count++;
  arm(client);
}

/* A monitor that was killed leaves its socket: nobody answers there, so the name is free. */
static int bind_over_stale(int listener, const struct sockaddr_un *address) {
  if (bind(listener, (const struct sockaddr *)address, sizeof(*address)) == 0) {
    return 0;
  }
  cleanup_close int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (errno != EADDRINUSE || probe < 0 || connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
      errno != ECONNREFUSED || unlink(address->sun_path) < 0) {
    errno = EADDRINUSE;
    return errno;
  }
  return bind(listener, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
}

int clients_listen(struct monitor *monitor, struct err *err) {
  /* By the name alone: the working directory is the run directory now, and a whole path may be too long for an address.
   */
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "m.sock"};
  cleanup_close int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) {
    return err_errno(err, "cannot make a socket");
  }
  if (bind_over_stale(listener, &address) != 0) {
    return err_errno(err, "cannot bind %s/m.sock", monitor->config.run_dir);
  }
  if (chmod("m.sock", 0600) < 0 || listen(listener, LISTEN_BACKLOG) < 0) {
    return err_errno(err, "cannot listen on %s/m.sock", monitor->config.run_dir);
  }
  monitor->listener = (struct watch){.fd = take_fd(&listener), .ready = listener_ready, .owner = monitor};
  return loop_arm(&monitor->loop, &monitor->listener, EPOLLIN, err);
}

void clients_output(struct monitor *monitor, enum frame_type type, const char *data, size_t size) {
  for (struct client *client = monitor->clients; client != NULL; client = client->next) {
    if (size > 0 && (type == FRAME_STDOUT ? client->wants_stdout : client->wants_stderr)) {
      (void)client_send(client, type, data, size); /* a client that fails is cut off there */
    }
  }
  update_hold(monitor);
}

void clients_event(struct monitor *monitor, const char *json, size_t size) {
  for (struct client *client = monitor->clients; client != NULL; client = client->next) {
    (void)client_send(client, FRAME_EVENT, json, size);
  }
}

bool clients_part(struct monitor *monitor) {
  bool all = true;
  for (struct client *client = monitor->clients; client != NULL; client = client->next) {
    if (backlog(client) > 0) {
      all = false;
    } else {
      part(client);
    }
  }
  return all;
}

void clients_close(struct monitor *monitor) {
  monitor->config.stdin_once = false; /* there is no process to tell */
  while (monitor->clients != NULL) {
    drop(monitor->clients);
  }
  loop_drop(&monitor->loop, &monitor->listener);
}
