/*
 * What only the runtime itself, outside, may open: trees for a container in another user namespace, whose first process
 * cannot walk the host's directories, and id-mapped trees. They are detached, and attached by the first process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "setup/idmap.h"
#include "setup/setup.h"
#include "sys/mountfd.h"

/* The user namespace of the last id-mapped mount: most have the same maps. */
struct mapping {
  const struct plan_id_maps *uids, *gids;
  int fd;
};

static int find_mapping(const struct setup *setup, const struct plan_mount *mount, struct mapping *mapping, int *ret_fd,
                        struct err *err) {
  bool own = mount->uid_maps.count > 0;
  const struct plan_id_maps *uids = own ? &mount->uid_maps : &setup->plan->uid_maps;
  const struct plan_id_maps *gids = own ? &mount->gid_maps : &setup->plan->gid_maps;
  int joined = setup_namespace_fd(setup, CLONE_NEWUSER);
  if (!own && joined >= 0) {
    *ret_fd = joined;
    return 0;
  }
  if (mapping->fd < 0 || !plan_id_maps_equal(uids, mapping->uids) || !plan_id_maps_equal(gids, mapping->gids)) {
    if (mapping->fd >= 0) {
      close(mapping->fd);
    }
    *mapping = (struct mapping){uids, gids, -1};
    int r = idmap_namespace(uids, gids, &mapping->fd, err);
    if (r < 0) {
      return r;
    }
  }
  *ret_fd = mapping->fd;
  return 0;
}

static int map_ids(const struct setup *setup, const struct plan_mount *mount, struct mapping *mapping, int tree,
                   struct err *err) {
  int users = -1;
  int r = find_mapping(setup, mount, mapping, &users, err);
  if (r < 0) {
    return r;
  }
  if (mountfd_map_ids(tree, mount->id_mapped_recursive, users) == 0) {
    return 0;
  }
  if (errno == EINVAL) {
    return err_set(err, ENOTSUP,
                   "the file system of %s%s cannot be id-mapped by this kernel, or is id-mapped already; use a volume "
                   "on another one, or leave idmap out",
                   mount->source, mount->id_mapped_recursive ? " (or of a mount below it)" : "");
  }
  return errno == EPERM ? err_set(err, EPERM, "id-mapping %s needs CAP_SYS_ADMIN over its file system", mount->source)
                        : err_errno(err, "cannot id-map %s", mount->source);
}

int setup_open_source(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err) {
  char path[PATH_MAX];
  bool absolute = mount->source[0] == '/';
  int n = snprintf(path, sizeof(path), "%s%s%s", absolute ? "" : setup->bundle, absolute ? "" : "/", mount->source);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    return err_code(err, ENAMETOOLONG, "source %s", mount->source);
  }
  int tree = mountfd_clone(AT_FDCWD, path, mount->recursive);
  if (tree < 0) {
    return err_errno(err, "cannot open source %s", path);
  }
  *ret_tree = tree;
  return 0;
}

static int open_one(struct setup *setup, size_t index, struct mapping *mapping, struct err *err) {
  const struct plan_mount *mount = &setup->plan->mounts[index];
  int r = setup_open_source(setup, mount, &setup->sources[index], err);
  if (r == 0 && mount->id_mapped) {
    r = map_ids(setup, mount, mapping, setup->sources[index], err);
  }
  return r < 0 ? err_prefix(err, "%s", mount->destination) : 0;
}

static int open_root(struct setup *setup, struct mapping *mapping, struct err *err) {
  if (!setup->plan->overlay_mapped) {
    return setup_open_root(setup, &setup->root_tree, err);
  }
  int users = -1;
  const struct plan_mount own_maps = {.bind = true};
  int r = find_mapping(setup, &own_maps, mapping, &users, err);
  return r < 0 ? r : overlay_open_mapped(setup->plan, users, &setup->root_tree, err);
}

int setup_open_sources(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  /* Without privileges outside, the first process has more rights than we do. */
  bool all = setup_joins_mounts(setup) || (setup->own_users && idmap_holds(CAP_SYS_ADMIN));
  bool some = all;
  if (plan->overlay_mapped && !(setup->own_users && all)) {
    return err_set(err, EPERM, "annotation dev.tscompose.overlay: idmap needs %s",
                   setup->own_users ? "a runtime with CAP_SYS_ADMIN" : "a user namespace of the container's own");
  }
  for (size_t i = 0; i < plan->mount_count; i++) {
    some = some || plan->mounts[i].id_mapped;
  }
  if (!some) {
    return 0;
  }
  setup->sources = calloc(plan->mount_count + 1, sizeof(int));
  if (setup->sources == NULL) {
    return err_oom(err);
  }
  memset(setup->sources, -1, (plan->mount_count + 1) * sizeof(int));
  struct mapping mapping = {NULL, NULL, -1};
  int r = all ? open_root(setup, &mapping, err) : 0;
  for (size_t i = 0; r == 0 && i < plan->mount_count; i++) {
    const struct plan_mount *mount = &plan->mounts[i];
    if (mount->bind && !mount->remount && (all || mount->id_mapped)) {
      r = open_one(setup, i, &mapping, err);
    }
  }
  if (mapping.fd >= 0) {
    close(mapping.fd);
  }
  return r;
}

void setup_close_sources(struct setup *setup) {
  for (size_t i = 0; setup->sources != NULL && i < setup->plan->mount_count; i++) {
    if (setup->sources[i] >= 0) {
      close(setup->sources[i]);
    }
  }
  free(setup->sources);
  setup->sources = NULL;
  if (setup->root_tree >= 0) {
    close(setup->root_tree);
    setup->root_tree = -1;
  }
}
