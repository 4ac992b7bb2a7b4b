#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "setup/setup.h"

struct message {
  int kind;
  struct err text;
};

int sync_send(int socket, enum sync_kind kind, const struct err *text, struct err *err) {
  struct message message;
  memset(&message, 0, sizeof(message));
  message.kind = kind;
  if (text != NULL) {
    message.text = *text;
  }
  size_t size = offsetof(struct message, text.text) + strlen(message.text.text) + 1;
  ssize_t n;
  do {
    n = send(socket, &message, size, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? err_errno(err, "cannot talk to the other half of the runtime") : 0;
}

int sync_send_fd(int socket, enum sync_kind kind, int fd, struct err *err) {
  struct message message;
  memset(&message, 0, sizeof(message));
  message.kind = kind;
  return fd_send(socket, &message, offsetof(struct message, text.text) + 1, &fd, 1, err);
}

int sync_receive(int socket, enum sync_kind *ret_kind, struct err *ret_text, struct err *err) {
  cleanup_close int unwanted = -1;
  return sync_receive_fd(socket, ret_kind, ret_text, &unwanted, err);
}

int sync_receive_fd(int socket, enum sync_kind *ret_kind, struct err *ret_text, int *ret_fd, struct err *err) {
  struct message message;
  memset(&message, 0, sizeof(message));
  size_t size = 0;
  int r = fd_receive(socket, &message, sizeof(message), &size, ret_fd, 1, NULL, err);
  if (r < 0) {
    return err_prefix(err, "cannot hear the other half of the runtime");
  }
  if (size < offsetof(struct message, text.text)) {
    return err_set(err, EPIPE, "the other half of the runtime is gone");
  }
  message.text.text[sizeof(message.text.text) - 1] = '\0';
  *ret_kind = (enum sync_kind)message.kind;
  if (ret_text != NULL) {
    *ret_text = message.text;
  }
  return 0;
}
