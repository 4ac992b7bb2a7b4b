/* config.json to a plan: everything a bundle can say, the annotations among it. */
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "spec/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct json document = {.value = NULL};
  struct err err = ERR_INIT;
  if (json_parse((const char *)data, size, &document, &err) < 0) {
    return 0;
  }
  struct plan plan = {.root_path = NULL};
  err = (struct err)ERR_INIT;
  int r = plan_build(&document, &plan, &err);
  if (r < 0) {
    must(err.code == -r && err.text[0] != '\0');
    return 0;
  }
  must(plan.root_path != NULL);
  plan_free(&plan);
  return 0;
}
