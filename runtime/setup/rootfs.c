/* Found: own mount namespace, still a copy of the host's tree. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "setup/setup.h"
#include "spec/mount_flags.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

int step_propagation(struct setup *setup, struct err *err) {
  unsigned long flags = setup->plan->root_propagation;
  /* Shared on request only; else nothing mounted here may show on the host. Slave keeps bind sources able to follow the
   * host. */
  unsigned long first = (flags & MS_SHARED) != 0 ? 0 : MS_REC | MS_SLAVE;
  if (first != 0 && mount(NULL, "/", NULL, first, NULL) < 0) {
    return err_errno(err, "cannot detach / from the host");
  }
  return 0;
}

/* What the file system itself said about a failed fsconfig, if anything. */
static void add_reason(int fs, struct err *err) {
  char text[400];
  ssize_t n = read(fs, text, sizeof(text) - 1);
  if (n > 0) {
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    size_t length = strlen(err->text);
    snprintf(err->text + length, sizeof(err->text) - length, " (%s)", text);
  }
}

/* Each directory is entered and named ".": /proc/self/mountinfo of the container then shows no path of the host,
   and no length limit of the option string is met. */
static int add_layer(int fs, const char *key, const char *directory, struct err *err) {
  if (chdir(directory) < 0) {
    return err_errno(err, "cannot enter overlay directory %s", directory);
  }
  if (mountfd_config(fs, MOUNTFD_STRING, key, ".") < 0) {
    int code = errno;
    err_code(err, code, "overlay %s %s", key, directory);
    add_reason(fs, err);
    return -code;
  }
  return 0;
}

static int overlay_by_layer(const struct plan *plan, int *ret_mount, struct err *err) {
  cleanup_close int fs = mountfd_open("overlay");
  if (fs < 0) {
    return err_errno(err, "cannot open the overlay file system");
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < plan->overlay_lower.count; i++) {
    r = add_layer(fs, "lowerdir+", plan->overlay_lower.items[i], err);
  }
  if (r == 0 && plan->overlay_upper != NULL) {
    r = add_layer(fs, "upperdir", plan->overlay_upper, err);
    r = r < 0 ? r : add_layer(fs, "workdir", plan->overlay_work, err);
  }
  if (r < 0) {
    return r;
  }
  (void)mountfd_config(fs, MOUNTFD_STRING, "source", "overlay");
  int mount_fd = -1;
  if (mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0 || (mount_fd = mountfd_mount(fs, 0)) < 0) {
    int code = errno;
    err_code(err, code, "cannot make the overlay");
    add_reason(fs, err);
    return -code;
  }
  *ret_mount = mount_fd;
  return 0;
}

/* Length of the directory, with its slash, that two paths have in common; at most `most`. */
static size_t common_directory(const char *a, const char *b, size_t most) {
  size_t length = 0;
  for (size_t i = 0; i < most && a[i] != '\0' && a[i] == b[i]; i++) {
    length = a[i] == '/' ? i + 1 : length;
  }
  return length;
}

static int add_escaped(struct str *options, const char *before, const char *path) {
  int r = str_add(options, before);
  for (const char *c = path; r == 0 && *c != '\0'; c++) {
    r = strchr(":,\\", *c) != NULL ? str_append(options, "\\", 1) : 0;
    r = r < 0 ? r : str_append(options, c, 1);
  }
  return r;
}

/* Linux before 6.7 takes all layers as one option of at most a page. Named from their common directory, so that little
   of the host's paths shows. */
static int overlay_by_options(const struct plan *plan, const char *target, struct err *err) {
  cleanup_str struct str options = STR_INIT;
  const char *first = plan->overlay_lower.items[0];
  size_t common = strlen(first);
  for (size_t i = 0; i < plan->overlay_lower.count; i++) {
    common = common_directory(first, plan->overlay_lower.items[i], common);
  }
  if (plan->overlay_upper != NULL) {
    common = common_directory(first, plan->overlay_upper, common);
    common = common_directory(first, plan->overlay_work, common);
  }
  char directory[PATH_MAX];
  snprintf(directory, sizeof(directory), "%.*s", (int)common, first);
  if (chdir(directory) < 0) {
    return err_errno(err, "cannot enter %s", directory);
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < plan->overlay_lower.count; i++) {
    r = add_escaped(&options, i == 0 ? "lowerdir=" : ":", plan->overlay_lower.items[i] + common);
  }
  if (r == 0 && plan->overlay_upper != NULL) {
    r = add_escaped(&options, ",upperdir=", plan->overlay_upper + common);
    r = r < 0 ? r : add_escaped(&options, ",workdir=", plan->overlay_work + common);
  }
  if (r < 0) {
    return err_oom(err);
  }
  if (options.size >= 4096) {
    return err_set(err, E2BIG, "the overlay's options exceed one page; fewer layers or Linux 6.7 are needed");
  }
  unsigned long flags = plan->overlay_upper == NULL ? MS_RDONLY : 0;
  return mount("overlay", target, "overlay", flags, options.data) < 0 ? err_errno(err, "cannot mount the overlay") : 0;
}

