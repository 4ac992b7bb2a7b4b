/* A merged view of layers as a root descriptor, gone with its last descriptor: nothing appears in any mount table. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "layer/confine.h"

struct overlay_mount {
  const char *source;
  const char *target; /* below the merged root */
  bool read_only;
};

#define OVERLAY_MOUNTS 64

struct overlay {
  struct str_list lower; /* host paths, top first */
  const char *upper;     /* NULL: read-only */
  const char *work;
  struct overlay_mount mounts[OVERLAY_MOUNTS];
  size_t mount_count;
};

int overlay_open(const struct overlay *overlay, struct tree *ret_tree, struct err *err);

/* Enters the mount namespace of the process that started then and opens its root; -ESRCH when it has ended, whoever has
   its number now. */
int overlay_enter_process(int pid, uint64_t start_time, struct tree *ret_tree, struct err *err);
