/* process.json of exec. */
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "spec/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cleanup_json struct json document = {.value = NULL};
  struct err err = ERR_INIT;
  if (json_parse((const char *)data, size, &document, &err) < 0) {
    return 0;
  }
  struct arena arena = {.last = NULL};
  struct plan_process process = {.cwd = NULL};
  if (plan_read_process(&arena, &document, &process, &err) == 0) {
    must(process.cwd != NULL && process.cwd[0] == '/');
  }
  arena_free(&arena);
  return 0;
}
