#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/verbs.h"

#define CARRY_SIZE 65536

static int dial(const struct json *request, int *ret_fd, struct err *err) {
  const char *namespace = NULL, *address = NULL;
  long long port = 0;
  struct sockaddr_in to = {.sin_family = AF_INET};
  int r = json_need_string(request, "namespace", &namespace, err);
  r = r < 0 ? r : json_need_string(request, "address", &address, err);
  r = r < 0 ? r : json_need_long(request, "port", 1, 65535, &port, err);
  if (r < 0) {
    return r;
  }
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
    return err_set(err, EINVAL, "'%s' is not an IPv4 address", address);
  }
  to.sin_port = htons((uint16_t)port);
  cleanup_close int ns = open(namespace, O_RDONLY | O_CLOEXEC);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) {
    return err_errno(err, "cannot enter the network namespace %s", namespace);
  }
  cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
    return err_errno(err, "cannot connect to %s:%lld", address, port);
  }
  *ret_fd = take_fd(&fd);
  return 0;
}

/* Moves what is there. Returns 1 while open, 0 at the end. */
static int carry(int from, int to, char *buffer, struct err *err) {
  ssize_t n = read(from, buffer, CARRY_SIZE);
  if (n < 0) {
    return errno == EINTR || errno == EAGAIN ? 1 : err_errno(err, "cannot read");
  }
  if (n == 0) {
    return 0;
  }
  int r = fd_write_all(to, buffer, (size_t)n, err);
  return r < 0 ? r : 1;
}

int verb_connect(const struct json *request, struct str *out, struct err *err) {
  (void)out;
  cleanup_close int peer = -1;
  cleanup_free char *buffer = malloc(CARRY_SIZE);
  int r = dial(request, &peer, err);
  if (r < 0 || buffer == NULL) {
    return r < 0 ? r : err_oom(err);
  }
  (void)signal(SIGPIPE, SIG_IGN);
  struct pollfd ends[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = peer, .events = POLLIN}};
  while (ends[1].fd >= 0) {
    if (poll(ends, 2, -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return err_errno(err, "cannot wait");
    }
    if (ends[0].revents != 0) {
      r = carry(STDIN_FILENO, peer, buffer, err);
      if (r == 0) {
        ends[0].fd = -1;
        (void)shutdown(peer, SHUT_WR);
      }
    }
    if (r >= 0 && ends[1].revents != 0) {
      r = carry(peer, STDOUT_FILENO, buffer, err);
      if (r == 0) {
        ends[1].fd = -1;
      }
    }
    if (r < 0) {
      return r;
    }
  }
  return 0;
}
