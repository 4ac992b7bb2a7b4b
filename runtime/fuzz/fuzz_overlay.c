/* The text of the annotation dev.tscompose.overlay. */
#include <string.h>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "spec/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cleanup_str struct str text = STR_INIT;
  struct json document = {.value = NULL};
  struct err err = ERR_INIT;
  if (str_add(&text, "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":[{\"type\":"
                     "\"mount\"}]},\"annotations\":{\"dev.tscompose.overlay\":") < 0 ||
      json_add_quoted_n(&text, (const char *)data, size) < 0 || str_add(&text, "}}") < 0 ||
      json_parse(text.data, text.size, &document, &err) < 0) {
    return 0;
  }
  struct plan plan = {.root_path = NULL};
  if (plan_build(&document, &plan, &err) == 0) {
    for (size_t i = 0; i < plan.overlay_lower.count; i++) {
      must(plan.overlay_lower.items[i][0] == '/');
    }
    must((plan.overlay_upper == NULL) == (plan.overlay_work == NULL));
    plan_free(&plan);
  }
  return 0;
}
