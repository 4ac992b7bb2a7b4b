/* The keeper's side of the control socket. */
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"
#include "names/names.h"
#include "sys/sandbox_fds.h"

int names_control_pair(int *ret_ours, int *ret_theirs, struct err *err) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  /* A zone is one packet: room for the largest, beyond the system's default. */
  int room = NAMES_MESSAGE_MAX * 2;
  if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0) {
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  }
  *ret_ours = pair[0];
  *ret_theirs = pair[1];
  return 0;
}

int names_gate_pair(int *ret_ours, int *ret_theirs, struct err *err) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  struct timeval patience = {.tv_sec = NAMES_GATE_MILLISECONDS / 1000};
  (void)setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  *ret_ours = pair[0];
  *ret_theirs = pair[1];
  return 0;
}

int names_send(int control, const char *message, const struct sandbox_fds *fds, struct err *err) {
  size_t size = strlen(message);
  if (size > NAMES_MESSAGE_MAX) {
    return err_set(err, EMSGSIZE, "a message of %zu bytes to the name server, at most %d are possible", size,
                   NAMES_MESSAGE_MAX);
  }
  if (fds == NULL) {
    return fd_send(control, message, size, NULL, 0, err);
  }
  const int list[] = {fds->names_udp, fds->names_tcp, fds->up_udp[0], fds->up_udp[1], fds->up_tcp[0], fds->up_tcp[1]};
  return fd_send(control, message, size, list, array_length(list), err);
}
