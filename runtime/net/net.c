#include "net/net.h"

#include <stdio.h>

int net_main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  fputs("net: not built yet\n", stderr);
  return 1;
}
