/*
 * Labels of security modules, for the program about to be executed. They are written where only the kernel can be at
 * the other end: the host's /proc before its root is left. What was written is read back, so that a faked or covered
 * file cannot pass for the kernel's. A process made later inherits them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "setup/setup.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

#define LABEL_MAX 4096 /* a page, as attr files take it */

static bool given(const char *label) {
  return label != NULL && label[0] != '\0';
}

/* The kernel registers selinuxfs only when SELinux is switched on. */
static bool has_selinux(void) {
  cleanup_close int fd = open("/proc/filesystems", O_RDONLY | O_CLOEXEC);
  cleanup_free char *text = NULL;
  size_t size = 0;
  return fd >= 0 && fd_read_all(fd, 1 << 16, &text, &size, NULL) == 0 && strstr(text, "\tselinuxfs\n") != NULL;
}

static bool has_apparmor(void) {
  char answer[8];
  return file_read_line(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", answer, sizeof(answer), NULL) == 0 &&
         answer[0] == 'Y';
}

int labels_check(struct setup *setup, struct err *err) {
  const struct plan_process *process = setup->process;
  const char *profile = process->apparmor_profile;
  const char *mount_label = setup->plan == NULL ? NULL : setup->plan->mount_label;
  if (given(process->selinux_label) && !has_selinux()) {
    return err_set(err, ENOTSUP, "process label %s: SELinux is not active on this host", process->selinux_label);
  }
  if (given(mount_label) && !has_selinux()) {
    return err_set(err, ENOTSUP, "linux.mountLabel %s: SELinux is not active on this host", mount_label);
  }
  /* Decided here: later /sys may be the image's. "unconfined" is what there is without AppArmor. */
  setup->set_apparmor = given(profile) && has_apparmor();
  if (given(profile) && strcmp(profile, "unconfined") != 0 && !setup->set_apparmor) {
    return err_set(err, ENOTSUP, "AppArmor profile %s: AppArmor is not active on this host", profile);
  }
  return 0;
}

/* `self` is our own directory of a procfs. -1 and errno. */
static int open_attribute(int self, const char *name) {
  return sys_openat2(self, name, O_RDWR | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

static int open_attributes(struct setup *setup, int self, struct err *err) {
  const struct plan_process *process = setup->process;
  struct statfs at;
  if (fstatfs(self, &at) < 0 || at.f_type != PROC_SUPER_MAGIC) {
    return err_set(err, EPERM, "refused: /proc is not procfs");
  }
  if (setup->set_apparmor) {
    setup->apparmor = open_attribute(self, "attr/apparmor/exec");
    if (setup->apparmor < 0 && errno == ENOENT) {
      setup->apparmor = open_attribute(self, "attr/exec"); /* before Linux 5.1 */
    }
    if (setup->apparmor < 0) {
      return err_errno(err, "cannot set AppArmor profile %s", process->apparmor_profile);
    }
  }
  if (given(process->selinux_label)) {
    setup->selinux = open_attribute(self, "attr/exec");
    if (setup->selinux < 0) {
      return err_errno(err, "cannot set process label %s", process->selinux_label);
    }
  }
  return 0;
}

static bool wanted(const struct setup *setup) {
  return setup->set_apparmor || given(setup->process->selinux_label);
}

int labels_open_on_host(struct setup *setup, struct err *err) {
  if (!wanted(setup)) {
    return 0;
  }
  cleanup_close int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return self < 0 ? err_errno(err, "cannot open /proc/self") : open_attributes(setup, self, err);
}

/* The kernel shows "NAME", for AppArmor "NAME (enforce)". */
static int write_and_verify(int fd, const char *text, const char *label, struct err *err) {
  size_t length = strlen(text);
  ssize_t n = write(fd, text, length);
  if (n != (ssize_t)length) {
    return n >= 0            ? err_code(err, EIO, "it was cut off")
           : errno == ENOENT ? err_set(err, ENOENT, "it is not loaded on this host")
                             : err_errno(err, "the kernel refuses it");
  }
  char now[LABEL_MAX];
  n = pread(fd, now, sizeof(now) - 1, 0);
  if (n < 0) {
    return err_errno(err, "it cannot be read back");
  }
  now[n] = '\0';
  now[strcspn(now, "\n")] = '\0';
  size_t name = strlen(label);
  if (strncmp(now, label, name) != 0 || (now[name] != '\0' && strncmp(now + name, " (", 2) != 0)) {
    return err_set(err, EPERM, "refused: it reads back as '%s'", now);
  }
  return 0;
}

int labels_write(struct setup *setup, struct err *err) {
  const struct plan_process *process = setup->process;
  if (setup->selinux >= 0 &&
      write_and_verify(setup->selinux, process->selinux_label, process->selinux_label, err) < 0) {
    return err_prefix(err, "cannot set process label %s", process->selinux_label);
  }
  if (setup->apparmor >= 0) {
    char text[LABEL_MAX];
    int n = snprintf(text, sizeof(text), "exec %s", process->apparmor_profile);
    if (n < 0 || (size_t)n >= sizeof(text)) {
      return err_code(err, ENAMETOOLONG, "AppArmor profile");
    }
    if (write_and_verify(setup->apparmor, text, process->apparmor_profile, err) < 0) {
      return err_prefix(err, "cannot set AppArmor profile %s", process->apparmor_profile);
    }
  }
  int *const fds[] = {&setup->apparmor, &setup->selinux};
  for (size_t i = 0; i < array_length(fds); i++) {
    if (*fds[i] >= 0) {
      close(*fds[i]);
      *fds[i] = -1;
    }
  }
  return 0;
}

int labels_add_context(const struct plan *plan, int fs, const char *type, struct err *err) {
  static const char *const labelled[] = {"tmpfs", "devpts", "overlay", "ramfs"};
  const char *label = plan->mount_label;
  for (size_t i = 0; given(label) && i < array_length(labelled); i++) {
    if (strcmp(labelled[i], type) == 0 && mountfd_config(fs, MOUNTFD_STRING, "context", label) < 0) {
      return err_errno(err, "cannot give the %s file system label %s", type, label);
    }
  }
  return 0;
}

int labels_add_to_queue(const struct plan *plan, int mount, const char *type, struct err *err) {
  const char *label = plan->mount_label;
  if (!given(label) || strcmp(type, "mqueue") != 0) {
    return 0;
  }
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", mount);
  return setxattr(path, "security.selinux", label, strlen(label) + 1, 0) < 0
             ? err_errno(err, "cannot label the message queues %s", label)
             : 0;
}
