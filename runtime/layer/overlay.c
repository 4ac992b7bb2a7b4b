#include "layer/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/process.h"

#define LOWER_LIMIT 400

/* The layers as "/proc/self/fd/N": short whatever the data directory is called, and free of ':' and ','. */
struct layer_fds {
  int fds[LOWER_LIMIT + 2];
  size_t count;
};

static void close_layers(struct layer_fds *layers) {
  for (size_t i = 0; i < layers->count; i++) {
    close(layers->fds[i]);
  }
}
#define cleanup_layers __attribute__((cleanup(close_layers)))

static int open_layer(struct layer_fds *layers, const char *path, char name[40], struct err *err) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open layer %s", path);
  }
  layers->fds[layers->count++] = fd;
  (void)snprintf(name, 40, "/proc/self/fd/%d", fd);
  return 0;
}

static int set_option(int context, const char *key, const char *value, struct err *err) {
  if (syscall(SYS_fsconfig, context, 1 /* FSCONFIG_SET_STRING */, key, value, 0) < 0) {
    return err_errno(err, "cannot set overlay option %s", key);
  }
  return 0;
}

static int set_layers(int context, const struct overlay *overlay, struct layer_fds *layers, struct err *err) {
  char name[40];
  int r = 0;
  for (size_t i = 0; r == 0 && i < overlay->lower.count; i++) {
    r = open_layer(layers, overlay->lower.items[i], name, err);
    if (r == 0) {
      r = set_option(context, "lowerdir+", name, err);
    }
  }
  if (r == 0 && overlay->upper != NULL) {
    r = open_layer(layers, overlay->upper, name, err);
    if (r == 0) {
      r = set_option(context, "upperdir", name, err);
    }
    if (r == 0) {
      r = open_layer(layers, overlay->work, name, err);
    }
    if (r == 0) {
      r = set_option(context, "workdir", name, err);
    }
  }
  /* Upper directories become layers: they must hold whole files in their real places. */
  static const char *const off[] = {"index", "redirect_dir", "metacopy"};
  for (size_t i = 0; r == 0 && i < array_length(off); i++) {
    r = set_option(context, off[i], "off", err);
  }
  return r;
}

/* Linux 6.5 and newer: one option per layer, and a mount that is attached nowhere. */
static int mount_detached(const struct overlay *overlay, int *ret_root, struct err *err) {
  cleanup_close int context = (int)syscall(SYS_fsopen, "overlay", 1 /* FSOPEN_CLOEXEC */);
  if (context < 0) {
    return err_errno(err, "cannot use overlayfs");
  }
  cleanup_layers struct layer_fds layers = {.count = 0};
  int r = set_layers(context, overlay, &layers, err);
  if (r < 0) {
    return r;
  }
  if (syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0) {
    return err_errno(err, "cannot mount the layers");
  }
  int root = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 0);
  if (root < 0) {
    return err_errno(err, "cannot mount the layers");
  }
  *ret_root = root;
  return 0;
}

static int own_namespace(struct err *err) {
  if (unshare(CLONE_NEWNS) < 0) {
    return err_errno(err, "cannot make a mount namespace");
  }
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
    return err_errno(err, "cannot make the mount namespace private");
  }
  return 0;
}

static int join_layers(const struct overlay *overlay, struct layer_fds *layers, struct str *options, struct err *err) {
  char name[40];
  int r = str_add(options, "index=off,redirect_dir=off,metacopy=off,lowerdir=");
  for (size_t i = 0; r == 0 && i < overlay->lower.count; i++) {
    r = open_layer(layers, overlay->lower.items[i], name, err);
    if (r == 0 && str_addf(options, "%s%s", i == 0 ? "" : ":", name) < 0) {
      return err_oom(err);
    }
  }
  if (r == 0 && overlay->upper != NULL) {
    r = open_layer(layers, overlay->upper, name, err);
    if (r == 0 && str_addf(options, ",upperdir=%s", name) < 0) {
      return err_oom(err);
    }
    if (r == 0) {
      r = open_layer(layers, overlay->work, name, err);
    }
    if (r == 0 && str_addf(options, ",workdir=%s", name) < 0) {
      return err_oom(err);
    }
  }
  return r < 0 && err->code == 0 ? err_oom(err) : r;
}

/* Older kernels: one option string, and a mount in a namespace of our own. `place` is hidden by it there. */
static int mount_in_namespace(const struct overlay *overlay, const char *place, int *ret_root, struct err *err) {
  cleanup_layers struct layer_fds layers = {.count = 0};
  cleanup_str struct str options = STR_INIT;
  int r = join_layers(overlay, &layers, &options, err);
  if (r < 0) {
    return r;
  }
  if (mount("overlay", place, "overlay", 0, options.data) < 0) {
    return err_errno(err, "cannot mount the layers");
  }
  int root = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    return err_errno(err, "cannot open the mounted layers");
  }
  *ret_root = root;
  return 0;
}

