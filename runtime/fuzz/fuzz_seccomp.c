/* linux.seccomp to the kernel's program. */
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "spec/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cleanup_json struct json profile = {.value = NULL};
  struct err err = ERR_INIT;
  if (json_parse((const char *)data, size, &profile, &err) < 0 || !json_is_object(&profile)) {
    return 0;
  }
  cleanup_str struct str skipped = STR_INIT;
  struct seccomp_program program = {.filters = NULL};
  if (seccomp_compile(&profile, &program, &skipped, &err) == 0) {
    must(program.count > 0 && program.filters != NULL);
    free(program.filters);
  }
  return 0;
}
