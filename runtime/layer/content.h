/* A file's entry in a tar: header and content. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "layer/tar_write.h"

#define CONTENT_BUFFER ((size_t)256 << 10)

/*
 * Writes exactly entry->size bytes: a file that shrinks meanwhile is filled up, one that grows is cut. With `sparse`,
 * runs of whole MiB without data are left out (pax, GNU sparse format 1.0); so coarse that the block size of the file
 * system makes no difference. `extra` are the entry's records so far; `buffer` holds CONTENT_BUFFER bytes.
 */
int content_write(struct tar_out *out, int fd, struct tar_entry *entry, struct str *extra, bool sparse, char *buffer,
                  struct err *err);
