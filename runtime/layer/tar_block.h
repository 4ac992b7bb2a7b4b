/* One header block of a tar as it lies on the wire. */
#pragma once

#include <stddef.h>

#define TAR_BLOCK ((size_t)512)

struct tar_block {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char padding[12];
};
_Static_assert(sizeof(struct tar_block) == 512, "a tar header is one block");

/* A piece of a sparse file in the old GNU form. */
struct tar_block_piece {
  char offset[12];
  char size[12];
};

/* What GNU tar keeps where ustar has the prefix. */
struct tar_block_gnu {
  char access_time[12];
  char change_time[12];
  char start[12];
  char long_names[4];
  char unused;
  struct tar_block_piece pieces[4];
  char more_pieces;
  char real_size[12];
  char padding[17];
};
_Static_assert(sizeof(struct tar_block_gnu) == 167, "as long as prefix and padding");

/* Follows a header, and itself, as long as more_pieces is set. */
struct tar_block_pieces {
  struct tar_block_piece pieces[21];
  char more_pieces;
  char padding[7];
};
_Static_assert(sizeof(struct tar_block_pieces) == 512, "one block");
