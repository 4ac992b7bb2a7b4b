/* COPY and ADD of a build: from a context or another stage's layers into the merged view of a stage. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "layer/confine.h"

struct copy_request {
  struct str_list paths;             /* in the source */
  const char *destination;           /* absolute; a trailing slash means a directory */
  const struct owner *owner;         /* of files, directories and links; NULL: the source's */
  const struct owner *archive_owner; /* of what archives hold; NULL: the archive's */
  const mode_t *mode;
  bool extract; /* archives are unpacked */
  bool parents; /* keep the source's directories below the destination */
};

int copy_run(const struct tree *source, const struct tree *target, const struct copy_request *request,
             uint64_t *ret_entries, uint64_t *ret_bytes, struct err *err);
