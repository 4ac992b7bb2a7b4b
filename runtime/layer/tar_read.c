#include "layer/tar_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "layer/tar_header.h"

struct tar_reader {
  tar_read_fn read;
  void *context;
  const char *chunk; /* what is left of the piece the callback gave */
  size_t left;
  bool is_tar;
  bool ended;
  uint64_t number; /* of the entry, for messages */
  struct tar_header header;
  /* Announced by headers in front of the entry. */
  char *extended;
  struct pax pax;
  bool has_pax;
  char *long_name;
  char *long_link;
  struct tar_item item;
  /* Content of the entry on its way. */
  int64_t stored; /* bytes that still come */
  size_t padding; /* and up to the next block */
  struct sparse plain;
  const struct sparse *map;
  size_t piece;
  int64_t piece_at; /* bytes of the piece that were given */
};

static void forget_announced(struct tar_reader *reader) {
  pax_free(&reader->pax);
  free(reader->extended);
  free(reader->long_name);
  free(reader->long_link);
  reader->pax = (struct pax)PAX_INIT;
  reader->has_pax = false;
  reader->extended = NULL;
  reader->long_name = NULL;
  reader->long_link = NULL;
}

int tar_reader_open(tar_read_fn read, void *context, struct tar_reader **ret_reader, struct err *err) {
  struct tar_reader *reader = calloc(1, sizeof(*reader));
  if (reader == NULL) {
    return err_oom(err);
  }
  reader->read = read;
  reader->context = context;
  reader->pax = (struct pax)PAX_INIT;
  *ret_reader = reader;
  return 0;
}

void tar_reader_free(struct tar_reader *reader) {
  if (reader != NULL) {
    forget_announced(reader);
    sparse_free(&reader->plain);
    free(reader);
  }
}

bool tar_reader_is_tar(const struct tar_reader *reader) {
  return reader->is_tar;
}

/* At most `wanted` bytes in one piece; size 0 at the end of the input. */
static int take_piece(struct tar_reader *reader, size_t wanted, const char **ret_data, size_t *ret_size,
                      struct err *err) {
  if (reader->left == 0) {
    const void *data = NULL;
    int r = reader->read(reader->context, &data, &reader->left, err);
    if (r < 0) {
      return r;
    }
    reader->chunk = data;
  }
  size_t size = reader->left < wanted ? reader->left : wanted;
  *ret_data = reader->chunk;
  *ret_size = size;
  if (size == 0) {
    return 0; /* the end: there may be no chunk at all */
  }
  reader->chunk += size;
  reader->left -= size;
  return 0;
}

/* Bytes that were copied: fewer than `size` only at the end of the input. */
static int take_copy(struct tar_reader *reader, void *to, size_t size, size_t *ret_size, struct err *err) {
  size_t done = 0;
  while (done < size) {
    const char *data = NULL;
    size_t part = 0;
    int r = take_piece(reader, size - done, &data, &part, err);
    if (r < 0) {
      return r;
    }
    if (part == 0) {
      break;
    }
    (void)memcpy((char *)to + done, data, part);
    done += part;
  }
  *ret_size = done;
  return 0;
}

static int cut_short(struct err *err) {
  return err_set(err, EINVAL, "cannot read the archive: it is cut short");
}

static int take_whole(struct tar_reader *reader, void *to, size_t size, struct err *err) {
  size_t got = 0;
  int r = take_copy(reader, to, size, &got, err);
  return r == 0 && got < size ? cut_short(err) : r;
}

static int pass_over(struct tar_reader *reader, uint64_t size, struct err *err) {
  while (size > 0) {
    const char *data = NULL;
    size_t part = 0;
    int r = take_piece(reader, size < SIZE_MAX ? (size_t)size : SIZE_MAX, &data, &part, err);
    if (r < 0) {
      return r;
    }
    if (part == 0) {
      return cut_short(err);
    }
    size -= part;
  }
  return 0;
}

static size_t padding_of(int64_t size) {
  return (TAR_BLOCK - (size_t)(size % (int64_t)TAR_BLOCK)) % TAR_BLOCK;
}

