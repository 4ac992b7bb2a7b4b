#include "layer/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "layer/sparse.h"
#include "layer/tar_block.h"

#define GRAIN ((int64_t)1 << 20)
/* A map of more pieces is not worth its size. */
#define PIECES_MAX 20000

static void free_sparse(struct sparse *sparse) {
  sparse_free(sparse);
}

static int write_range(struct tar_out *out, int fd, int64_t at, int64_t end, const char *name, char *buffer,
                       struct err *err) {
  while (at < end) {
    size_t want = end - at < (int64_t)CONTENT_BUFFER ? (size_t)(end - at) : CONTENT_BUFFER;
    ssize_t got = pread(fd, buffer, want, at);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return err_errno(err, "cannot read /%s", name);
    }
    if (got == 0) {
      (void)memset(buffer, 0, want);
      got = (ssize_t)want;
    }
    int r = tar_data(out, buffer, (size_t)got, err);
    if (r < 0) {
      return r;
    }
    at += got;
  }
  return 0;
}

/* The data of the file in whole grains. 1: there are holes between them. */
static int read_map(int fd, int64_t size, struct sparse *map, struct err *err) {
  int64_t stored = 0;
  for (int64_t at = 0; at < size;) {
    off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
      break;
    }
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || map->count == PIECES_MAX) {
      stored = size; /* the file system cannot say */
      break;
    }
    int64_t start = data / GRAIN * GRAIN;
    int64_t end = hole > size - GRAIN ? size : (hole + GRAIN - 1) / GRAIN * GRAIN;
    start = start < at ? at : start;
    if (start >= size) {
      break; /* grew meanwhile */
    }
    struct sparse_piece *last = map->count == 0 ? NULL : &map->pieces[map->count - 1];
    int r = 0;
    if (last != NULL && last->offset + last->size == start) {
      last->size += end - start;
    } else {
      r = sparse_add(map, start, end - start, err);
    }
    if (r < 0) {
      return r;
    }
    stored += end - start;
    at = end;
  }
  return stored < size;
}

static int write_sparse(struct tar_out *out, int fd, struct tar_entry *entry, struct str *extra,
                        const struct sparse *map, char *buffer, struct err *err) {
  cleanup_str struct str text = STR_INIT;
  cleanup_str struct str records = STR_INIT;
  const char *slash = strrchr(entry->name, '/');
  cleanup_free char *plain = str_format("GNUSparseFile.0/%s", slash == NULL ? entry->name : slash + 1);
  char size[24];
  int length = snprintf(size, sizeof(size), "%llu", (unsigned long long)entry->size);
  const char *name = entry->name;
  bool ok = plain != NULL && str_addf(&text, "%zu\n", map->count + 1) == 0;
  uint64_t stored = 0;
  for (size_t i = 0; ok && i < map->count; i++) {
    ok = str_addf(&text, "%lld\n%lld\n", (long long)map->pieces[i].offset, (long long)map->pieces[i].size) == 0;
    stored += (uint64_t)map->pieces[i].size;
  }
  /* The last piece is empty and marks the end. */
  ok = ok && str_addf(&text, "%s\n0\n", size) == 0;
  while (ok && text.size % TAR_BLOCK != 0) {
    ok = str_append(&text, "", 1) == 0;
  }
  ok = ok && tar_add_record(&records, "GNU.sparse.major", "1", 1) == 0 &&
       tar_add_record(&records, "GNU.sparse.minor", "0", 1) == 0 &&
       tar_add_record(&records, "GNU.sparse.name", name, strlen(name)) == 0 &&
       tar_add_record(&records, "GNU.sparse.realsize", size, (size_t)length) == 0 &&
       (extra->size == 0 || str_append(&records, extra->data, extra->size) == 0);
  if (!ok) {
    return err_oom(err);
  }
  struct tar_entry sparse = *entry;
  sparse.name = plain;
  sparse.size = text.size + stored;
  sparse.extra = &records;
  int r = tar_header(out, &sparse, err);
  if (r == 0) {
    r = tar_data(out, text.data, text.size, err);
  }
  for (size_t i = 0; r == 0 && i < map->count; i++) {
    const struct sparse_piece *piece = &map->pieces[i];
    r = write_range(out, fd, piece->offset, piece->offset + piece->size, name, buffer, err);
  }
  return r < 0 ? r : tar_pad(out, sparse.size, err);
}

int content_write(struct tar_out *out, int fd, struct tar_entry *entry, struct str *extra, bool sparse, char *buffer,
                  struct err *err) {
  __attribute__((cleanup(free_sparse))) struct sparse map = {.pieces = NULL};
  int r = sparse && entry->size >= (uint64_t)GRAIN ? read_map(fd, (int64_t)entry->size, &map, err) : 0;
  if (r < 0) {
    return r;
  }
  if (r > 0) {
    return write_sparse(out, fd, entry, extra, &map, buffer, err);
  }
  entry->extra = extra;
  r = tar_header(out, entry, err);
  if (r == 0) {
    r = write_range(out, fd, 0, (int64_t)entry->size, entry->name, buffer, err);
  }
  return r < 0 ? r : tar_pad(out, entry->size, err);
}
