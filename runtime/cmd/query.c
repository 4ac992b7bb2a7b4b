/* state, list, features. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "container/container.h"

int print_text(char *text, struct err *err) {
  int r = fd_write_all(STDOUT_FILENO, text, strlen(text), err);
  free(text);
  return r;
}

int verb_state(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  cleanup_container struct container container = CONTAINER_INIT;
  const char *id = NULL;
  char *text = NULL;
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : need_id(argc, argv, next, &id, err);
  r = r < 0 ? r : container_open(call->root, id, false, &container, err);
  r = r < 0 ? r : container_state_text(&container, container_status(&container), &text, err);
  return r < 0 ? r : print_text(text, err);
}

int verb_list(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *format = "table";
  bool quiet = false;
  char *text = NULL;
  const struct option_spec table[] = {
      {"format", 'f', OPTION_TEXT, &format}, {"quiet", 'q', OPTION_FLAG, &quiet}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && next < argc) {
    r = err_set(err, EINVAL, "list: unexpected argument %s", argv[next]);
  }
  if (r == 0 && strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
    r = err_set(err, EINVAL, "list: --format is table or json, not %s", format);
  }
  r = r < 0 ? r : container_list(call->root, format[0] == 'j', quiet, &text, err);
  return r < 0 ? r : print_text(text, err);
}

int verb_features(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const struct option_spec table[] = {{NULL, 0, OPTION_FLAG, NULL}};
  char *text = NULL;
  int next = 0;
  (void)call;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : verb_features_text(&text, err);
  return r < 0 ? r : print_text(text, err);
}
