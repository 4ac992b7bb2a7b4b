#include "sys/needed.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

static const struct {
  const char *name;
  long number;
} needed[] = {
    {"openat2 (Linux 5.6)", SYS_openat2},
    {"open_tree (Linux 5.2)", SYS_open_tree},
    {"move_mount (Linux 5.2)", SYS_move_mount},
    {"fsopen (Linux 5.2)", SYS_fsopen},
    {"fsconfig (Linux 5.2)", SYS_fsconfig},
    {"fsmount (Linux 5.2)", SYS_fsmount},
    {"mount_setattr (Linux 5.12)", SYS_mount_setattr},
    {"clone3 (Linux 5.3)", SYS_clone3},
    {"pidfd_open (Linux 5.3)", SYS_pidfd_open},
    {"pidfd_send_signal (Linux 5.1)", SYS_pidfd_send_signal},
    {"close_range (Linux 5.9)", SYS_close_range},
    {"memfd_create (Linux 3.17)", SYS_memfd_create},
    {"execveat (Linux 3.19)", SYS_execveat},
    {"seccomp (Linux 3.17)", SYS_seccomp},
    {"pivot_root", SYS_pivot_root},
    {"setns", SYS_setns},
    {"unshare", SYS_unshare},
};

const char *needed_missing(void) {
  for (size_t i = 0; i < array_length(needed); i++) {
    /* Arguments that each of them refuses at once. */
    if (syscall(needed[i].number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == ENOSYS) {
      return needed[i].name;
    }
  }
  return NULL;
}
