/*
 * Second half of unpacking a layer on its own: what only the layers below can settle. Directories that the archive
 * merely implied get the attributes they have below, or move where a symbolic link below leads; hard links to files
 * below are copied up; an opaque root hides name by name.
 */
#pragma once

#include "base/err.h"
#include "layer/confine.h"

/* `records` is the pending file of apply; `lower` the merged view of the layers below. */
int fixup_run(const struct tree *layer, const struct tree *lower, const char *records, size_t size, struct err *err);
