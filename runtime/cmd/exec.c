#include <errno.h>

#include "base/str.h"
#include "cmd/cmd.h"
#include "container/container.h"
#include "sys/process.h"

static int check(int argc, int next, const struct exec_options *options, struct err *err) {
  if (next >= argc) {
    return err_set(err, EINVAL, "exec: container id missing");
  }
  return (options->process_file == NULL) == (next + 1 >= argc)
             ? err_set(err, EINVAL, "exec: either --process FILE or a command is needed")
             : 0;
}

int verb_exec(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  struct exec_options options = {.root = call->root};
  bool no_subreaper = false;
  const struct option_spec table[] = {
      {"process", 'p', OPTION_TEXT, &options.process_file},
      {"console-socket", 0, OPTION_TEXT, &options.console_socket},
      {"pid-file", 0, OPTION_TEXT, &options.pid_file},
      {"cwd", 0, OPTION_TEXT, &options.cwd},
      {"user", 'u', OPTION_TEXT, &options.user},
      {"env", 'e', OPTION_LIST, &options.env},
      {"additional-gids", 'g', OPTION_LIST, &options.add_groups},
      {"cap", 'c', OPTION_LIST, &options.capabilities},
      {"tty", 't', OPTION_FLAG, &options.terminal},
      {"detach", 'd', OPTION_FLAG, &options.detach},
      {"no-new-privs", 0, OPTION_FLAG, &options.no_new_privileges},
      {"preserve-fds", 0, OPTION_NUMBER, &options.preserve_fds},
      {"apparmor", 0, OPTION_TEXT, &options.apparmor},
      {"process-label", 0, OPTION_TEXT, &options.process_label},
      {"cgroup", 0, OPTION_LIST, &options.cgroups},
      {"ignore-paused", 0, OPTION_FLAG, &options.ignore_paused},
      {"no-subreaper", 0, OPTION_FLAG, &no_subreaper}, /* never are we one */
      {NULL, 0, OPTION_FLAG, NULL},
  };
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : check(argc, next, &options, err);
  if (r == 0) {
    options.id = argv[next];
    options.args = argv + next + 1;
    r = harden(call, options.preserve_fds, err);
    process_clear_environment();
    r = r < 0 ? r : container_exec(&options, ret_status, err);
  }
  str_list_free(&options.env);
  str_list_free(&options.add_groups);
  str_list_free(&options.capabilities);
  str_list_free(&options.cgroups);
  return r;
}
