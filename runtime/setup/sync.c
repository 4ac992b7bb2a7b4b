#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

int sync_receive(int socket, enum sync_kind *ret_kind, struct err *ret_text, struct err *err) {
  struct message message;
  memset(&message, 0, sizeof(message));
  ssize_t n;
  do {
    n = recv(socket, &message, sizeof(message), 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return err_errno(err, "cannot hear the other half of the runtime");
  }
  if (n < (ssize_t)offsetof(struct message, text.text)) {
    return err_set(err, EPIPE, "the other half of the runtime is gone");
  }
  message.text.text[sizeof(message.text.text) - 1] = '\0';
  *ret_kind = (enum sync_kind)message.kind;
  if (ret_text != NULL) {
    *ret_text = message.text;
  }
  return 0;
}