/* A detached mount cannot carry others before Linux 6.15: it is attached over one of its own directories, in our
 * namespace. */
static int attach(int root, const char *place, int *ret_root, struct err *err) {
  if (syscall(SYS_move_mount, root, "", AT_FDCWD, place, 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0) {
    return err_errno(err, "cannot attach the layers");
  }
  int attached = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (attached < 0) {
    return err_errno(err, "cannot open the mounted layers");
  }
  *ret_root = attached;
  return 0;
}

static int add_mount(int root, const struct overlay_mount *wanted, struct err *err) {
  cleanup_str struct str target = STR_INIT;
  int r = confine_clean(wanted->target, &target, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int source = (int)syscall(SYS_open_tree, AT_FDCWD, wanted->source, 1U | O_CLOEXEC /* CLONE */);
  if (source < 0) {
    return err_errno(err, "cannot open mount source %s", wanted->source);
  }
  cleanup_close int place = -1;
  r = confine_open(root, target.data, O_PATH, &place, err);
  if (r == -ENOENT) {
    /* The mount point was never made: then nothing of it can be asked for either. */
    err->code = 0;
    return 0;
  }
  if (r < 0) {
    return r;
  }
  if (syscall(SYS_move_mount, source, "", place, "", 4U | 0x40U /* both paths empty */) < 0) {
    return err_errno(err, "cannot mount %s on /%s", wanted->source, target.data);
  }
  if (wanted->read_only) {
    struct {
      uint64_t set, clear, propagation, userns;
    } attributes = {.set = 1 /* MOUNT_ATTR_RDONLY */};
    if (syscall(SYS_mount_setattr, source, "", 0x1000 /* AT_EMPTY_PATH */, &attributes, sizeof(attributes)) < 0) {
      return err_errno(err, "cannot make the mount on /%s read-only", target.data);
    }
  }
  return 0;
}

static int mount_all(const struct overlay *overlay, int *ret_root, struct err *err) {
  const char *place = overlay->upper != NULL ? overlay->upper : overlay->lower.items[0];
  bool private = overlay->mount_count > 0;
  int r = private ? own_namespace(err) : 0;
  if (r < 0) {
    return r;
  }
  cleanup_close int root = -1;
  r = mount_detached(overlay, &root, err);
  if (r == -EINVAL) {
    r = private ? 0 : own_namespace(err);
    if (r == 0) {
      r = mount_in_namespace(overlay, place, &root, err);
    }
  } else if (r == 0 && private) {
    cleanup_close int detached = take_fd(&root);
    r = attach(detached, place, &root, err);
  }
  for (size_t i = 0; r == 0 && i < overlay->mount_count; i++) {
    r = add_mount(root, &overlay->mounts[i], err);
  }
  if (r == 0) {
    *ret_root = take_fd(&root);
  }
  return r;
}

int overlay_open(const struct overlay *overlay, struct tree *ret_tree, struct err *err) {
  if (overlay->lower.count > LOWER_LIMIT) {
    return err_set(err, E2BIG, "more than %d layers", LOWER_LIMIT);
  }
  if ((overlay->upper == NULL) != (overlay->work == NULL)) {
    return err_set(err, EINVAL, "upper and work directory belong together");
  }
  if (overlay->lower.count + (overlay->upper != NULL) == 0) {
    return err_set(err, EINVAL, "no layers given");
  }
  /* overlayfs wants two layers; one alone is its own view. */
  bool alone = overlay->lower.count + (overlay->upper != NULL) == 1;
  if (alone && overlay->mount_count == 0) {
    return tree_open_directory(overlay->upper != NULL ? overlay->upper : overlay->lower.items[0], ret_tree, err);
  }
  if (alone) {
    return err_set(err, ENOTSUP, "mounts need at least two layers");
  }
  cleanup_tree struct tree tree = TREE_INIT;
  int r = tree_open_self(&tree.self, err);
  if (r == 0) {
    r = mount_all(overlay, &tree.root, err);
  }
  if (r == 0) {
    ret_tree->root = take_fd(&tree.root);
    ret_tree->self = take_fd(&tree.self);
  }
  return r;
}

int overlay_enter_process(int pid, uint64_t start_time, struct tree *ret_tree, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  int r = tree_open_self(&tree.self, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int process = -1;
  r = process_open(pid, start_time, &process, err);
  if (r < 0) {
    return r == -ESRCH ? err_set(err, ESRCH, "process %d has ended", pid) : r;
  }
  if (setns(process, CLONE_NEWNS) < 0) {
    return err_errno(err, "cannot enter the mount namespace of process %d", pid);
  }
  tree.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (tree.root < 0) {
    return err_errno(err, "cannot open the root of process %d", pid);
  }
  ret_tree->root = take_fd(&tree.root);
  ret_tree->self = take_fd(&tree.self);
  return 0;
}
