/*
 * One published port served in user space: for what the kernel's rewriting cannot carry (IPv6 to an IPv4 container). An
 * own small process per port; bytes of TCP move by splice and never enter it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/state.h"
#include "sys/confine.h"

#define SOCKET_FD 3
#define CONNECTIONS_MAX 8192
#define DATAGRAM_CLIENTS_MAX 1024
#define DATAGRAM_IDLE_MS 60000
#define SPLICE_MAX ((size_t)65536)

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

struct proxy {
  struct loop loop;
  struct watch listener;
  struct watch timer;
  union address target;
  socklen_t target_size;
  int connections;
  struct peer *peers; /* datagrams: newest use first */
};

/* One way of a connection: read side, the pipe between, what is in it. */
struct way {
  int pipe[2];
  size_t held;
  bool ended; /* the source sent its end */
  bool shut;  /* passed on */
};

struct connection {
  struct proxy *proxy;
  struct watch sides[2]; /* client, target */
  struct way ways[2];    /* from sides[i] to sides[1 - i] */
  bool connecting;
};

/* A client of a datagram port with the socket that stands for it towards the target. */
struct peer {
  struct peer *next;
  struct proxy *proxy;
  struct watch upstream;
  union address from;
  socklen_t from_size;
  struct in6_pktinfo asked; /* the address of ours that it sent to, which answers must come from */
  int64_t used;
};

static void connection_free(struct connection *connection) {
  for (int i = 0; i < 2; i++) {
    loop_drop(&connection->proxy->loop, &connection->sides[i]);
    for (int j = 0; j < 2; j++) {
      if (connection->ways[i].pipe[j] >= 0) {
        close(connection->ways[i].pipe[j]);
      }
    }
  }
  connection->proxy->connections--;
  free(connection);
}

