#include <errno.h>
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
    bool is_data = false;
    r = mount_option_apply(mount, all.items[i], &is_data, err);
    if (r < 0) {
      return err_prefix(err, "%s.options", item->path);
    }
    if (is_data) {
      mount->data.items[mount->data.count++] = all.items[i];
    }
  }
  if (mount->bind && mount->data.count > 0) {
    return err_set(err, EINVAL, "%s.options: '%s' means nothing to a bind mount", item->path, mount->data.items[0]);
  }
  return 0;
}

static int read_mount(struct arena *arena, const struct json *item, struct plan_mount *mount, struct err *err) {
  int r = json_need_string(item, "destination", &mount->destination, err);
  if (r < 0) {
    return r;
  }
  if (mount->destination[0] == '\0') {
    return err_set(err, EINVAL, "%s.destination: empty", item->path);
  }
  if (json_string_at(item, "source", &mount->source, err) < 0 || json_string_at(item, "type", &mount->type, err) < 0) {
    return -EINVAL;
  }
  if (json_get(item, "uidMappings").value != NULL || json_get(item, "gidMappings").value != NULL) {
    return err_set(err, ENOTSUP, "%s: id-mapped mounts are not supported", item->path);
  }
  mount->bind = str_equal(mount->type, "bind") || str_equal(mount->type, "rbind");
  mount->recursive = str_equal(mount->type, "rbind");
  r = read_options(arena, mount, item, err);
  if (r < 0) {
    return r;
  }
  if (mount->type == NULL && !mount->bind) {
    return err_set(err, EINVAL, "%s.type: missing", item->path);
  }
  if (mount->bind && mount->source == NULL) {
    return err_set(err, EINVAL, "%s.source: missing", item->path);
  }
  return 0;
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
    r = read_mount(&plan->arena, &item, &plan->mounts[i], err);
    if (r < 0) {
      return r;
    }
  }
  plan->mount_count = count;
  return 0;
}
