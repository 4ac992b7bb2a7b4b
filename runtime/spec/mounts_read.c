#include <errno.h>
#include <sched.h>
#include <string.h>

#include "spec/plan.h"

static int read_options(struct arena *arena, struct plan_mount *mount, const struct json *item, struct err *err) {
  struct plan_text_list all = {NULL, 0};
  int r = plan_read_texts(arena, item, "options", &all, err);
  if (r < 0) {
    return r;
  }
  mount->data.items = arena_get(arena, (all.count + 1) * sizeof(char *));
  if (mount->data.items == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < all.count; i++) {
    /* Empty ones come from callers that join what may be nothing, podman 5 among them; mount(2) passes over them. */
    if (all.items[i][0] != '\0' && !mount_option_apply(mount, all.items[i])) {
      mount->data.items[mount->data.count++] = all.items[i];
    }
  }
  if (mount->bind && mount->data.count > 0) {
    /* The kernel never heard of them either: other runtimes pass them on to where nobody reads them. */
    mount->ignored = mount->data.items[0];
    mount->data = (struct plan_text_list){NULL, 0};
  }
  return 0;
}

/* A path that is not absolute counts from the root: an old custom, told of when the mount is made. */
static int read_destination(struct arena *arena, const struct json *item, struct plan_mount *mount, struct err *err) {
  int r = json_need_string(item, "destination", &mount->destination, err);
  if (r < 0) {
    return r;
  }
  if (mount->destination[0] == '\0') {
    return err_set(err, EINVAL, "%s.destination: empty", item->path);
  }
  if (mount->destination[0] == '/') {
    return 0;
  }
  size_t length = strlen(mount->destination);
  char *absolute = arena_get(arena, length + 2);
  if (absolute == NULL) {
    return err_oom(err);
  }
  absolute[0] = '/';
  memcpy(absolute + 1, mount->destination, length + 1);
  mount->destination = absolute;
  mount->relative = true;
  return 0;
}

static int read_maps(struct arena *arena, bool has_user_namespace, const struct json *item, struct plan_mount *mount,
                     struct err *err) {
  if (plan_read_id_maps(arena, item, "uidMappings", &mount->uid_maps, err) < 0 ||
      plan_read_id_maps(arena, item, "gidMappings", &mount->gid_maps, err) < 0) {
    return -EINVAL;
  }
  if ((mount->uid_maps.count == 0) != (mount->gid_maps.count == 0)) {
    return err_set(err, EINVAL, "%s: uidMappings and gidMappings are given together or not at all", item->path);
  }
  if (mount->uid_maps.count > 0 && !mount->id_mapped) {
    mount->id_mapped = true;
    mount->id_mapped_recursive = mount->recursive;
  }
  if (mount->id_mapped && (!mount->bind || mount->remount)) {
    return err_set(err, EINVAL, "%s: only a bind mount can be id-mapped", item->path);
  }
  if (mount->id_mapped && mount->uid_maps.count == 0 && !has_user_namespace) {
    return err_set(err, EINVAL, "%s.options: idmap needs uidMappings and gidMappings, or a user namespace", item->path);
  }
  return 0;
}

static int check_kind(const struct json *item, const struct plan_mount *mount, struct err *err) {
  if (mount->remount) {
    return 0;
  }
  if (mount->type == NULL && !mount->bind) {
    return err_set(err, EINVAL, "%s.type: missing", item->path);
  }
  if (mount->bind && (mount->source == NULL || mount->source[0] == '\0')) {
    return err_set(err, EINVAL, "%s.source: missing", item->path);
  }
  if (mount->copy_up && !str_equal(mount->type, "tmpfs")) {
    return err_set(err, EINVAL, "%s.options: tmpcopyup is for a tmpfs", item->path);
  }
  return 0;
}

static int read_mount(struct plan *plan, const struct json *item, struct plan_mount *mount, struct err *err) {
  struct arena *arena = &plan->arena;
  int r = read_destination(arena, item, mount, err);
  if (r < 0 || json_string_at(item, "source", &mount->source, err) < 0 ||
      json_string_at(item, "type", &mount->type, err) < 0) {
    return -EINVAL;
  }
  mount->bind = str_equal(mount->type, "bind") || str_equal(mount->type, "rbind");
  mount->recursive = str_equal(mount->type, "rbind");
  r = read_options(arena, mount, item, err);
  r = r < 0 ? r : read_maps(arena, plan_namespace(plan, CLONE_NEWUSER) != NULL, item, mount, err);
  return r < 0 ? r : check_kind(item, mount, err);
}

int plan_read_mounts(struct plan *plan, const struct json *document, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(document, "mounts", &array, &count, err);
  if (r <= 0) {
    return r;
  }
  plan->mounts = arena_get(&plan->arena, (count + 1) * sizeof(*plan->mounts));
  if (plan->mounts == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    if (!json_is_object(&item)) {
      return err_set(err, EINVAL, "%s: expected an object", item.path);
    }
    r = read_mount(plan, &item, &plan->mounts[i], err);
    if (r < 0) {
      return r;
    }
  }
  plan->mount_count = count;
  return 0;
}
