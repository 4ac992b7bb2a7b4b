/* Annotation dev.tscompose.overlay: the root file system from layers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "setup/setup.h"
#include "sys/mountfd.h"

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
  int r = labels_add_context(plan, fs, "overlay", err);
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

struct names {
  struct str lower, upper, work;
};

static void names_free(struct names *names) {
  str_free(&names->lower);
  str_free(&names->upper);
  str_free(&names->work);
}
#define cleanup_names __attribute__((cleanup(names_free)))

/* Enters the directory that all layers have in common and names them from there, so that little of the host's paths
   shows: the values of lowerdir, upperdir, workdir. */
static int enter_common_directory(const struct plan *plan, struct names *names, struct err *err) {
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
    r = add_escaped(&names->lower, i == 0 ? "" : ":", plan->overlay_lower.items[i] + common);
  }
  if (r == 0 && plan->overlay_upper != NULL) {
    r = add_escaped(&names->upper, "", plan->overlay_upper + common);
    r = r < 0 ? r : add_escaped(&names->work, "", plan->overlay_work + common);
  }
  return r < 0 ? err_oom(err) : 0;
}

/* Linux before 6.7 takes all layers as one option of at most a page. */
static int overlay_by_options(const struct plan *plan, const char *target, struct err *err) {
  cleanup_str struct str options = STR_INIT;
  cleanup_names struct names names = {STR_INIT, STR_INIT, STR_INIT};
  int r = enter_common_directory(plan, &names, err);
  if (r < 0) {
    return r;
  }
  r = str_addf(&options, "lowerdir=%s", names.lower.data);
  if (r == 0 && plan->overlay_upper != NULL) {
    r = str_addf(&options, ",upperdir=%s,workdir=%s", names.upper.data, names.work.data);
  }
  if (r == 0 && plan->mount_label != NULL && plan->mount_label[0] != '\0') {
    r = str_addf(&options, ",context=\"%s\"", plan->mount_label);
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

int overlay_mount(const struct plan *plan, const char *target, struct err *err) {
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

/* Detached, for Linux before 6.7: each option has at most 255 bytes there. */
static int overlay_by_short_options(const struct plan *plan, int *ret_mount, struct err *err) {
  cleanup_names struct names names = {STR_INIT, STR_INIT, STR_INIT};
  static const char *const keys[] = {"lowerdir", "upperdir", "workdir"};
  const struct str *const values[] = {&names.lower, &names.upper, &names.work};
  int r = enter_common_directory(plan, &names, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int fs = mountfd_open("overlay");
  if (fs < 0) {
    return err_errno(err, "cannot open the overlay file system");
  }
  for (size_t i = 0; i < array_length(keys); i++) {
    if (values[i]->size > 255) {
      return err_set(err, E2BIG, "overlay %s: in a user namespace this kernel takes 255 bytes; Linux 6.7 takes more",
                     keys[i]);
    }
    if (values[i]->size > 0 && mountfd_config(fs, MOUNTFD_STRING, keys[i], values[i]->data) < 0) {
      return err_errno(err, "overlay %s", keys[i]);
    }
  }
  r = labels_add_context(plan, fs, "overlay", err);
  if (r < 0) {
    return r;
  }
  (void)mountfd_config(fs, MOUNTFD_STRING, "source", "overlay");
  int made = -1;
  if (mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0 || (made = mountfd_mount(fs, 0)) < 0) {
    return err_errno(err, "cannot make the overlay");
  }
  *ret_mount = made;
  return 0;
}

int overlay_open(const struct plan *plan, int *ret_tree, struct err *err) {
  /* The layers are named from directories that are entered: the caller's own comes back afterwards. */
  cleanup_close int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int r = overlay_by_layer(plan, ret_tree, err);
  r = r == -EINVAL ? overlay_by_short_options(plan, ret_tree, err) : r;
  if (r == 0 && here >= 0 && fchdir(here) < 0) {
    return err_errno(err, "cannot return to the working directory");
  }
  return r;
}
