#include "net/net.h"

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "net/verbs.h"

#define REQUEST_LIMIT ((size_t)4 << 20)

static const struct {
  const char *name;
  int (*run)(const struct json *request, struct str *out, struct err *err);
} verbs[] = {
    {"bridge-add", verb_bridge_add},
    {"bridge-remove", verb_bridge_remove},
    {"bridge-adopt", verb_bridge_adopt},
    {"bridge-leave", verb_bridge_leave},
    {"sysctl-read", verb_sysctl_read},
    {"link-remove", verb_link_remove},
    {"sysctl", verb_sysctl},
    {"forward-ipv6", verb_forward_ipv6},
    {"dump", verb_dump},
    {"flush-flows", verb_flush_flows},
    {"connect", verb_connect},
    {"port-holders", verb_port_holders},
    {"parent-add", verb_parent_add},
    {"parent-remove", verb_parent_remove},
    {"watch-firewall", verb_watch_firewall},
};

static int read_request(const char *text, struct json *ret_request, struct err *err) {
  cleanup_free char *data = NULL;
  size_t size = 0;
  if (strcmp(text, "-") == 0) {
    int r = fd_read_all(STDIN_FILENO, REQUEST_LIMIT, &data, &size, err);
    return r < 0 ? r : json_parse(data, size, ret_request, err);
  }
  return json_parse(text, strlen(text), ret_request, err);
}

/* Exit status: 1 failed, 2 usage, 3 refused because the object is not ours. */
int net_main(int argc, char **argv) {
  for (size_t i = 0; argc >= 2 && argc <= 3 && i < array_length(verbs); i++) {
    if (strcmp(argv[1], verbs[i].name) != 0) {
      continue;
    }
    struct err err = ERR_INIT;
    cleanup_json struct json request = {0};
    cleanup_str struct str out = STR_INIT;
    int r = read_request(argc == 3 ? argv[2] : "{}", &request, &err);
    r = r < 0 ? r : verbs[i].run(&request, &out, &err);
    if (r >= 0 && out.size > 0) {
      r = fd_write_all(STDOUT_FILENO, out.data, out.size, &err);
    }
    if (r < 0) {
      fprintf(stderr, "%s\n", err.text);
      return r == -EEXIST ? 3 : 1;
    }
    return 0;
  }
  fputs("usage: tscompose-runtime net "
        "bridge-add|bridge-remove|bridge-adopt|bridge-leave|sysctl-read|link-remove|sysctl|forward-ipv6|dump|flush-"
        "flows|connect|"
        "port-holders|parent-add|parent-remove|watch-firewall [JSON|-]\n",
        stderr);
  return 2;
}
