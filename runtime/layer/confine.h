/*
 * Paths that an archive, an image or a container chose, resolved below one root descriptor and never by the host's
 * root. Absolute symbolic links mean the root; ".." stops there; magic links of /proc are refused. Relative paths here
 * have no leading slash; "" is the root itself.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

#define CONFINE_DEPTH 1024

/* A tree that is worked on. `self` is /proc/self/fd of the host, opened before any other namespace is entered: the only
 * way to reopen a descriptor whose type was checked. */
struct tree {
  int root;
  int self;
};

#define TREE_INIT                                                                                                      \
  { -1, -1 }
void tree_close(struct tree *tree);
#define cleanup_tree __attribute__((cleanup(tree_close)))

/* Opens a host directory (the caller's, trusted) as root. */
int tree_open_directory(const char *path, struct tree *ret_tree, struct err *err);
int tree_open_self(int *ret_self, struct err *err);

/* "." and ".." removed as in a rooted path, no leading or trailing slash. Deeper than CONFINE_DEPTH, longer than
 * 128 KiB, or a part longer than a whiteout of a file can be: -ENAMETOOLONG. */
int confine_clean(const char *path, struct str *ret_path, struct err *err);

/* openat2 below the root; a path longer than PATH_MAX too, without links behind its first part. */
int confine_open(int root, const char *path, int flags, int *ret_fd, struct err *err);

/* The path without symbolic links (40 at most, else -ELOOP). With `follow_last` false the last part stays. A missing
 * part: -ENOENT. Only a hint in a tree that others change; what is opened afterwards is confined again. */
int confine_resolve(int root, const char *path, bool follow_last, struct str *ret_path, struct err *err);

/* Splits a clean path: directory of the last part (opened O_PATH) and the part. The root has no parent: -EINVAL. */
int confine_parent(int root, const char *path, int *ret_parent, const char **ret_leaf, struct err *err);

struct owner {
  uid_t uid;
  gid_t gid;
};

/* Told of each directory that had to be made; may be NULL. */
typedef int (*made_fn)(void *context, const char *path, struct err *err);

/* Opens a directory (O_PATH), making what is missing of it with 0755 and the owner. */
int confine_make_directories(int root, const char *path, struct owner owner, made_fn made, void *context, int *ret_fd,
                             struct err *err);

/* A new descriptor for what `fd` (O_PATH) points at. */
int confine_reopen(const struct tree *tree, int fd, int flags, int *ret_fd, struct err *err);
