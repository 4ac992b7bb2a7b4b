/* linux.resources, and cgroup paths. */
#include <string.h>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "spec/plan.h"

static void clean_path(const uint8_t *data, size_t size) {
  cleanup_free char *path = strndup((const char *)data, size);
  char clean[512];
  struct err err = ERR_INIT;
  if (path != NULL && cgroup_path_clean(path, clean, sizeof(clean), &err) == 0) {
    must(strlen(clean) < sizeof(clean) && strstr(clean, "/../") == NULL);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  clean_path(data, size);
  struct plan plan = {.root_path = NULL};
  struct json linux_object = {.value = NULL};
  struct err err = ERR_INIT;
  if (json_parse((const char *)data, size, &linux_object, &err) < 0) {
    return 0;
  }
  if (json_is_object(&linux_object)) {
    (void)plan_read_resources(&plan, &linux_object, &err);
  }
  arena_free(&plan.arena);
  json_free(&linux_object);
  return 0;
}
