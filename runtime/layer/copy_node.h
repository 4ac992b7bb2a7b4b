/* Copies between two trees, by descriptor: content by reflink where the file system can, attributes, hard links. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "layer/confine.h"

struct copy_options {
  const struct owner *owner; /* replaces the source's owners; may be NULL */
  const mode_t *mode;        /* replaces permission bits of files and directories; may be NULL */
};

struct copy_link;

struct copy {
  const struct tree *source;
  const struct tree *target;
  struct copy_options options;
  uint64_t entries;
  uint64_t bytes;
  struct copy_link *links; /* files with several names that were copied */
  size_t link_count;
  size_t link_capacity;
  size_t depth;
};

void copy_free(struct copy *copy);
#define cleanup_copy __attribute__((cleanup(copy_free)))

/* Copies the node behind `source_fd` (O_PATH) to `path` (clean) in the target. A file replaces what is not a directory;
 * directories merge, and what exists keeps its place. With `keep_existing` an existing directory keeps its attributes.
 */
int copy_node(struct copy *copy, int source_fd, const char *path, bool keep_existing, struct err *err);
