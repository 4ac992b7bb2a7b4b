#include "base/fd.h"
#include "base/log.h"
#include "container/container.h"

static int process_state(const struct seccomp_handover *handover, struct str *out) {
  int r = str_add(out, "{\"ociVersion\":");
  r = r < 0 ? r : json_add_quoted(out, handover->oci_version);
  r = r < 0 ? r : str_addf(out, ",\"fds\":[\"seccompFd\"],\"pid\":%d", (int)handover->pid);
  if (handover->listener->metadata != NULL) {
    r = r < 0 ? r : str_add(out, ",\"metadata\":");
    r = r < 0 ? r : json_add_quoted(out, handover->listener->metadata);
  }
  return r < 0 ? r : str_addf(out, ",\"state\":%s}", handover->state);
}

int seccomp_hand_over(const struct seccomp_handover *handover, int descriptor, struct err *err) {
  cleanup_str struct str text = STR_INIT;
  if (process_state(handover, &text) < 0) {
    return err_oom(err);
  }
  int r = fd_send(handover->socket, text.data, text.size, &descriptor, 1, err);
  return r < 0 ? err_prefix(err, "seccomp listener %s", handover->listener->path) : 0;
}
