/*
 * A procfs shows the pid namespace of whoever opens it. For one that is joined somebody has to be in there, with rights
 * over mounts, where others may trace him: so that one has an empty root, no descriptor but a socket, memory that reads
 * as zeroes, and a filter under which opening a file system and sending it is all that can be done with him.
 * (Linux 6.17 can name the namespace instead.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"
#include "sys/confine.h"
#include "sys/hidden.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

#define AREA_SIZE ((size_t)64 << 10)
/* Whoever is in there may stop him. */
#define TIMEOUT_MS 10000

static int open_and_send(void *argument) {
  const int *socket = argument;
  int fs = mountfd_open("proc");
  int code = errno;
  return fd_send(*socket, &code, sizeof(code), &fs, fs >= 0 ? 1 : 0, NULL) < 0 ? 1 : 0;
}

/* A mount namespace with nothing in it: also entering that, for which there is a right, shows nothing. */
static int enter_empty_root(bool no_pivot, struct err *err) {
  cleanup_close int fs = mountfd_open("tmpfs");
  cleanup_close int tree = -1;
  cleanup_close int root = -1;
  if (fs < 0 || mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0 || (tree = mountfd_mount(fs, 0)) < 0 ||
      unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      (root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 || mountfd_attach(tree, root) < 0) {
    return err_errno(err, "cannot make an empty root");
  }
  return setup_replace_root(tree, no_pivot, err);
}

/* In the one who makes him. */
static int strip(int processes, bool no_pivot, int socket, struct area *area, struct err *err) {
  static const int calls[] = {SYS_fsopen, SYS_sendmsg, SYS_clone};
  const uint64_t mounts = UINT64_C(1) << CAP_SYS_ADMIN, none = 0;
  int r = setsid() < 0 ? err_errno(err, "cannot start a session") : 0;
  r = r < 0 ? r : enter_empty_root(no_pivot, err);
  if (r == 0 && setns(processes, CLONE_NEWPID) < 0) {
    r = err_errno(err, "cannot join the pid namespace");
  }
  r = r < 0 ? r : fd_close_but(0, &socket, 1, err);
  r = r < 0 ? r : area_open(AREA_SIZE, area, err);
  if (r == 0 && sys_capset(&mounts, &mounts, &none) < 0) {
    r = err_errno(err, "cannot drop capabilities");
  }
  r = r < 0 ? r : confine_to(calls, array_length(calls), err);
  return r < 0 ? r : hidden_prepare(err);
}

_Noreturn static void make_inside(int processes, bool no_pivot, int socket) {
  struct err err = ERR_INIT;
  struct area area;
  int *argument;
  int r = strip(processes, no_pivot, socket, &area, &err);
  if (r == 0) {
    argument = area_get(&area, sizeof(*argument));
    *argument = socket;
    r = hidden_clone(CLONE_PARENT, &area, open_and_send, argument) < 0
            ? err_errno(&err, "cannot make a process in the pid namespace")
            : 0;
  }
  if (r < 0) {
    (void)fd_send(socket, &err, sizeof(err), NULL, 0, NULL);
  }
  _exit(0);
}

static int receive(int socket, int *ret_fs, struct err *err) {
  struct err why = ERR_INIT;
  struct pollfd entry = {.fd = socket, .events = POLLIN};
  size_t size = 0, count = 0;
  int n;
  do {
    n = poll(&entry, 1, TIMEOUT_MS);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) {
    return err_code(err, ETIMEDOUT, "the pid namespace holds up a process of ours");
  }
  int r = fd_receive(socket, &why, sizeof(why), &size, ret_fs, 1, &count, err);
  if (r < 0 || count == 1) {
    return r;
  }
  why.text[sizeof(why.text) - 1] = '\0';
  return size == sizeof(why) ? err_set(err, why.code, "%s", why.text)
         : size > 0          ? err_code(err, why.code, "cannot open file system type proc")
                             : err_set(err, EPIPE, "the process that opens procfs died");
}

int proc_open_inside(const struct setup *setup, int *ret_fs, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  cleanup_close int ours = ends[0];
  pid_t helper = fork();
  if (helper == 0) {
    close(ours);
    make_inside(setup_namespace_fd(setup, CLONE_NEWPID), setup->no_pivot, ends[1]);
  }
  close(ends[1]);
  int r = helper < 0 ? err_errno(err, "cannot fork") : receive(ours, ret_fs, err);
  /* Both have a process group of their own. The one inside is not waited for: who traces it could hold it back even
     when it is dead. It goes to whoever reaps for us. */
  (void)(helper > 0 && kill(-helper, SIGKILL));
  while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR) {
  }
  (void)waitpid(-1, NULL, WNOHANG);
  return r;
}
