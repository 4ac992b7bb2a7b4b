#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "container/container.h"
#include "sys/process.h"

const char *const container_status_names[] = {
    [CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running",
    [CONTAINER_PAUSED] = "paused",     [CONTAINER_STOPPED] = "stopped",
};

int container_check_id(const char *id, struct err *err) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
  size_t length = strlen(id);
  if (length == 0 || length > 128 || strspn(id, allowed) != length || id[0] == '.') {
    return err_set(err, EINVAL, "'%s' is not a container id: 1 to 128 letters, digits, or _+-. (not first) are", id);
  }
  return 0;
}

static int read_cgroups(struct container *container, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(&container->document, "cgroups", &array, &count, err);
  for (size_t i = 0; r > 0 && i < count && i < CGROUP_HIERARCHIES; i++) {
    struct json item;
    struct cgroup_place *place = &container->cgroup.places[container->cgroup.count++];
    const char *controllers = NULL, *directory = NULL;
    json_item(&array, i, &item);
    if (json_need_string(&item, "controllers", &controllers, err) < 0 ||
        json_need_string(&item, "directory", &directory, err) < 0 || json_bool_at(&item, "v2", &place->v2, err) < 0) {
      return -EINVAL;
    }
    snprintf(place->controllers, sizeof(place->controllers), "%s", controllers);
    snprintf(place->directory, sizeof(place->directory), "%s", directory);
  }
  return r < 0 ? r : 0;
}

static int read_state(struct container *container, struct err *err) {
  long long pid = 0;
  container->personality = PLAN_UNSET;
  int r = json_read_file(container->directory, "state.json", &container->document, err);
  if (r < 0) {
    return r;
  }
  const struct json *document = &container->document;
  if ((r = json_need_string(document, "id", &container->id, err)) < 0 ||
      (r = json_need_string(document, "bundle", &container->bundle, err)) < 0 ||
      (r = json_need_string(document, "created", &container->created, err)) < 0 ||
      (r = json_need_string(document, "rootfs", &container->rootfs, err)) < 0 ||
      (r = json_need_long(document, "pid", 1, INT_MAX, &pid, err)) < 0 ||
      (r = json_u64_at(document, "start_time", &container->start_time, err)) < 0 ||
      (r = json_bool_at(document, "user_namespace", &container->own_users, err)) < 0 ||
      (r = json_bool_at(document, "mounts_joined", &container->mounts_joined, err)) < 0 ||
      (r = json_bool_at(document, "time_namespace", &container->own_time, err)) < 0 ||
      (r = json_long_at(document, "personality", 0, LONG_MAX, &container->personality, err)) < 0) {
    return r;
  }
  container->pid = (pid_t)pid;
  container->process = json_get(document, "process");
  return read_cgroups(container, err);
}

int container_open(const char *root, const char *id, bool lock, struct container *ret_container, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  int r = container_check_id(id, err);
  if (r < 0) {
    return r;
  }
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/%s", root, id);
  container.directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (container.directory < 0) {
    return errno == ENOENT ? err_set(err, ENOENT, "container %s does not exist", id)
                           : err_errno(err, "cannot open %s", path);
  }
  if (lock && flock(container.directory, LOCK_EX) < 0) {
    return err_errno(err, "cannot lock container %s", id);
  }
  r = read_state(&container, err);
  if (r < 0) {
    return r == -ENOENT ? err_set(err, ENOENT,
                                  "container %s is not complete: it is being created, or its creation was "
                                  "interrupted; `delete --force` removes it",
                                  id)
                        : err_prefix(err, "container %s", id);
  }
  *ret_container = container;
  container = (struct container)CONTAINER_INIT;
  return 0;
}

void container_close(struct container *container) {
  if (container->directory >= 0) {
    close(container->directory);
    container->directory = -1;
  }
  json_free(&container->document);
}

enum container_status container_status(const struct container *container) {
  /* Told from /proc alone: no want of descriptors or of a system call makes a running container a stopped one. */
  struct process_stat stat;
  int r = process_stat_read(container->pid, &stat, NULL);
  if (r == -ENOENT || r == -ESRCH ||
      (r == 0 && (stat.start_time != container->start_time || stat.state == 'Z' || stat.state == 'X'))) {
    return CONTAINER_STOPPED;
  }
  if (faccessat(container->directory, "start", F_OK, 0) == 0) {
    return CONTAINER_CREATED;
  }
  return cgroup_is_frozen(&container->cgroup) ? CONTAINER_PAUSED : CONTAINER_RUNNING;
}

int container_state_text(const struct container *container, enum container_status status, char **ret_text,
                         struct err *err) {
  cleanup_str struct str out = STR_INIT;
  const char *version = "1.0.2";
  struct json annotations = json_get(&container->document, "annotations");
  (void)json_string_at(&container->document, "ociVersion", &version, NULL);
  int r = str_add(&out, "{\"ociVersion\":");
  r = r < 0 ? r : json_add_quoted(&out, version);
  r = r < 0 ? r : str_add(&out, ",\"id\":");
  r = r < 0 ? r : json_add_quoted(&out, container->id);
  r = r < 0 ? r : str_addf(&out, ",\"status\":\"%s\"", container_status_names[status]);
  r = r < 0 ? r : str_addf(&out, ",\"pid\":%d", status == CONTAINER_STOPPED ? 0 : (int)container->pid);
  r = r < 0 ? r : str_add(&out, ",\"bundle\":");
  r = r < 0 ? r : json_add_quoted(&out, container->bundle);
  r = r < 0 ? r : str_add(&out, ",\"rootfs\":");
  r = r < 0 ? r : json_add_quoted(&out, container->rootfs);
  r = r < 0 ? r : str_addf(&out, ",\"created\":\"%s\"", container->created);
  if (annotations.value != NULL) {
    r = r < 0 ? r : str_addf(&out, ",\"annotations\":%s", json_text(&annotations));
  }
  r = r < 0 ? r : str_add(&out, "}\n");
  if (r < 0) {
    return err_oom(err);
  }
  *ret_text = take_ptr(out.data);
  return 0;
}