/* Content of a header about the next entry, with a NUL behind it. */
static int take_text(struct tar_reader *reader, char **ret_text, struct err *err) {
  int64_t size = reader->header.size;
  if (size > (int64_t)PAX_SIZE_MAX) {
    return err_set(err, EINVAL, "an extended header has more than %zu bytes", PAX_SIZE_MAX);
  }
  cleanup_free char *text = malloc((size_t)size + 1);
  if (text == NULL) {
    return err_oom(err);
  }
  int r = take_whole(reader, text, (size_t)size, err);
  if (r == 0) {
    r = pass_over(reader, padding_of(size), err);
  }
  if (r < 0) {
    return r;
  }
  text[size] = '\0';
  *ret_text = take_ptr(text);
  return 0;
}

static int take_long_text(struct tar_reader *reader, char **text, struct err *err) {
  if (*text != NULL || reader->has_pax) {
    return err_set(err, EINVAL, "its name is given twice");
  }
  int r = take_text(reader, text, err);
  if (r < 0) {
    return r;
  }
  size_t length = strlen(*text);
  for (size_t i = length; i < (size_t)reader->header.size; i++) {
    if ((*text)[i] != '\0') {
      return err_set(err, EINVAL, "its name has a NUL inside");
    }
  }
  return length == 0 ? err_set(err, EINVAL, "its long name is empty") : 0;
}

static int take_extended(struct tar_reader *reader, struct err *err) {
  if (reader->has_pax || reader->long_name != NULL || reader->long_link != NULL) {
    return err_set(err, EINVAL, "two extended headers follow each other");
  }
  int r = take_text(reader, &reader->extended, err);
  reader->has_pax = true;
  return r < 0 ? r : pax_read(reader->extended, (size_t)reader->header.size, &reader->pax, err);
}

static int take_global(struct tar_reader *reader, struct err *err) {
  if (reader->has_pax || reader->long_name != NULL || reader->long_link != NULL) {
    return err_set(err, EINVAL, "an extended header stands in front of another header");
  }
  cleanup_free char *text = NULL;
  int r = take_text(reader, &text, err);
  return r < 0 ? r : pax_read_global(text, (size_t)reader->header.size, err);
}

/* 1 with a header, 0 at the end of the archive. */
static int take_header(struct tar_reader *reader, struct tar_block *block, struct err *err) {
  size_t got = 0;
  int r = take_copy(reader, block, TAR_BLOCK, &got, err);
  if (r < 0 || got == 0) {
    reader->ended = true;
    return r;
  }
  bool zero = got == TAR_BLOCK && tar_header_is_zero(block);
  if (zero) {
    reader->ended = true;
    reader->is_tar = true;
    return 0;
  }
  if (got < TAR_BLOCK) {
    return cut_short(err);
  }
  if (!tar_header_is_sound(block)) {
    return reader->is_tar ? err_set(err, EINVAL, "cannot read the archive: a header is damaged")
                          : err_set(err, EINVAL, "cannot read the archive: this is no tar");
  }
  reader->is_tar = true;
  r = tar_header_read(block, &reader->header, err);
  return r < 0 ? r : 1;
}

