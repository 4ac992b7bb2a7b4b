#include "spec/plan.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int plan_read_texts(struct arena *arena, const struct json *parent, const char *key, struct plan_text_list *ret_list,
                    struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(parent, key, &array, &count, err);
  if (r <= 0 || count == 0) {
    return r < 0 ? r : 0;
  }
  const char **items = arena_get(arena, (count + 1) * sizeof(char *));
  if (items == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = json_as_string(&item, &items[i], err);
    if (r < 0) {
      return r;
    }
  }
  *ret_list = (struct plan_text_list){items, count};
  return 0;
}

int plan_read_pairs(struct arena *arena, const struct json *parent, const char *key, struct plan_sysctl **ret_pairs,
                    size_t *ret_count, struct err *err) {
  struct json object, value;
  const char *name = NULL;
  int r = json_object_at(parent, key, &object, err);
  if (r <= 0) {
    return r;
  }
  size_t count = 0;
  for (size_t at = 0; json_next(&object, &at, &name, &value);) {
    count++;
  }
  struct plan_sysctl *pairs = arena_get(arena, (count + 1) * sizeof(*pairs));
  if (pairs == NULL) {
    return err_oom(err);
  }
  count = 0;
  for (size_t at = 0; json_next(&object, &at, &name, &value);) {
    pairs[count].key = name;
    r = json_as_string(&value, &pairs[count].value, err);
    if (r < 0) {
      return r;
    }
    count++;
  }
  *ret_pairs = pairs;
  *ret_count = count;
  return 0;
}

static int read_device(const struct json *item, struct plan_device *device, struct err *err) {
  const char *type = NULL;
  long long major = 0, minor = 0, uid = 0, gid = 0, mode = 0666;
  if (json_need_string(item, "path", &device->path, err) < 0 || json_need_string(item, "type", &type, err) < 0 ||
      json_long_at(item, "major", 0, UINT32_MAX, &major, err) < 0 ||
      json_long_at(item, "minor", 0, UINT32_MAX, &minor, err) < 0 ||
      json_long_at(item, "uid", 0, UINT32_MAX - 1, &uid, err) < 0 ||
      json_long_at(item, "gid", 0, UINT32_MAX - 1, &gid, err) < 0 ||
      json_long_at(item, "fileMode", 0, 0177777, &mode, err) < 0) {
    return -EINVAL;
  }
  if (device->path[0] != '/') {
    return err_set(err, EINVAL, "%s.path: '%s' is not an absolute path", item->path, device->path);
  }
  if (strlen(type) != 1 || strchr("cubp", type[0]) == NULL) {
    return err_set(err, EINVAL, "%s.type: expected c, u, b or p, got '%s'", item->path, type);
  }
  device->type = type[0] == 'b' ? S_IFBLK : type[0] == 'p' ? S_IFIFO : S_IFCHR;
  device->number = makedev((unsigned)major, (unsigned)minor);
  device->mode = (mode_t)mode & 07777;
  device->uid = (uid_t)uid;
  device->gid = (gid_t)gid;
  return 0;
}

static int read_devices(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(linux_object, "devices", &array, &count, err);
  if (r <= 0) {
    return r;
  }
  plan->devices = arena_get(&plan->arena, (count + 1) * sizeof(*plan->devices));
  if (plan->devices == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_device(&item, &plan->devices[i], err);
    if (r < 0) {
      return r;
    }
  }
  plan->device_count = count;
  return 0;
}

static const struct {
  const char *prefix;
  int namespace;
} sysctl_owners[] = {
    {"net.", CLONE_NEWNET},
    {"fs.mqueue.", CLONE_NEWIPC},
    {"kernel.msgmax", CLONE_NEWIPC},
    {"kernel.msgmnb", CLONE_NEWIPC},
    {"kernel.msgmni", CLONE_NEWIPC},
    {"kernel.sem", CLONE_NEWIPC},
    {"kernel.shmall", CLONE_NEWIPC},
    {"kernel.shmmax", CLONE_NEWIPC},
    {"kernel.shmmni", CLONE_NEWIPC},
    {"kernel.shm_rmid_forced", CLONE_NEWIPC},
    {"kernel.domainname", CLONE_NEWUTS},
    {"kernel.hostname", CLONE_NEWUTS},
};

