#include "monitor/monitor.h"

#include <stdio.h>

int monitor_main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  fputs("monitor: not built yet\n", stderr);
  return 1;
}
