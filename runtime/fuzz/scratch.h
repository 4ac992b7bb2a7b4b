/* Directories for targets that write files: on tmpfs, emptied between inputs, with a neighbour that must not change. */
#pragma once

#include "layer/confine.h"

struct scratch {
  char path[64];
  int home;
  struct tree root;
};

/* `name` is the directory that is worked on; the neighbour is made beside the first one. Made once, removed at the end
 * of the process. */
void scratch_open(struct scratch *scratch, const char *name);
/* Empties it; the neighbour must be as it was. */
void scratch_reset(struct scratch *scratch);
