#include <string.h>
#include <sys/mount.h>

#include "spec/mount_flags.h"
#include "spec/plan.h"

enum effect { SET, CLEAR, ATIME, PROPAGATE, BIND, ID_MAP, COPY_UP, REMOUNT, DEFAULT };

/* Options of the mount itself, in the words of mount(8) and the OCI specification. `r` forms act on the whole tree. */
static const struct option {
  const char *name;
  enum effect effect;
  uint64_t value;
  bool recursive;
} options[] = {
    {"ro", SET, MNT_ATTR_RDONLY, false},
    {"rw", CLEAR, MNT_ATTR_RDONLY, false},
    {"nosuid", SET, MNT_ATTR_NOSUID, false},
    {"suid", CLEAR, MNT_ATTR_NOSUID, false},
    {"nodev", SET, MNT_ATTR_NODEV, false},
    {"dev", CLEAR, MNT_ATTR_NODEV, false},
    {"noexec", SET, MNT_ATTR_NOEXEC, false},
    {"exec", CLEAR, MNT_ATTR_NOEXEC, false},
    {"nosymfollow", SET, MNT_ATTR_NOSYMFOLLOW, false},
    {"symfollow", CLEAR, MNT_ATTR_NOSYMFOLLOW, false},
    {"nodiratime", SET, MNT_ATTR_NODIRATIME, false},
    {"diratime", CLEAR, MNT_ATTR_NODIRATIME, false},
    {"noatime", ATIME, MNT_ATTR_NOATIME, false},
    {"atime", ATIME, MNT_ATTR_RELATIME, false},
    {"relatime", ATIME, MNT_ATTR_RELATIME, false},
    {"norelatime", ATIME, MNT_ATTR_RELATIME, false},
    {"strictatime", ATIME, MNT_ATTR_STRICTATIME, false},
    {"nostrictatime", ATIME, MNT_ATTR_RELATIME, false},
    {"rro", SET, MNT_ATTR_RDONLY, true},
    {"rrw", CLEAR, MNT_ATTR_RDONLY, true},
    {"rnosuid", SET, MNT_ATTR_NOSUID, true},
    {"rsuid", CLEAR, MNT_ATTR_NOSUID, true},
    {"rnodev", SET, MNT_ATTR_NODEV, true},
    {"rdev", CLEAR, MNT_ATTR_NODEV, true},
    {"rnoexec", SET, MNT_ATTR_NOEXEC, true},
    {"rexec", CLEAR, MNT_ATTR_NOEXEC, true},
    {"rnosymfollow", SET, MNT_ATTR_NOSYMFOLLOW, true},
    {"rsymfollow", CLEAR, MNT_ATTR_NOSYMFOLLOW, true},
    {"rnodiratime", SET, MNT_ATTR_NODIRATIME, true},
    {"rdiratime", CLEAR, MNT_ATTR_NODIRATIME, true},
    {"rnoatime", ATIME, MNT_ATTR_NOATIME, true},
    {"ratime", ATIME, MNT_ATTR_RELATIME, true},
    {"rrelatime", ATIME, MNT_ATTR_RELATIME, true},
    {"rnorelatime", ATIME, MNT_ATTR_RELATIME, true},
    {"rstrictatime", ATIME, MNT_ATTR_STRICTATIME, true},
    {"rnostrictatime", ATIME, MNT_ATTR_RELATIME, true},
    {"private", PROPAGATE, MS_PRIVATE, false},
    {"slave", PROPAGATE, MS_SLAVE, false},
    {"shared", PROPAGATE, MS_SHARED, false},
    {"unbindable", PROPAGATE, MS_UNBINDABLE, false},
    {"rprivate", PROPAGATE, MS_PRIVATE, true},
    {"rslave", PROPAGATE, MS_SLAVE, true},
    {"rshared", PROPAGATE, MS_SHARED, true},
    {"runbindable", PROPAGATE, MS_UNBINDABLE, true},
    {"bind", BIND, 0, false},
    {"rbind", BIND, 0, true},
    {"defaults", DEFAULT, 0, false},
    {"async", DEFAULT, 0, false},
    {"loud", DEFAULT, 0, false},
    {"noiversion", DEFAULT, 0, false},
    {"nolazytime", DEFAULT, 0, false},
    {"nomand", DEFAULT, 0, false},
    {"silent", DEFAULT, 0, false},
    {"idmap", ID_MAP, 0, false},
    {"ridmap", ID_MAP, 0, true},
    {"tmpcopyup", COPY_UP, 0, false},
    {"remount", REMOUNT, 0, false},
};

static void change(struct plan_mount *mount, const struct option *option, uint64_t set, uint64_t clear) {
  uint64_t *to_set = option->recursive ? &mount->recursive_set : &mount->set;
  uint64_t *to_clear = option->recursive ? &mount->recursive_clear : &mount->clear;
  *to_set = (*to_set & ~clear) | set;
  *to_clear = (*to_clear & ~set) | clear;
}

bool mount_option_apply(struct plan_mount *mount, const char *text) {
  for (size_t i = 0; i < array_length(options); i++) {
    const struct option *option = &options[i];
    if (strcmp(option->name, text) != 0) {
      continue;
    }
    switch (option->effect) {
    case SET:
      change(mount, option, option->value, 0);
      break;
    case CLEAR:
      change(mount, option, 0, option->value);
      break;
    case ATIME:
      /* The kernel wants the whole field cleared before a value is set in it. */
      change(mount, option, 0, MNT_ATTR_ATIME_MASK);
      *(option->recursive ? &mount->recursive_set : &mount->set) |= option->value;
      break;
    case PROPAGATE:
      mount->propagation = option->value;
      mount->propagation_recursive = option->recursive;
      break;
    case BIND:
      mount->bind = true;
      mount->recursive = option->recursive;
      break;
    case ID_MAP:
      mount->id_mapped = true;
      mount->id_mapped_recursive = option->recursive;
      break;
    case COPY_UP:
      mount->copy_up = true;
      break;
    case REMOUNT:
      mount->remount = true;
      break;
    case DEFAULT:
      break;
    }
    return true;
  }
  return false;
}

const char *mount_option_name(size_t index) {
  return index < array_length(options) ? options[index].name : NULL;
}
