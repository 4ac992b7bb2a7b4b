/* The container's view of its control groups: each hierarchy read-only below one tmpfs, or plain cgroup2. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup/setup.h"
#include "spec/mount_flags.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"

static const unsigned safe = MNT_ATTR_NOSUID | MNT_ATTR_NODEV | MNT_ATTR_NOEXEC;

static int make_tree(const char *type, const char *options, unsigned attributes, struct err *err) {
  cleanup_close int fs = mountfd_open(type);
  if (fs < 0) {
    return err_errno(err, "cannot open file system type %s", type);
  }
  char copy[128];
  char *saved = NULL;
  snprintf(copy, sizeof(copy), "%s", options);
  (void)mountfd_config(fs, MOUNTFD_STRING, "source", "cgroup");
  for (char *word = strtok_r(copy, ",", &saved); word != NULL; word = strtok_r(NULL, ",", &saved)) {
    char *equals = strchr(word, '=');
    int r;
    if (equals != NULL) {
      *equals = '\0';
      r = mountfd_config(fs, MOUNTFD_STRING, word, equals + 1);
    } else {
      r = mountfd_config(fs, MOUNTFD_FLAG, word, NULL);
    }
    if (r < 0) {
      return err_errno(err, "%s option %s", type, word);
    }
  }
  int tree = -1;
  if (mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0 || (tree = mountfd_mount(fs, attributes)) < 0) {
    return err_errno(err, "cannot mount %s %s", type, options);
  }
  return tree;
}

/* With a cgroup namespace a fresh mount shows the container's group as root; without one the group is bound. */
static int hierarchy_tree(const struct setup *setup, size_t index, unsigned attributes, struct err *err) {
  const struct cgroup_hierarchy *hierarchy = &setup->layout->items[index];
  if (plan_namespace(setup->plan, CLONE_NEWCGROUP) != NULL) {
    return make_tree(hierarchy->v2 ? "cgroup2" : "cgroup", hierarchy->controllers, attributes, err);
  }
  if (setup->cgroup->places[index].directory[0] == '\0') {
    return err_set(err, ENOENT, "the container has no group of its own to show");
  }
  cleanup_close int tree = mountfd_clone(AT_FDCWD, setup->cgroup->places[index].directory, 0);
  if (tree < 0 || mountfd_setattr(tree, 0, attributes, 0, MS_PRIVATE) < 0) {
    return err_errno(err, "cannot bind %s", setup->cgroup->places[index].directory);
  }
  return take_fd(&tree);
}

static int add_links(int base, const char *controllers, struct err *err) {
  if (strchr(controllers, ',') == NULL) {
    return 0;
  }
  char copy[128];
  char *saved = NULL;
  snprintf(copy, sizeof(copy), "%s", controllers);
  for (char *word = strtok_r(copy, ",", &saved); word != NULL; word = strtok_r(NULL, ",", &saved)) {
    if (symlinkat(controllers, base, word) < 0 && errno != EEXIST) {
      return err_errno(err, "cannot link %s", word);
    }
  }
  return 0;
}

static int add_hierarchy(const struct setup *setup, size_t index, int base, unsigned attributes, struct err *err) {
  const struct cgroup_hierarchy *hierarchy = &setup->layout->items[index];
  const char *name = hierarchy->v2 ? "unified" : hierarchy->controllers;
  name = str_starts(name, "name=") ? name + 5 : name;
  if (mkdirat(base, name, 0755) < 0) {
    return err_errno(err, "cannot create %s", name);
  }
  cleanup_close int target = openat(base, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) {
    return err_errno(err, "cannot open %s", name);
  }
  cleanup_close int tree = hierarchy_tree(setup, index, attributes, err);
  if (tree < 0) {
    return tree;
  }
  if (mountfd_attach(tree, target) < 0) {
    return err_errno(err, "cannot attach %s", name);
  }
  return add_links(base, hierarchy->controllers, err);
}

int mount_cgroups(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  unsigned attributes = (unsigned)((mount->set | mount->recursive_set | safe) & ~MNT_ATTR_ATIME_MASK);
  if (setup->cgroup == NULL || setup->layout == NULL) {
    return err_set(err, EINVAL, "the container has no cgroups");
  }
  if (setup->layout->count == 1 && setup->layout->items[0].v2) {
    cleanup_close int tree = hierarchy_tree(setup, 0, attributes, err);
    return tree < 0 ? tree : mount_at_plain_directory(setup->root, mount->destination, tree, err);
  }
  cleanup_close int base_tree = make_tree("tmpfs", "mode=755", safe, err);
  if (base_tree < 0) {
    return base_tree;
  }
  int r = mount_at_plain_directory(setup->root, mount->destination, base_tree, err);
  for (size_t i = 0; r == 0 && i < setup->layout->count; i++) {
    r = add_hierarchy(setup, i, base_tree, attributes, err);
  }
  if (r == 0 && (attributes & MNT_ATTR_RDONLY) != 0 && mountfd_setattr(base_tree, 0, MNT_ATTR_RDONLY, 0, 0) < 0) {
    r = err_errno(err, "cannot make it read-only");
  }
  return r;
}