static int mount_overlay(const struct plan *plan, const char *target, struct err *err) {
  cleanup_close int made = -1;
  int r = overlay_by_layer(plan, &made, err);
  if (r == -EINVAL) {
    /* Old kernels refuse the option at once or only when the file system is made; a real mistake fails again. */
    return overlay_by_options(plan, target, err);
  }
  if (r < 0) {
    return r;
  }
  cleanup_close int at = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0 || mountfd_attach(made, at) < 0) {
    return err_errno(err, "cannot mount the overlay on %s", target);
  }
  return 0;
}

int step_root(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  char path[PATH_MAX];
  bool absolute = plan->root_path[0] == '/';
  int n = snprintf(path, sizeof(path), "%s%s%s", absolute ? "" : setup->bundle, absolute ? "" : "/", plan->root_path);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    return err_code(err, ENAMETOOLONG, "root.path");
  }
  cleanup_close int null_file = open("/dev/null", O_PATH | O_CLOEXEC);
  struct stat at;
  if (null_file < 0 || fstat(null_file, &at) < 0) {
    return err_errno(err, "cannot open /dev/null");
  }
  if (!S_ISCHR(at.st_mode) || at.st_rdev != 0x103) {
    return err_set(err, EPERM, "the host's /dev/null is not the null device");
  }
  int r = 0;
  if (plan->overlay_lower.count > 0) {
    r = mount_overlay(plan, path, err);
  } else {
    /* pivot_root needs a mount; a recursive copy keeps what the bundle's owner mounted below. */
    cleanup_close int tree = mountfd_clone(AT_FDCWD, path, 1);
    cleanup_close int target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tree < 0 || target < 0 || mountfd_setattr(tree, 1, 0, 0, MS_PRIVATE) < 0 || mountfd_attach(tree, target) < 0) {
      r = err_errno(err, "cannot use %s as root file system", path);
    }
  }
  if (r < 0) {
    return r;
  }
  setup->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (setup->root < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  setup->null_file = take_fd(&null_file);
  return 0;
}

/* Found: root complete at `setup->root`. Left: it is "/", nothing of the host is reachable by path. */
int step_pivot(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  if (fchdir(setup->root) < 0 || sys_pivot_root(".", ".") < 0) {
    return err_errno(err, "cannot make the container's root the root");
  }
  /* The old root lies on top of the new one now; it must not take the host's mounts along when it goes. */
  if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
    return err_errno(err, "cannot leave the host's root");
  }
  if (plan->root_readonly) {
    /* The last moment to make it; what is wrong with it, the step that enters it says. */
    struct err ignored = ERR_INIT;
    cleanup_close int directory = -1;
    (void)setup_make_cwd(setup, &directory, &ignored);
    cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || mountfd_setattr(root, 0, MNT_ATTR_RDONLY, 0, 0) < 0) {
      return err_errno(err, "cannot make the root read-only");
    }
  }
  unsigned long flags = plan->root_propagation & ~(unsigned long)MS_REC;
  if (flags != 0 && flags != MS_PRIVATE && mount(NULL, "/", NULL, plan->root_propagation, NULL) < 0) {
    return err_errno(err, "cannot set linux.rootfsPropagation");
  }
  return 0;
}

/* Found (exec): every namespace of the container joined, its root is "/". */
int step_exec_root(struct setup *setup, struct err *err) {
  setup->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (setup->root < 0) {
    return err_errno(err, "cannot open the container's root");
  }
  int r = setup_new_keyring(setup, err);
  const char *profile = setup->process->apparmor_profile;
  if (r < 0 || profile == NULL || profile[0] == '\0') {
    return r;
  }
  /* The container's own /proc: it must really be procfs, and be reached without links, or the label goes elsewhere. */
  struct statfs at;
  cleanup_close int proc = -1;
  r = inroot_open_plain(setup->root, "/proc", O_PATH | O_DIRECTORY, &proc, err);
  if (r < 0) {
    return r;
  }
  if (fstatfs(proc, &at) < 0 || at.f_type != PROC_SUPER_MAGIC) {
    return err_set(err, EPERM, "refused: /proc of the container is not procfs");
  }
  char path[64];
  snprintf(path, sizeof(path), "%d/attr/apparmor/exec", (int)getpid());
  setup->apparmor =
      sys_openat2(proc, path, O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
  return setup->apparmor < 0 ? err_errno(err, "cannot set AppArmor profile %s", profile) : 0;
}