int plan_sysctl_owner(const char *key) {
  for (size_t i = 0; i < array_length(sysctl_owners); i++) {
    const char *prefix = sysctl_owners[i].prefix;
    size_t length = strlen(prefix);
    bool family = prefix[length - 1] == '.';
    /* Both separators are customary: net.ipv4.x and net/ipv4/x. */
    bool same = true;
    for (size_t k = 0; k < length && same; k++) {
      char c = key[k] == '/' ? '.' : key[k];
      same = c == prefix[k];
    }
    if (same && (family || key[length] == '\0')) {
      return sysctl_owners[i].namespace;
    }
  }
  return 0;
}

/* Only what belongs to a namespace the container does not share with the host may be set. */
static int check_sysctl(const struct plan *plan, const struct plan_sysctl *sysctl, struct err *err) {
  if (strstr(sysctl->key, "..") != NULL || sysctl->key[0] == '/' || sysctl->key[0] == '.') {
    return err_set(err, EINVAL, "linux.sysctl: '%s' is not a name", sysctl->key);
  }
  int owner = plan_sysctl_owner(sysctl->key);
  if (owner == 0) {
    return err_set(err, EPERM, "linux.sysctl: %s does not belong to a namespace, it would change the host",
                   sysctl->key);
  }
  if (plan_namespace(plan, owner) == NULL) {
    return err_set(err, EPERM, "linux.sysctl: %s would change the host: the container shares that namespace",
                   sysctl->key);
  }
  return 0;
}

static int read_propagation(struct plan *plan, const struct json *linux_object, struct err *err) {
  static const struct {
    const char *name;
    unsigned long flags;
  } names[] = {
      {"", MS_PRIVATE | MS_REC},
      {"private", MS_PRIVATE},
      {"rprivate", MS_PRIVATE | MS_REC},
      {"slave", MS_SLAVE},
      {"rslave", MS_SLAVE | MS_REC},
      {"shared", MS_SHARED},
      {"rshared", MS_SHARED | MS_REC},
      {"unbindable", MS_UNBINDABLE},
      {"runbindable", MS_UNBINDABLE | MS_REC},
  };
  const char *text = "";
  if (json_string_at(linux_object, "rootfsPropagation", &text, err) < 0) {
    return -EINVAL;
  }
  for (size_t i = 0; i < array_length(names); i++) {
    if (strcmp(names[i].name, text) == 0) {
      plan->root_propagation = names[i].flags;
      return 0;
    }
  }
  return err_set(err, EINVAL, "linux.rootfsPropagation: unknown value '%s'", text);
}

static int refuse_unsupported(const struct json *linux_object, struct err *err) {
  static const char *const keys[] = {"intelRdt", "memoryPolicy", "netDevices"};
  for (size_t i = 0; i < array_length(keys); i++) {
    struct json value = json_get(linux_object, keys[i]);
    if (value.value != NULL) {
      return err_set(err, ENOTSUP, "%s is not supported", value.path);
    }
  }
  return 0;
}

static int read_paths(struct plan *plan, const struct json *object, const char *key, struct plan_text_list *ret_paths,
                      struct err *err) {
  int r = plan_read_texts(&plan->arena, object, key, ret_paths, err);
  for (size_t i = 0; r >= 0 && i < ret_paths->count; i++) {
    if (ret_paths->items[i][0] != '/') {
      return err_set(err, EINVAL, "linux.%s[%zu]: '%s' is not an absolute path", key, i, ret_paths->items[i]);
    }
  }
  return r;
}

