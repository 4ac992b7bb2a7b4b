#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "monitor/state.h"

static int add_time(struct str *out, const char *key, const struct timespec *at) {
  if (at->tv_sec == 0) {
    return str_addf(out, ",\"%s\":null", key);
  }
  char text[TIME_TEXT_SIZE];
  time_format(at, text, sizeof(text));
  return str_addf(out, ",\"%s\":\"%s\"", key, text);
}

int exit_record_text(const struct monitor *monitor, const char *event, struct str *ret_text) {
  cleanup_str struct str out = STR_INIT;
  bool failed = monitor->failure.text[0] != '\0';
  bool killed = !failed && WIFSIGNALED(monitor->status);
  int code = failed ? monitor->failure_code : killed ? 128 + WTERMSIG(monitor->status) : WEXITSTATUS(monitor->status);
  int r = str_add(&out, "{");
  r = r < 0 || event == NULL ? r : str_addf(&out, "\"event\":\"%s\",", event);
  r = r < 0 ? r : str_add(&out, "\"id\":");
  r = r < 0 ? r : json_add_quoted(&out, monitor->config.id);
  r = r < 0 ? r : str_addf(&out, ",\"exit_code\":%d,\"signal\":", code);
  r = r < 0 ? r : killed ? str_addf(&out, "%d", WTERMSIG(monitor->status)) : str_add(&out, "null");
  r = r < 0 ? r : str_addf(&out, ",\"oom_killed\":%s", monitor->oom_killed ? "true" : "false");
  r = r < 0 ? r : str_addf(&out, ",\"log_lost\":%llu", (unsigned long long)monitor->log.lost);
  r = r < 0 ? r : add_time(&out, "started_at", &monitor->started_at);
  r = r < 0 ? r : add_time(&out, "finished_at", &monitor->finished_at);
  r = r < 0 ? r : str_add(&out, ",\"error\":");
  r = r < 0 ? r : failed ? json_add_quoted(&out, monitor->failure.text) : str_add(&out, "null");
  r = r < 0 ? r : str_add(&out, "}");
  if (r < 0) {
    return r;
  }
  *ret_text = out;
  out = (struct str)STR_INIT;
  return 0;
}

int exit_record_write(const struct monitor *monitor, struct err *err) {
  cleanup_str struct str text = STR_INIT;
  if (exit_record_text(monitor, /* event= */ NULL, &text) < 0) {
    return err_oom(err);
  }
  return file_write_atomic(monitor->run_fd, "exit.json", text.data, text.size, 0600, /* sync= */ 0, err);
}

void exit_record_sync(const struct monitor *monitor) {
  cleanup_close int record = openat(monitor->run_fd, "exit.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (record >= 0) {
    (void)fsync(record);
    (void)fsync(monitor->run_fd);
  }
}
