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
  unsigned flags = 0;
  struct seccomp_program program = {.filters = NULL};
  int flags_result = seccomp_read_flags(&profile, &flags, &err);
  int r = seccomp_compile(&profile, &program, &err);
  if (r == 0) {
    must(program.count > 0 && program.filters != NULL);
    must(flags_result == 0 && flags == program.flags);
    free(program.filters);
  }
  return 0;
}
