/* Found: devpts of the container mounted, paths masked. The pty is the container's own, never the caller's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"

static int open_pair(struct setup *setup, int *ret_outer, int *ret_inner, struct err *err) {
  cleanup_close int outer = -1;
  int r = inroot_open_plain(setup->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, &outer, err);
  if (r < 0) {
    return r;
  }
  struct statfs fs;
  struct stat at;
  if (fstatfs(outer, &fs) < 0 || fstat(outer, &at) < 0) {
    return err_errno(err, "cannot stat /dev/pts/ptmx");
  }
  if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(at.st_mode) || at.st_rdev != makedev(5, 2)) {
    return err_set(err, EPERM, "refused: /dev/pts/ptmx of the container is not a pty multiplexer");
  }
  int unlock = 0;
  if (ioctl(outer, TIOCSPTLCK, &unlock) < 0) {
    return err_errno(err, "cannot unlock the pty");
  }
  /* By the pair itself: a path under /dev/pts could be anything. */
  cleanup_close int inner = ioctl(outer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (inner < 0) {
    return err_errno(err, "cannot open the inner end of the pty");
  }
  *ret_outer = take_fd(&outer);
  *ret_inner = take_fd(&inner);
  return 0;
}

static int mount_console(struct setup *setup, int inner, struct err *err) {
  cleanup_close int dev = -1;
  int r = inroot_open_plain(setup->root, "/dev", O_PATH | O_DIRECTORY, &dev, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int made = openat(dev, "console", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (made < 0 && errno != EEXIST) {
    return err_errno(err, "cannot create /dev/console");
  }
  cleanup_close int target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (target < 0 || fstat(target, &at) < 0) {
    return err_errno(err, "cannot open /dev/console");
  }
  if (S_ISLNK(at.st_mode) || S_ISDIR(at.st_mode)) {
    return err_set(err, EPERM, "refused: /dev/console of the container is not a file");
  }
  cleanup_close int tree = mountfd_clone(inner, "", 0);
  if (tree < 0 || mountfd_attach(tree, target) < 0) {
    return err_errno(err, "cannot mount /dev/console");
  }
  return 0;
}

int step_terminal(struct setup *setup, struct err *err) {
  if (!setup->process->terminal) {
    return 0;
  }
  cleanup_close int outer = -1;
  cleanup_close int inner = -1;
  int r = open_pair(setup, &outer, &inner, err);
  if (r < 0) {
    return r;
  }
  struct winsize size = {.ws_row = setup->process->rows, .ws_col = setup->process->columns};
  if ((size.ws_row != 0 || size.ws_col != 0) && ioctl(outer, TIOCSWINSZ, &size) < 0) {
    return err_errno(err, "cannot set the terminal's size");
  }
  if (setup->process->uid != 0 && fchown(inner, setup->process->uid, (gid_t)-1) < 0) {
    return err_errno(err, "cannot give the terminal to the user");
  }
  if (setup->plan != NULL && (r = mount_console(setup, inner, err)) < 0) {
    return r;
  }
  r = fd_send(setup->console_socket, "/dev/ptmx", sizeof("/dev/ptmx"), &outer, 1, err);
  if (r < 0) {
    return err_prefix(err, "console socket");
  }
  close(setup->console_socket);
  setup->console_socket = -1;
  setup->terminal = take_fd(&inner);
  return 0;
}

/* Found: root pivoted. A session of its own, with the pty as controlling terminal; never the caller's. */
int step_session(struct setup *setup, struct err *err) {
  return setup->makes_last ? 0 : setup_start_session(setup, err);
}

int setup_start_session(struct setup *setup, struct err *err) {
  if (setsid() < 0 && errno != EPERM) {
    return err_errno(err, "cannot start a session");
  }
  if (setup->terminal < 0) {
    return 0;
  }
  if (ioctl(setup->terminal, TIOCSCTTY, 0) < 0) {
    return err_errno(err, "cannot take the terminal");
  }
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(setup->terminal, fd) < 0) {
      return err_errno(err, "cannot use the terminal as descriptor %d", fd);
    }
  }
  close(setup->terminal);
  setup->terminal = -1;
  return 0;
}
