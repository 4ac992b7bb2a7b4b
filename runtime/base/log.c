#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"

/* The one allowed global: where diagnostics go and how loud. */
static struct {
  int fd;
  int json;
  enum log_level lowest;
} sink = {STDERR_FILENO, 0, LOG_WARN};

static const char *const names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_open(int fd, int json, enum log_level lowest) {
  sink.fd = fd;
  sink.json = json;
  sink.lowest = lowest;
}

void log_write(enum log_level level, const char *format, ...) {
  if (level > sink.lowest) {
    return;
  }
  char text[1200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  cleanup_str struct str line = STR_INIT;
  if (sink.json) {
    char now[TIME_TEXT_SIZE];
    time_now(now, sizeof(now));
    (void)str_addf(&line, "{\"level\":\"%s\",\"time\":\"%s\",\"msg\":", names[level], now);
    (void)json_add_quoted(&line, text);
    (void)str_add(&line, "}\n");
  } else {
    (void)str_addf(&line, "%s: %s\n", names[level], text);
  }
  if (line.data != NULL) {
    ssize_t n = write(sink.fd, line.data, line.size);
    (void)n; /* Nowhere left to report to. */
  }
}