static int read_linux(struct plan *plan, const struct json *document, struct err *err) {
  struct json object;
  int r = json_object_at(document, "linux", &object, err);
  if (r < 0) {
    return r;
  }
  if ((r = refuse_unsupported(&object, err)) < 0 || (r = plan_read_namespaces(plan, &object, err)) < 0 ||
      (r = read_devices(plan, &object, err)) < 0 || (r = read_propagation(plan, &object, err)) < 0 ||
      (r = read_paths(plan, &object, "maskedPaths", &plan->masked, err)) < 0 ||
      (r = read_paths(plan, &object, "readonlyPaths", &plan->readonly, err)) < 0 ||
      (r = json_string_at(&object, "cgroupsPath", &plan->cgroup_path, err)) < 0 ||
      (r = json_string_at(&object, "mountLabel", &plan->mount_label, err)) < 0 ||
      (r = plan_read_pairs(&plan->arena, &object, "sysctl", &plan->sysctls, &plan->sysctl_count, err)) < 0 ||
      (r = json_object_at(&object, "seccomp", &plan->seccomp, err)) < 0 ||
      (r = plan_read_resources(plan, &object, err)) < 0) {
    return r;
  }
  for (size_t i = 0; i < plan->sysctl_count; i++) {
    r = check_sysctl(plan, &plan->sysctls[i], err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int read_overlay(struct plan *plan, struct err *err) {
  const char *text = NULL;
  int r = json_string_at(&plan->annotations, "dev.tscompose.overlay", &text, err);
  if (r <= 0) {
    return r;
  }
  /* The annotation's own document is kept in the arena's lifetime by copying what is needed. */
  cleanup_json struct json overlay = {.value = NULL, .path = ""};
  r = json_parse(text, strlen(text), &overlay, err);
  if (r < 0) {
    return err_prefix(err, "annotation dev.tscompose.overlay");
  }
  struct plan_text_list lower = {NULL, 0};
  const char *dirs[2] = {NULL, NULL};
  r = plan_read_texts(&plan->arena, &overlay, "lower", &lower, err);
  if (r < 0 || json_string_at(&overlay, "upper", &dirs[0], err) < 0 ||
      json_string_at(&overlay, "work", &dirs[1], err) < 0 ||
      json_bool_at(&overlay, "idmap", &plan->overlay_mapped, err) < 0) {
    return err_prefix(err, "annotation dev.tscompose.overlay");
  }
  if (plan->overlay_mapped && plan_namespace(plan, CLONE_NEWUSER) == NULL) {
    return err_set(err, EINVAL, "annotation dev.tscompose.overlay: idmap needs a user namespace");
  }
  if (lower.count == 0 || (dirs[0] == NULL) != (dirs[1] == NULL)) {
    return err_set(err, EINVAL, "annotation dev.tscompose.overlay: needs lower, and upper with work or neither");
  }
  for (size_t i = 0; i < lower.count + 2; i++) {
    const char **at = i < lower.count ? &lower.items[i] : &dirs[i - lower.count];
    if (*at == NULL) {
      continue;
    }
    if ((*at)[0] != '/') {
      return err_set(err, EINVAL, "annotation dev.tscompose.overlay: '%s' is not an absolute path", *at);
    }
    char *copy = arena_get(&plan->arena, strlen(*at) + 1);
    if (copy == NULL) {
      return err_oom(err);
    }
    strcpy(copy, *at);
    *at = copy;
  }
  plan->overlay_lower = lower;
  plan->overlay_upper = dirs[0];
  plan->overlay_work = dirs[1];
  return 0;
}

static int check_annotations(const struct json *annotations, struct err *err) {
  const char *key = NULL, *text = NULL;
  struct json value;
  int r = 0;
  for (size_t at = 0; r >= 0 && json_next(annotations, &at, &key, &value);) {
    r = key[0] == '\0' ? err_set(err, EINVAL, "annotations: a key is empty") : json_as_string(&value, &text, err);
  }
  return r;
}

static int read_annotations(struct plan *plan, const struct json *document, struct err *err) {
  int r = json_object_at(document, "annotations", &plan->annotations, err);
  if (r < 0) {
    return r;
  }
  r = r == 0 ? 0 : check_annotations(&plan->annotations, err);
  if (r < 0) {
    return r;
  }
  const char *init = "false";
  if (json_string_at(&plan->annotations, "dev.tscompose.init", &init, err) < 0) {
    return -EINVAL;
  }
  if (strcmp(init, "true") != 0 && strcmp(init, "false") != 0) {
    return err_set(err, EINVAL, "annotation dev.tscompose.init: expected true or false, got '%s'", init);
  }
  plan->init = init[0] == 't';
  return read_overlay(plan, err);
}

static int check_whole(const struct plan *plan, struct err *err) {
  if (plan->hostname != NULL && plan_namespace(plan, CLONE_NEWUTS) == NULL) {
    return err_set(err, EINVAL, "hostname: needs a uts namespace of the container's own");
  }
  if (plan->domainname != NULL && plan_namespace(plan, CLONE_NEWUTS) == NULL) {
    return err_set(err, EINVAL, "domainname: needs a uts namespace of the container's own");
  }
  if (plan_check_ids(plan, err) < 0) {
    return -EINVAL;
  }
  const struct plan_namespace *pid = plan_namespace(plan, CLONE_NEWPID);
  if (plan->init && (pid == NULL || pid->path != NULL)) {
    return err_set(err, EINVAL, "annotation dev.tscompose.init: needs a new pid namespace");
  }
  return 0;
}

/* Semantic versioning: a newer minor is compatible, a newer major is not. */
static int check_version(const struct json *document, const char **ret_version, struct err *err) {
  int r = json_need_string(document, "ociVersion", ret_version, err);
  if (r < 0) {
    return r;
  }
  const char *at = *ret_version;
  for (int part = 0; part < 3; part++) {
    size_t digits = strspn(at, "0123456789");
    char after = at[digits];
    bool ended = part == 2 && (after == '\0' || after == '-' || after == '+');
    if (digits == 0 || (!ended && (part == 2 || after != '.'))) {
      return err_set(err, EINVAL, "ociVersion: '%s' is not a version: expected 1.2.0 or the like", *ret_version);
    }
    at += digits + (ended ? 0 : 1);
  }
  return str_starts(*ret_version, "1.")
             ? 0
             : err_set(err, ENOTSUP, "ociVersion: %s is not supported, 1.x is", *ret_version);
}

bool plan_version_from(const char *oci_version, long minor) {
  return strtol(oci_version + strlen("1."), NULL, 10) >= minor;
}

/* What asks for another kind of machine is not a Linux container, even when there is a `linux` beside it. */
static int refuse_platforms(const struct json *document, struct err *err) {
  static const char *const keys[] = {"windows", "solaris", "zos", "vm", "freebsd"};
  for (size_t i = 0; i < array_length(keys); i++) {
    if (json_get(document, keys[i]).value != NULL) {
      return err_set(err, ENOTSUP, "%s: this runtime makes Linux containers", keys[i]);
    }
  }
  return 0;
}

int plan_build(struct json *document, struct plan *ret_plan, struct err *err) {
  struct plan plan;
  memset(&plan, 0, sizeof(plan));
  plan.document = *document;
  plan.process.cwd = "/";
  document->value = NULL;
  struct json root, process;
  int r = json_is_object(&plan.document) ? 0 : err_set(err, EINVAL, "config.json: expected an object");
  if (r < 0 || (r = check_version(&plan.document, &plan.oci_version, err)) < 0 ||
      (r = refuse_platforms(&plan.document, err)) < 0 || (r = json_object_at(&plan.document, "root", &root, err)) < 0 ||
      (r = json_need_string(&root, "path", &plan.root_path, err)) < 0 ||
      (r = json_bool_at(&root, "readonly", &plan.root_readonly, err)) < 0 ||
      (r = json_string_at(&plan.document, "hostname", &plan.hostname, err)) < 0 ||
      (r = json_string_at(&plan.document, "domainname", &plan.domainname, err)) < 0 ||
      (r = read_linux(&plan, &plan.document, err)) < 0 || (r = read_annotations(&plan, &plan.document, err)) < 0 ||
      (r = plan_read_mounts(&plan, &plan.document, err)) < 0 || (r = plan_read_hooks(&plan, &plan.document, err)) < 0 ||
      (r = json_object_at(&plan.document, "process", &process, err)) < 0 ||
      (process.value != NULL && (r = plan_read_process(&plan.arena, &process, &plan.process, err)) < 0) ||
      (r = check_whole(&plan, err)) < 0) {
    plan_free(&plan);
    return err_prefix(err, "config.json");
  }
  *ret_plan = plan;
  return 0;
}

void plan_free(struct plan *plan) {
  arena_free(&plan->arena);
  json_free(&plan->document);
}

int cgroup_path_clean(const char *path, char *buffer, size_t capacity, struct err *err) {
  size_t size = 0;
  const char *at = path;
  while (*at != '\0') {
    while (*at == '/') {
      at++;
    }
    size_t length = strcspn(at, "/");
    if (length == 2 && strncmp(at, "..", 2) == 0) {
      return err_set(err, EINVAL, "linux.cgroupsPath: '..' is not allowed in %s", path);
    }
    if (length > 0 && !(length == 1 && at[0] == '.')) {
      if (size + length + 2 > capacity) {
        return err_code(err, ENAMETOOLONG, "linux.cgroupsPath");
      }
      buffer[size++] = '/';
      memcpy(buffer + size, at, length);
      size += length;
    }
    at += length;
  }
  if (size == 0) {
    return err_set(err, EINVAL, "linux.cgroupsPath: '%s' names the root cgroup", path);
  }
  buffer[size] = '\0';
  return 0;
}
