/* The verb table of tscompose-runtime. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "keeper/keeper.h"
#include "monitor/monitor.h"
#include "names/names.h"
#include "net/net.h"
#include "sys/hidden.h"
#include "sys/process.h"

/* The monitor runs the OCI verbs in children of its own. A service manager that watches the daemon does not watch its
   containers. */
static int monitor_with_runtime(int argc, char **argv) {
  (void)unsetenv("NOTIFY_SOCKET");
  (void)unsetenv("LISTEN_PID");
  (void)unsetenv("LISTEN_FDS");
  return monitor_main(argc, argv, oci_main);
}

static const struct verb {
  const char *name;
  int (*run)(int argc, char **argv);
} services[] = {
    {"monitor", monitor_with_runtime},
    {"keeper", keeper_main},
    {"net", net_main},
    {"names", names_main},
};

int main(int argc, char **argv) {
  hidden_begin();
  process_keep_title(argc, argv);
  for (size_t i = 0; argc > 1 && i < sizeof(services) / sizeof(services[0]); i++) {
    if (strcmp(argv[1], services[i].name) == 0) {
      return services[i].run(argc - 1, argv + 1);
    }
  }
  return oci_main(argc, argv);
}
