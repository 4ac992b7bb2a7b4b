/* The text of an annotation org.systemd.property.NAME; the first byte chooses whether it counts seconds. */
#include <string.h>

#include "base/json.h"
#include "cgroup/systemd/property.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cleanup_str struct str text = STR_INIT;
  cleanup_json struct json document = {.value = NULL};
  cleanup_bus_body struct bus_body body = {.failed = false};
  struct err err = ERR_INIT;
  const char *name = size > 0 && data[0] == 's' ? "TimeoutStopSec" : "KillMode";
  if (size == 0 || str_addf(&text, "{\"org.systemd.property.%s\":", name) < 0 ||
      json_add_quoted_n(&text, (const char *)data + 1, size - 1) < 0 || str_add(&text, "}") < 0 ||
      json_parse(text.data, text.size, &document, &err) < 0) {
    return 0;
  }
  if (property_put_all(&body, &document, &err) == 0) {
    must(!body.failed);
    const char *type = body.data.data + 4 + strlen(body.data.data + 4) + 1;
    must(type[0] == 1 || (type[0] == 2 && type[1] == 'a'));
    must(type + 1 + type[0] < body.data.data + body.data.size);
    must(name[0] != 'T' || strcmp(type + 1, "t") == 0);
  } else {
    must(err.text[0] != '\0');
  }
  return 0;
}
