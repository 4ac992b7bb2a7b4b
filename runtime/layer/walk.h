/*
 * A tree as tar, sorted by name, hard links kept, every step by descriptor. With `overlay` the tree is an overlay upper
 * directory and its whiteouts and opaque marks are written in image form.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "layer/confine.h"
#include "layer/tar_write.h"

struct walk_options {
  bool overlay;
  /* Stay on the file system of the start (volumes of a container are not part of an export). Without it only the
   * kernel's own file systems and tmpfs below the start are left out. */
  bool one_file_system;
  /* Holes of files are left out. Only where readers are known to understand: layers, not what docker cp hands out. */
  bool sparse;
};

/* Writes what `path` (clean) names and all below. Names in the archive begin with `name`; "" leaves the top entry out
 * and begins with its children. The last part is followed only when `follow`. */
int walk_write(const struct tree *tree, const char *path, const char *name, bool follow,
               const struct walk_options *options, struct tar_out *out, struct err *err);