/* Moves what can be moved one way now. Negative: the connection is broken. */
static int move(struct connection *connection, int from) {
  struct way *way = &connection->ways[from];
  int source = connection->sides[from].fd, sink = connection->sides[1 - from].fd;
  for (;;) {
    while (way->held > 0) {
      ssize_t n = splice(way->pipe[0], NULL, sink, NULL, way->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (n < 0 && errno == EAGAIN) {
        return 0;
      }
      if (n <= 0 && errno != EINTR) {
        return -EPIPE;
      }
      way->held -= n > 0 ? (size_t)n : 0;
    }
    if (way->ended) {
      if (!way->shut) {
        way->shut = true;
        (void)shutdown(sink, SHUT_WR);
      }
      return 0;
    }
    ssize_t n = splice(source, NULL, way->pipe[1], NULL, SPLICE_MAX, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n < 0 && errno == EAGAIN) {
      return 0;
    }
    if (n < 0 && errno != EINTR) {
      return -EPIPE;
    }
    way->ended = n == 0;
    way->held += n > 0 ? (size_t)n : 0;
  }
}

static void arm_both(struct connection *connection) {
  for (int i = 0; i < 2; i++) {
    uint32_t events = 0;
    if (!connection->ways[i].ended && connection->ways[i].held == 0) {
      events |= EPOLLIN;
    }
    if (connection->ways[1 - i].held > 0) {
      events |= EPOLLOUT;
    }
    (void)loop_arm(&connection->proxy->loop, &connection->sides[i], events, /* err= */ NULL);
  }
}

static void side_ready(struct watch *watch, uint32_t events) {
  struct connection *connection = watch->owner;
  if (connection->connecting) {
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(connection->sides[1].fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 || failure != 0) {
      /* Like a closed port: the client gets a reset, not an orderly end. */
      struct linger reset = {.l_onoff = 1};
      (void)setsockopt(connection->sides[0].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
      connection_free(connection);
      return;
    }
    connection->connecting = false;
  }
  if ((events & EPOLLERR) || move(connection, 0) < 0 || move(connection, 1) < 0 ||
      (connection->ways[0].shut && connection->ways[1].shut)) {
    connection_free(connection);
    return;
  }
  arm_both(connection);
}

static void client_arrives(struct watch *watch, uint32_t events) {
  (void)events;
  struct proxy *proxy = watch->owner;
  cleanup_close int client = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  cleanup_close int target = socket(proxy->target.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (client < 0 || target < 0 || proxy->connections >= CONNECTIONS_MAX) {
    return;
  }
  if (connect(target, &proxy->target.any, proxy->target_size) < 0 && errno != EINPROGRESS) {
    return;
  }
  struct connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL) {
    return;
  }
  proxy->connections++;
  *connection = (struct connection){.proxy = proxy,
                                    .sides = {{.fd = take_fd(&client), .ready = side_ready, .owner = connection},
                                              {.fd = take_fd(&target), .ready = side_ready, .owner = connection}},
                                    .ways = {{.pipe = {-1, -1}}, {.pipe = {-1, -1}}},
                                    .connecting = true};
  if (pipe2(connection->ways[0].pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
      pipe2(connection->ways[1].pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
      loop_arm(&proxy->loop, &connection->sides[1], EPOLLOUT, /* err= */ NULL) < 0) {
    connection_free(connection);
  }
}

static void peer_free(struct peer *peer) {
  for (struct peer **at = &peer->proxy->peers; *at != NULL; at = &(*at)->next) {
    if (*at == peer) {
      *at = peer->next;
      break;
    }
  }
  peer->proxy->connections--;
  loop_drop(&peer->proxy->loop, &peer->upstream);
  free(peer);
}

static void answer_arrives(struct watch *watch, uint32_t events) {
  (void)events;
  struct peer *peer = watch->owner;
  char data[65536];
  ssize_t n = recv(watch->fd, data, sizeof(data), MSG_DONTWAIT);
  if (n < 0) {
    return; /* refused: the error is taken with this call, the client hears nothing, as with a dropped packet */
  }
  peer->used = now_ms();
  char control[CMSG_SPACE(sizeof(peer->asked))] = {0};
  struct iovec part = {.iov_base = data, .iov_len = (size_t)n};
  struct msghdr message = {.msg_name = &peer->from,
                           .msg_namelen = peer->from_size,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
  struct cmsghdr *source = CMSG_FIRSTHDR(&message);
  source->cmsg_level = IPPROTO_IPV6;
  source->cmsg_type = IPV6_PKTINFO;
  source->cmsg_len = CMSG_LEN(sizeof(peer->asked));
  memcpy(CMSG_DATA(source), &peer->asked, sizeof(peer->asked));
  if (peer->from.any.sa_family != AF_INET6) {
    message.msg_controllen = 0;
  }
  (void)!sendmsg(SOCKET_FD, &message, MSG_DONTWAIT);
}

/* The address a datagram was sent to. The link counts only where the address says nothing without it. */
static struct in6_pktinfo asked_address(struct msghdr *message) {
  struct in6_pktinfo asked = {0};
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL; item = CMSG_NXTHDR(message, item)) {
    if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      memcpy(&asked, CMSG_DATA(item), sizeof(asked));
    }
  }
  if (!IN6_IS_ADDR_LINKLOCAL(&asked.ipi6_addr)) {
    asked.ipi6_ifindex = 0;
  }
  return asked;
}

static struct peer *peer_new(struct proxy *proxy, const union address *from, socklen_t size,
                             const struct in6_pktinfo *asked) {
  cleanup_close int fd = socket(proxy->target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct peer *peer = fd < 0 ? NULL : calloc(1, sizeof(*peer));
  if (peer == NULL || connect(fd, &proxy->target.any, proxy->target_size) < 0) {
    free(peer);
    return NULL;
  }
  *peer = (struct peer){.next = proxy->peers,
                        .proxy = proxy,
                        .upstream = {.fd = take_fd(&fd), .ready = answer_arrives, .owner = peer},
                        .from = *from,
                        .from_size = size,
                        .asked = *asked};
  proxy->peers = peer;
  proxy->connections++;
  (void)loop_arm(&proxy->loop, &peer->upstream, EPOLLIN, /* err= */ NULL);
  return peer;
}

/* The client's peer, in front of the list; the one unused for longest makes room. */
static struct peer *peer_for(struct proxy *proxy, const union address *from, socklen_t size,
                             const struct in6_pktinfo *asked) {
  struct peer **at = &proxy->peers;
  struct peer *last = NULL;
  for (; *at != NULL; at = &(*at)->next) {
    struct peer *peer = *at;
    if (peer->from_size == size && memcmp(&peer->from, from, size) == 0 &&
        memcmp(&peer->asked, asked, sizeof(*asked)) == 0) {
      *at = peer->next;
      peer->next = proxy->peers;
      proxy->peers = peer;
      return peer;
    }
    last = peer;
  }
  if (proxy->connections >= DATAGRAM_CLIENTS_MAX && last != NULL) {
    peer_free(last);
  }
  return peer_new(proxy, from, size, asked);
}

static void datagram_arrives(struct watch *watch, uint32_t events) {
  (void)events;
  struct proxy *proxy = watch->owner;
  char data[65536];
  char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
  union address from;
  struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
  struct msghdr message = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
  memset(&from, 0, sizeof(from));
  ssize_t n = recvmsg(watch->fd, &message, MSG_DONTWAIT);
  struct in6_pktinfo asked = n < 0 ? (struct in6_pktinfo){0} : asked_address(&message);
  struct peer *peer = n < 0 ? NULL : peer_for(proxy, &from, message.msg_namelen, &asked);
  if (peer == NULL) {
    return;
  }
  peer->used = now_ms();
  (void)!send(peer->upstream.fd, data, (size_t)n, MSG_DONTWAIT);
  loop_timer_set(proxy->timer.fd, DATAGRAM_IDLE_MS);
}

static void idle_check(struct watch *watch, uint32_t events) {
  (void)events;
  struct proxy *proxy = watch->owner;
  int64_t oldest = now_ms() - DATAGRAM_IDLE_MS;
  loop_timer_taken(watch->fd);
  for (struct peer *peer = proxy->peers, *next; peer != NULL; peer = next) {
    next = peer->next;
    if (peer->used <= oldest) {
      peer_free(peer);
    }
  }
  if (proxy->peers != NULL) {
    loop_timer_set(watch->fd, DATAGRAM_IDLE_MS);
  }
}

static int read_target(struct proxy *proxy, const char *address, const char *port) {
  long long number = 0;
  if (str_to_long(port, 1, 65535, &number) < 0) {
    return -EINVAL;
  }
  if (inet_pton(AF_INET, address, &proxy->target.v4.sin_addr) == 1) {
    proxy->target.v4.sin_family = AF_INET;
    proxy->target.v4.sin_port = htons((uint16_t)number);
    proxy->target_size = sizeof(proxy->target.v4);
    return 0;
  }
  if (inet_pton(AF_INET6, address, &proxy->target.v6.sin6_addr) == 1) {
    proxy->target.v6.sin6_family = AF_INET6;
    proxy->target.v6.sin6_port = htons((uint16_t)number);
    proxy->target_size = sizeof(proxy->target.v6);
    return 0;
  }
  return -EINVAL;
}

static int open_all(struct proxy *proxy, bool tcp, struct err *err) {
  int timer = -1;
  int r = loop_open(&proxy->loop, err);
  r = r < 0 ? r : fd_set_nonblock(SOCKET_FD, true, err);
  r = r < 0 ? r : loop_timer(&timer, err);
  if (r < 0) {
    return r;
  }
  proxy->timer = (struct watch){.fd = timer, .ready = idle_check, .owner = proxy};
  proxy->listener = (struct watch){.fd = SOCKET_FD, .ready = tcp ? client_arrives : datagram_arrives, .owner = proxy};
  int on = 1;
  if (!tcp) {
    (void)setsockopt(SOCKET_FD, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)); /* an IPv4 socket has none */
  }
  r = loop_arm(&proxy->loop, &proxy->timer, EPOLLIN, err);
  r = r < 0 ? r : loop_arm(&proxy->loop, &proxy->listener, EPOLLIN, err);
  return r;
}

/* It takes connections and makes connections. */
static const int allowed[] = {
    SCMP_SYS(accept4),  SCMP_SYS(socket),     SCMP_SYS(connect),         SCMP_SYS(splice),   SCMP_SYS(pipe2),
    SCMP_SYS(shutdown), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),      SCMP_SYS(recvfrom), SCMP_SYS(sendto),
    SCMP_SYS(recvmsg),  SCMP_SYS(sendmsg),    SCMP_SYS(timerfd_settime), SCMP_SYS(prctl),    SCMP_SYS(getppid),
};

/* Ends with the keeper: the port goes with it, its successor binds it again. */
static int confine(pid_t keeper, struct err *err) {
  int r = confine_server(allowed, array_length(allowed), "port proxy", err);
  if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) { /* after the change of ids, which clears it */
    r = err_errno(err, "cannot follow the keeper");
  }
  return r == 0 && getppid() != keeper ? err_set(err, ESRCH, "the keeper is gone") : r;
}

int proxy_main(int argc, char **argv) {
  struct proxy proxy = {.connections = 0};
  struct err err = ERR_INIT;
  if (argc != 5 || read_target(&proxy, argv[2], argv[3]) < 0) {
    return 1;
  }
  (void)signal(SIGPIPE, SIG_IGN);
  (void)prctl(PR_SET_NAME, "tsc-proxy");
  /* Told by the keeper: it may have died before this line. */
  pid_t keeper = atoi(argv[4]);
  if (fd_cloexec_from(SOCKET_FD, &err) < 0 || open_all(&proxy, strcmp(argv[1], "tcp") == 0, &err) < 0 ||
      confine(keeper, &err) < 0 || loop_run(&proxy.loop, &err) < 0) {
    log_error("proxy: %s", err.text);
    return 1;
  }
  return 0;
}
