#include "cmd/cmd.h"

#include <stdio.h>

int oci_main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  fputs("usage: tscompose-runtime [--root DIR] VERB …\n", stderr);
  return 1;
}
