/*
 * The overlay of a user namespace whose layers belong to the host's ids: each layer is id-mapped first. That is done in
 * a mount namespace of its own, where every layer's directory is covered by its id-mapped copy; the overlay keeps
 * copies of them, the namespace is gone afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

static int cover(const char *directory, int users, struct err *err) {
  cleanup_close int tree = mountfd_clone(AT_FDCWD, directory, 0);
  cleanup_close int target = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (tree < 0 || target < 0) {
    return err_errno(err, "cannot open layer %s", directory);
  }
  if (mountfd_map_ids(tree, 0, users) < 0) {
    return errno == EINVAL
               ? err_set(err, ENOTSUP, "the file system of layer %s cannot be id-mapped by this kernel", directory)
               : err_errno(err, "cannot id-map layer %s", directory);
  }
  return mountfd_attach(tree, target) < 0 ? err_errno(err, "cannot mount layer %s", directory) : 0;
}

/* The upper and the work directory must be on one mount: that of the directory both are in. */
static int cover_upper(const struct plan *plan, int users, struct err *err) {
  const char *slash = strrchr(plan->overlay_upper, '/');
  size_t length = (size_t)(slash - plan->overlay_upper);
  const char *work_slash = strrchr(plan->overlay_work, '/');
  if (length == 0 || (size_t)(work_slash - plan->overlay_work) != length ||
      strncmp(plan->overlay_upper, plan->overlay_work, length) != 0) {
    return err_set(err, EINVAL, "annotation dev.tscompose.overlay: idmap needs upper and work in one directory");
  }
  char parent[PATH_MAX];
  snprintf(parent, sizeof(parent), "%.*s", (int)length, plan->overlay_upper);
  return cover(parent, users, err);
}

/* The overlay makes its own files as whoever mounts it: that must be an id of the layers, the container's root, and yet
   hold every right it had. */
static int become_owner(const struct plan *plan, struct err *err) {
  uint32_t uid = 0, gid = 0;
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  if (!plan_id_map_outside(&plan->uid_maps, 0, &uid) || !plan_id_map_outside(&plan->gid_maps, 0, &gid)) {
    return err_set(err, EINVAL,
                   "annotation dev.tscompose.overlay: idmap needs linux.uidMappings and gidMappings that have id 0");
  }
  (void)setfsgid(gid);
  (void)setfsuid(uid);
  if (sys_capget(&effective, &permitted, &inheritable) < 0 || sys_capset(&permitted, &permitted, &inheritable) < 0) {
    return err_errno(err, "cannot keep capabilities");
  }
  return 0;
}

static int make(const struct plan *plan, int users, int *ret_tree, struct err *err) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
    return err_errno(err, "cannot detach / from the host");
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < plan->overlay_lower.count; i++) {
    r = cover(plan->overlay_lower.items[i], users, err);
  }
  r = r < 0 || plan->overlay_upper == NULL ? r : cover_upper(plan, users, err);
  r = r < 0 ? r : become_owner(plan, err);
  return r < 0 ? r : overlay_open(plan, ret_tree, err);
}

int overlay_open_mapped(const struct plan *plan, int users, int *ret_tree, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  cleanup_close int ours = ends[0];
  cleanup_close int theirs = ends[1];
  pid_t pid = sys_clone3(CLONE_NEWNS, SIGCHLD, -1, NULL);
  if (pid < 0) {
    return err_errno(err, "cannot make a mount namespace");
  }
  struct err result = ERR_INIT;
  int tree = -1;
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = make(plan, users, &tree, &result);
    _exit(fd_send(theirs, &result, sizeof(result), &tree, r < 0 ? 0 : 1, NULL) < 0 ? 1 : 0);
  }
  close(take_fd(&theirs));
  size_t size = 0, count = 0;
  int r = fd_receive(ours, &result, sizeof(result), &size, &tree, 1, &count, err);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
  if (r < 0) {
    return r;
  }
  if (size != sizeof(result) || count != 1) {
    result.text[sizeof(result.text) - 1] = '\0';
    return size == sizeof(result) ? err_set(err, result.code, "%s", result.text)
                                  : err_set(err, EIO, "the process that mounts the overlay died");
  }
  *ret_tree = tree;
  return 0;
}
