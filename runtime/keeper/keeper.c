#include "keeper/keeper.h"

#include <stdio.h>

int keeper_main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  fputs("keeper: not built yet\n", stderr);
  return 1;
}