static int add_old_pieces(struct sparse *map, const struct tar_block_piece *pieces, size_t count, struct err *err) {
  for (size_t i = 0; i < count && pieces[i].offset[0] != '\0'; i++) {
    int64_t offset = 0;
    int64_t size = 0;
    if (tar_number_read(pieces[i].offset, sizeof(pieces[i].offset), &offset) < 0 ||
        tar_number_read(pieces[i].size, sizeof(pieces[i].size), &size) < 0) {
      return err_set(err, EINVAL, "its map of holes is damaged");
    }
    int r = sparse_add(map, offset, size, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

/* The old GNU form: a map in the header and in blocks behind it. */
static int read_old_sparse(struct tar_reader *reader, const struct tar_block *block, struct err *err) {
  const struct tar_block_gnu *gnu = (const struct tar_block_gnu *)(const void *)block->prefix;
  int64_t real_size = -1;
  if (reader->header.format != TAR_GNU || reader->has_pax) {
    return err_set(err, EINVAL, "it is sparse in a form that belongs to other headers");
  }
  if (tar_number_read(gnu->real_size, sizeof(gnu->real_size), &real_size) < 0 || real_size < 0) {
    return err_set(err, EINVAL, "its size is no number");
  }
  int r = add_old_pieces(&reader->plain, gnu->pieces, array_length(gnu->pieces), err);
  for (bool more = gnu->more_pieces != '\0'; r == 0 && more;) {
    struct tar_block_pieces next;
    r = take_whole(reader, &next, sizeof(next), err);
    if (r == 0) {
      r = add_old_pieces(&reader->plain, next.pieces, array_length(next.pieces), err);
      more = next.more_pieces != '\0';
    }
  }
  reader->item.size = real_size;
  reader->map = &reader->plain;
  return r < 0 ? r : sparse_check(&reader->plain, reader->stored, real_size, err);
}

struct map_text {
  struct tar_reader *reader;
  char block[TAR_BLOCK + 1];
  size_t at;
  size_t used; /* bytes of all blocks */
};

/* The next decimal line of the map in front of the data. */
static int take_line(struct map_text *text, int64_t *ret_value, struct err *err) {
  int64_t value = 0;
  for (size_t digits = 0;; digits++) {
    if (text->at == TAR_BLOCK) {
      if (text->reader->stored < (int64_t)TAR_BLOCK || text->used >= PAX_SIZE_MAX) {
        return err_set(err, EINVAL, "its map of holes is too long");
      }
      int r = take_whole(text->reader, text->block, TAR_BLOCK, err);
      if (r < 0) {
        return r;
      }
      text->reader->stored -= (int64_t)TAR_BLOCK;
      text->used += TAR_BLOCK;
      text->at = 0;
    }
    char c = text->block[text->at++];
    if (c == '\n' && digits > 0) {
      *ret_value = value;
      return 0;
    }
    if (c < '0' || c > '9' || digits > 18) {
      return err_set(err, EINVAL, "its map of holes is damaged");
    }
    value = value * 10 + (c - '0'); /* 18 digits fit */
  }
}

static int read_map_in_data(struct tar_reader *reader, struct err *err) {
  struct map_text text = {.reader = reader, .at = TAR_BLOCK};
  int64_t count = 0;
  int r = take_line(&text, &count, err);
  for (int64_t i = 0; r == 0 && i < count; i++) {
    int64_t offset = 0;
    int64_t size = 0;
    r = take_line(&text, &offset, err);
    if (r == 0) {
      r = take_line(&text, &size, err);
    }
    if (r == 0) {
      r = sparse_add(&reader->pax.map, offset, size, err);
    }
  }
  return r;
}

static int read_pax_sparse(struct tar_reader *reader, struct err *err) {
  struct pax *pax = &reader->pax;
  if (reader->item.type != '0') {
    return err_set(err, EINVAL, "it has holes but is no file");
  }
  int r = pax->sparse_in_data ? read_map_in_data(reader, err) : 0;
  if (pax->sparse_name != NULL) {
    reader->item.name = pax->sparse_name;
  }
  reader->item.size = pax->real_size;
  reader->map = &pax->map;
  return r < 0 ? r : sparse_check(&pax->map, reader->stored, pax->real_size, err);
}

static int read_content(struct tar_reader *reader, const struct tar_block *block, struct err *err) {
  struct tar_item *item = &reader->item;
  int64_t size = reader->has_pax && reader->pax.size >= 0 ? reader->pax.size : reader->header.size;
  bool sparse = block->type == 'S';
  if (item->type != '0' && size != 0) {
    return err_set(err, EINVAL, "it is no file and has a size all the same");
  }
  reader->plain.count = 0;
  item->size = size;
  reader->stored = size;
  reader->padding = padding_of(size);
  reader->piece = 0;
  reader->piece_at = 0;
  reader->map = &reader->plain;
  item->sparse = sparse || reader->pax.sparse;
  if (sparse) {
    return read_old_sparse(reader, block, err);
  }
  return reader->pax.sparse ? read_pax_sparse(reader, err) : sparse_add(&reader->plain, 0, size, err);
}

/* One letter for each kind; 0 for what an archive of files cannot hold. */
static char type_of(const struct tar_header *header, const char *name, struct err *err) {
  size_t length = strlen(name);
  bool slash = length > 0 && name[length - 1] == '/';
  char type = header->type;
  /* Before ustar, a directory was a file of that name. */
  if (type == '\0') {
    return slash ? '5' : '0';
  }
  if (type == '0' || type == '7' || type == 'S') {
    type = slash ? 0 : '0';
  }
  if (type != 0 && strchr("0123456", type) != NULL) {
    return type;
  }
  (void)err_set(err, EINVAL, type == 0 ? "it is a file with the name of a directory" : "it has an unknown type");
  return 0;
}

static int read_item(struct tar_reader *reader, const struct tar_block *block, struct err *err) {
  const struct tar_header *header = &reader->header;
  const struct pax *pax = &reader->pax;
  struct tar_item *item = &reader->item;
  *item = (struct tar_item){
      .name = pax->path != NULL           ? pax->path
              : reader->long_name != NULL ? reader->long_name
                                          : header->name,
      .link = pax->link != NULL           ? pax->link
              : reader->long_link != NULL ? reader->long_link
                                          : header->link,
      .mode = header->mode,
      .uid = pax->uid >= 0 ? pax->uid : header->uid,
      .gid = pax->gid >= 0 ? pax->gid : header->gid,
      .mtime = pax->has_mtime ? pax->mtime : (struct timespec){header->mtime, 0},
      .major = header->major,
      .minor = header->minor,
      .xattrs = pax->xattrs,
      .xattr_count = pax->xattr_count,
  };
  item->type = type_of(header, item->name, err);
  if (item->type == 0) {
    return -EINVAL;
  }
  bool is_link = item->type == '1' || item->type == '2';
  if (is_link && *item->link == '\0') {
    return err_set(err, EINVAL, "it is a link without a target");
  }
  if (!is_link) {
    item->link = "";
  }
  int r = read_content(reader, block, err);
  return r == 0 && *item->name == '\0' ? err_set(err, EINVAL, "it has no name") : r;
}

/* 1 with an entry, 0 at the end. */
static int read_next(struct tar_reader *reader, struct err *err) {
  for (;;) {
    struct tar_block block;
    int r = take_header(reader, &block, err);
    if (r == 0 && (reader->has_pax || reader->long_name != NULL || reader->long_link != NULL)) {
      return err_set(err, EINVAL, "an extended header belongs to no entry");
    }
    if (r <= 0) {
      return r;
    }
    switch (block.type) {
    case 'x':
      r = take_extended(reader, err);
      break;
    case 'g':
      r = take_global(reader, err);
      break;
    case 'L':
      r = take_long_text(reader, &reader->long_name, err);
      break;
    case 'K':
      r = take_long_text(reader, &reader->long_link, err);
      break;
    default:
      r = read_item(reader, &block, err);
      return r < 0 ? r : 1;
    }
    if (r < 0) {
      return r;
    }
  }
}

int tar_reader_next(struct tar_reader *reader, const struct tar_item **ret_item, struct err *err) {
  int r = pass_over(reader, (uint64_t)reader->stored + reader->padding, err);
  reader->stored = 0;
  reader->padding = 0;
  if (r < 0) {
    return r;
  }
  forget_announced(reader);
  *ret_item = NULL;
  if (reader->ended) {
    return 0;
  }
  reader->number++;
  r = read_next(reader, err);
  if (r < 0) {
    reader->ended = true;
    return reader->is_tar ? err_prefix(err, "archive entry %llu", (unsigned long long)reader->number) : r;
  }
  if (r > 0) {
    *ret_item = &reader->item;
  }
  return 0;
}

int tar_reader_data(struct tar_reader *reader, const void **ret_data, size_t *ret_size, int64_t *ret_offset,
                    struct err *err) {
  if (reader->stored == 0 || reader->piece == reader->map->count) {
    return 0;
  }
  const struct sparse_piece *piece = &reader->map->pieces[reader->piece];
  uint64_t wanted = (uint64_t)(piece->size - reader->piece_at);
  const char *data = NULL;
  size_t size = 0;
  int r = take_piece(reader, wanted < SIZE_MAX ? (size_t)wanted : SIZE_MAX, &data, &size, err);
  if (r < 0) {
    return r;
  }
  if (size == 0) {
    return cut_short(err);
  }
  *ret_data = data;
  *ret_size = size;
  *ret_offset = piece->offset + reader->piece_at;
  reader->stored -= (int64_t)size;
  reader->piece_at += (int64_t)size;
  if (reader->piece_at == piece->size) {
    reader->piece++;
    reader->piece_at = 0;
  }
  return 1;
}

int tar_reader_finish(struct tar_reader *reader, struct err *err) {
  for (;;) {
    const char *data = NULL;
    size_t size = 0;
    int r = take_piece(reader, SIZE_MAX, &data, &size, err);
    if (r < 0 || size == 0) {
      return r;
    }
    if (data[0] != '\0' || memcmp(data, data + 1, size - 1) != 0) {
      return err_set(err, EINVAL, "cannot read the archive: something follows its end");
    }
  }
}
