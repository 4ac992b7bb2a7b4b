#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "monitor/state.h"
#include "sys/confine.h"

#define ONLY(capability) (UINT64_C(1) << (capability))

/* Whether config.json has poststop hooks, which the runtime runs at the end with the rights it has. The word alone is
   looked for: to find it where it means something else only keeps rights that were not needed. */
static bool has_last_hooks(const struct config *config) {
  char path[PATH_MAX];
  cleanup_free char *text = NULL;
  size_t size = 0;
  int length = snprintf(path, sizeof(path), "%s/config.json", config->bundle);
  return length < 0 || (size_t)length >= sizeof(path) || file_read(AT_FDCWD, path, &text, &size, /* err= */ NULL) < 0 ||
         strstr(text, "\"poststop\"") != NULL;
}

/*
 * The process runs. What is left to do is to read, log, signal, and at the end to delete: our own runtime does that in
 * a forked child with the right to signal and to enter directories of others (a data directory in somebody's home). An
 * exec needs no child any more. A foreign runtime, or hooks, may need anything.
 */
void posture_settle(const struct monitor *monitor) {
  const struct config *config = &monitor->config;
  struct err err = ERR_INIT;
  confine_prefer_alive();
  int r = 0;
  if (config->exec) {
    r = confine_watcher(ONLY(CAP_KILL), /* children= */ false, &err);
  } else if (config->runtime == NULL && !has_last_hooks(config)) {
    r = confine_watcher(ONLY(CAP_KILL) | ONLY(CAP_DAC_OVERRIDE), /* children= */ true, &err);
  }
  if (r < 0) {
    log_warn("%s: %s", config->id, err.text); /* the container runs: a monitor with more rights is better than none */
  }
}
