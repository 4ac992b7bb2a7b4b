#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "monitor/state.h"

/* Default of `start_within`: whoever asked for an exec starts it at once, or is gone. */
#define START_WITHIN_MS 60000

static int need_path(const struct json *document, const char *key, const char **ret_path, struct err *err) {
  const char *path = NULL;
  int r = json_need_string(document, key, &path, err);
  if (r < 0) {
    return r;
  }
  if (path[0] != '/') {
    return err_set(err, EINVAL, "%s: %s is not an absolute path", key, path);
  }
  *ret_path = path;
  return 0;
}

static int read_log(const struct json *document, struct config *config, struct err *err) {
  struct json log;
  int r = json_object_at(document, "log", &log, err);
  if (r <= 0) {
    return r;
  }
  config->log_max_file = 1;
  if ((r = need_path(&log, "path", &config->log_path, err)) < 0 ||
      (r = json_long_at(&log, "max_size", 0, LLONG_MAX, &config->log_max_size, err)) < 0 ||
      (r = json_int_at(&log, "max_file", 1, 1000, &config->log_max_file, err)) < 0 ||
      (r = json_bool_at(&log, "compress", &config->log_compress, err)) < 0) {
    return r;
  }
  return config->log_compress && (config->log_max_file < 2 || config->log_max_size == 0)
             ? err_set(err, EINVAL, "log.compress: needs max_size, and max_file of at least 2")
             : 0;
}

static int read_kind(const struct json *document, struct config *config, struct err *err) {
  const char *kind = NULL;
  int r = json_need_string(document, "kind", &kind, err);
  if (r < 0) {
    return r;
  }
  config->exec = strcmp(kind, "exec") == 0;
  if (!config->exec && strcmp(kind, "container") != 0) {
    return err_set(err, EINVAL, "kind: %s is neither container nor exec", kind);
  }
  if ((r = json_need_string(document, "id", &config->id, err)) < 0 ||
      (r = json_need_string(document, "container", &config->container, err)) < 0) {
    return r;
  }
  return config->exec ? need_path(document, "process", &config->process, err)
                      : need_path(document, "bundle", &config->bundle, err);
}

static int read_all(struct config *config, struct err *err) {
  const struct json *document = &config->document;
  int r = read_kind(document, config, err);
  if (r < 0 || (r = need_path(document, "run_dir", &config->run_dir, err)) < 0 ||
      (r = need_path(document, "runtime_root", &config->runtime_root, err)) < 0 ||
      (r = json_string_at(document, "runtime", &config->runtime, err)) < 0 ||
      (r = json_bool_at(document, "terminal", &config->terminal, err)) < 0 ||
      (r = json_int_at(document, "rows", 0, 65535, &config->rows, err)) < 0 ||
      (r = json_int_at(document, "cols", 0, 65535, &config->cols, err)) < 0 ||
      (r = json_bool_at(document, "stdin", &config->stdin_open, err)) < 0 ||
      (r = json_bool_at(document, "stdin_once", &config->stdin_once, err)) < 0 ||
      (r = json_int_at(document, "start_within", 1, 3600000, &config->start_within, err)) < 0) {
    return r;
  }
  if (config->runtime != NULL && config->runtime[0] != '/') {
    return err_set(err, EINVAL, "runtime: %s is not an absolute path", config->runtime);
  }
  return read_log(document, config, err);
}

int config_read(const char *path, struct config *ret_config, struct err *err) {
  struct config config = {.start_within = START_WITHIN_MS};
  int r = json_read_file(AT_FDCWD, path, &config.document, err);
  if (r < 0) {
    return r;
  }
  r = read_all(&config, err);
  if (r < 0) {
    json_free(&config.document);
    return err_prefix(err, "%s", path);
  }
  *ret_config = config;
  return 0;
}
