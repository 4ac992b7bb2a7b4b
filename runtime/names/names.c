#include "names/names.h"

#include <stdio.h>

int names_main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  fputs("names: not built yet\n", stderr);
  return 1;
}
