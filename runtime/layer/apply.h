/*
 * An archive into a tree. Every parent is resolved below the root, nothing is followed at the last part, and what
 * exists is replaced unless old and new are both directories.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "layer/confine.h"
#include "layer/source.h"

struct apply_options {
  const char *prefix;        /* clean path below the root where names begin; "" is the root */
  bool overlay;              /* whiteouts become overlay form; otherwise they are refused */
  bool plain_names;          /* names beginning with .wh. mean nothing special */
  const struct owner *owner; /* replaces the archive's owners; may be NULL */
  const mode_t *mode;        /* replaces permission bits; may be NULL */
  bool no_overwrite_dir_non_dir;
  uint64_t reserve; /* bytes of the file system that stay free; 0: down to the last one */
  int pending;      /* descriptor that receives the records for fixup_run, or -1 */
};

struct apply_report {
  uint64_t entries;
  uint64_t bytes;
  uint64_t pending;
};

/* Unpacks all entries; the caller finishes the source. */
int apply_run(const struct tree *tree, struct source *source, const struct apply_options *options,
              struct apply_report *ret_report, struct err *err);

/* Marks of the pending file: one letter, then NUL-terminated paths. */
#define PENDING_DIRECTORY 'D' /* path: made because an entry lies below it */
#define PENDING_LINK 'H'      /* path, target: hard link to a file that is not in this layer */
#define PENDING_OPAQUE 'O'    /* empty path: the layer hides everything below it */

#define XATTR_OPAQUE "trusted.overlay.opaque"
