/*
 * For a foreign runtime: our annotation names an overlay that it does not know. The monitor mounts it on the bundle's
 * root in a mount namespace of its own and runs the runtime there, so the host's mount table stays clean and nothing is
 * left when the monitor and the container are gone. Our own runtime mounts it itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/state.h"
#include "sys/mountfd.h"

#define ANNOTATION "dev.tscompose.overlay"

struct overlay {
  struct str_list lower; /* topmost first */
  const char *upper;     /* NULL: read-only */
  const char *work;
};

/* A path as an option value: what separates options and layers is escaped. */
static int add_escaped(struct str *out, const char *path) {
  int r = 0;
  for (const char *c = path; *c != '\0' && r == 0; c++) {
    r = strchr("\\:,", *c) != NULL ? str_append(out, "\\", 1) : 0;
    r = r < 0 ? r : str_append(out, c, 1);
  }
  return r;
}

static int mount_by_options(const struct overlay *overlay, const char *target, struct err *err) {
  cleanup_str struct str options = STR_INIT;
  int r = str_add(&options, "lowerdir=");
  for (size_t i = 0; i < overlay->lower.count && r == 0; i++) {
    r = i > 0 ? str_append(&options, ":", 1) : 0;
    r = r < 0 ? r : add_escaped(&options, overlay->lower.items[i]);
  }
  if (r == 0 && overlay->upper != NULL) {
    r = str_add(&options, ",upperdir=");
    r = r < 0 ? r : add_escaped(&options, overlay->upper);
    r = r < 0 ? r : str_add(&options, ",workdir=");
    r = r < 0 ? r : add_escaped(&options, overlay->work);
  }
  if (r < 0) {
    return err_oom(err);
  }
  if (options.size >= (size_t)sysconf(_SC_PAGESIZE)) {
    return -E2BIG;
  }
  return mount("overlay", target, "overlay", overlay->upper == NULL ? MS_RDONLY : 0, options.data) < 0
             ? err_errno(err, "cannot mount the overlay on %s", target)
             : 0;
}

/* Layer by layer (Linux 6.7): no limit of one page. */
static int mount_by_layer(const struct overlay *overlay, const char *target, struct err *err) {
  cleanup_close int fs = mountfd_open("overlay");
  int r = fs < 0 ? -1 : 0;
  for (size_t i = 0; i < overlay->lower.count && r == 0; i++) {
    r = mountfd_config(fs, MOUNTFD_STRING, "lowerdir+", overlay->lower.items[i]);
  }
  if (r == 0 && overlay->upper != NULL) {
    r = mountfd_config(fs, MOUNTFD_STRING, "upperdir", overlay->upper);
    r = r < 0 ? r : mountfd_config(fs, MOUNTFD_STRING, "workdir", overlay->work);
  }
  r = r < 0 ? r : mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL);
  cleanup_close int made = r < 0 ? -1 : mountfd_mount(fs, 0);
  cleanup_close int place = made < 0 ? -1 : open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place < 0 || mountfd_attach(made, place) < 0) {
    return err_errno(err, "cannot mount the overlay of %zu layers on %s", overlay->lower.count, target);
  }
  return 0;
}

static int mount_on(const struct overlay *overlay, const char *target, struct err *err) {
  if (unshare(CLONE_NEWNS) < 0) {
    return err_errno(err, "cannot make a mount namespace");
  }
  /* Slave: what the host unmounts goes here too, what is mounted here stays here. */
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
    return err_errno(err, "cannot make mounts private");
  }
  int r = mount_by_options(overlay, target, err);
  return r == -E2BIG ? mount_by_layer(overlay, target, err) : r;
}

static int read_overlay(const char *text, struct json *ret_document, struct overlay *overlay, struct err *err) {
  int r = json_parse(text, strlen(text), ret_document, err);
  if (r < 0 || (r = json_strings_at(ret_document, "lower", &overlay->lower, err)) < 0 ||
      (r = json_string_at(ret_document, "upper", &overlay->upper, err)) < 0 ||
      (r = json_string_at(ret_document, "work", &overlay->work, err)) < 0) {
    return err_prefix(err, "annotation %s", ANNOTATION);
  }
  if (overlay->lower.count == 0 || (overlay->upper == NULL) != (overlay->work == NULL)) {
    return err_set(err, EINVAL, "annotation %s: needs lower, and upper with work or neither", ANNOTATION);
  }
  return 0;
}

int overlay_for_foreign(const struct config *config, struct err *err) {
  if (config->runtime == NULL || config->exec) {
    return 0;
  }
  cleanup_free char *path = str_format("%s/config.json", config->bundle);
  if (path == NULL) {
    return err_oom(err);
  }
  if (access(path, F_OK) < 0) {
    return 0; /* the runtime says it better */
  }
  cleanup_json struct json spec = {.value = NULL};
  cleanup_json struct json document = {.value = NULL};
  struct json annotations, root;
  const char *text = NULL;
  const char *rootfs = "rootfs";
  int r = json_read_file(AT_FDCWD, path, &spec, err);
  if (r < 0 || (r = json_object_at(&spec, "annotations", &annotations, err)) < 0 ||
      (r = json_object_at(&spec, "root", &root, err)) < 0 || (r = json_string_at(&root, "path", &rootfs, err)) < 0 ||
      (r = json_string_at(&annotations, ANNOTATION, &text, err)) < 0) {
    return r;
  }
  if (text == NULL) {
    return 0;
  }
  struct overlay overlay = {.upper = NULL};
  cleanup_free char *target = rootfs[0] == '/' ? strdup(rootfs) : str_format("%s/%s", config->bundle, rootfs);
  r = target == NULL ? err_oom(err) : read_overlay(text, &document, &overlay, err);
  r = r < 0 ? r : mount_on(&overlay, target, err);
  str_list_free(&overlay.lower);
  return r;
}
