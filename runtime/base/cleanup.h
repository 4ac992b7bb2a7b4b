/* Cleanup attributes: what a function owns is released on every way out. take_fd and take_ptr hand ownership on. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_at(void *at) {
  free(*(void **)at);
}

static inline void cleanup_close_at(const int *fd) {
  if (*fd >= 0) {
    int saved = errno;
    close(*fd);
    errno = saved;
  }
}

static inline void cleanup_dir_at(DIR **dir) {
  if (*dir != NULL) {
    int saved = errno;
    closedir(*dir);
    errno = saved;
  }
}

static inline void cleanup_file_at(FILE **file) {
  if (*file != NULL) {
    int saved = errno;
    fclose(*file);
    errno = saved;
  }
}

#define cleanup_free __attribute__((cleanup(cleanup_free_at)))
#define cleanup_close __attribute__((cleanup(cleanup_close_at)))
#define cleanup_dir __attribute__((cleanup(cleanup_dir_at)))
#define cleanup_file __attribute__((cleanup(cleanup_file_at)))

/* The caller owns the descriptor now; the variable forgets it. */
static inline int take_fd(int *fd) {
  int taken = *fd;
  *fd = -1;
  return taken;
}

#define take_ptr(var)                                                                                                  \
  ({                                                                                                                   \
    __typeof__(var) taken_ = (var);                                                                                    \
    (var) = NULL;                                                                                                      \
    taken_;                                                                                                            \
  })

#define array_length(a) (sizeof(a) / sizeof((a)[0]))
