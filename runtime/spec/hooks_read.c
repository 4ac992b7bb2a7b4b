#include <errno.h>

#include "spec/plan.h"

const char *const hook_names[HOOK_KINDS] = {
    [HOOK_PRESTART] = "prestart",
    [HOOK_CREATE_RUNTIME] = "createRuntime",
    [HOOK_CREATE_CONTAINER] = "createContainer",
    [HOOK_START_CONTAINER] = "startContainer",
    [HOOK_POSTSTART] = "poststart",
    [HOOK_POSTSTOP] = "poststop",
};

static int read_hook(struct arena *arena, const struct json *item, struct plan_hook *hook, struct err *err) {
  struct plan_text_list args = {NULL, 0};
  struct plan_text_list env = {NULL, 0};
  if (json_need_string(item, "path", &hook->path, err) < 0 || plan_read_texts(arena, item, "args", &args, err) < 0 ||
      plan_read_texts(arena, item, "env", &env, err) < 0) {
    return -EINVAL;
  }
  if (hook->path[0] != '/') {
    return err_set(err, EINVAL, "%s.path: '%s' is not an absolute path", item->path, hook->path);
  }
  hook->args = args.items;
  hook->env = env.items;
  int r = json_int_at(item, "timeout", 1, 86400, &hook->timeout_s, err);
  return r < 0 ? r : 0;
}

int plan_read_hooks(struct plan *plan, const struct json *document, struct err *err) {
  struct json object;
  int r = json_object_at(document, "hooks", &object, err);
  for (int kind = 0; r > 0 && kind < HOOK_KINDS; kind++) {
    struct json array;
    size_t count = 0;
    struct plan_hooks *hooks = &plan->hooks[kind];
    int found = json_array_at(&object, hook_names[kind], &array, &count, err);
    if (found < 0) {
      return found;
    }
    hooks->items = arena_get(&plan->arena, (count + 1) * sizeof(struct plan_hook));
    if (hooks->items == NULL) {
      return err_oom(err);
    }
    for (size_t i = 0; i < count; i++) {
      struct json item;
      json_item(&array, i, &item);
      found = read_hook(&plan->arena, &item, &hooks->items[i], err);
      if (found < 0) {
        return found;
      }
    }
    hooks->count = count;
  }
  return r < 0 ? r : 0;
}
