#include "layer/source.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define READ_SIZE ((size_t)128 << 10)

/*
 * Two archives in a row: `outer` only undoes the compression (format raw), `inner` reads tar from it. So every
 * uncompressed byte passes us once, for the digest and the limits.
 */
struct source {
  int fd;
  struct archive *outer;
  struct archive *inner;
  EVP_MD_CTX *digest;
  struct limits limits;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t content;
  uint64_t entries;
  char *buffer;
  bool outer_ended;
  struct err failure; /* of a callback, kept until libarchive returns */
};

static la_ssize_t read_input(struct archive *archive, void *context, const void **ret_data) {
  struct source *source = context;
  for (;;) {
    ssize_t size = read(source->fd, source->buffer, READ_SIZE);
    if (size >= 0) {
      source->bytes_in += (uint64_t)size;
      *ret_data = source->buffer;
      return size;
    }
    if (errno != EINTR) {
      (void)err_errno(&source->failure, "cannot read the archive");
      archive_set_error(archive, errno, "read");
      return ARCHIVE_FATAL;
    }
  }
}

static int check_sizes(struct source *source) {
  if (source->bytes_out > source->limits.bytes) {
    return err_set(&source->failure, EFBIG, "the archive unpacks to more than %llu bytes",
                   (unsigned long long)source->limits.bytes);
  }
  if (source->bytes_out > source->limits.ratio_from && source->bytes_out / source->limits.ratio > source->bytes_in) {
    return err_set(&source->failure, EFBIG, "the archive unpacks to more than %llu times its size",
                   (unsigned long long)source->limits.ratio);
  }
  return 0;
}

static la_ssize_t read_decompressed(struct archive *archive, void *context, const void **ret_data) {
  struct source *source = context;
  size_t size = 0;
  la_int64_t offset = 0;
  if (source->outer_ended) {
    return 0;
  }
  int r = archive_read_data_block(source->outer, ret_data, &size, &offset);
  if (r == ARCHIVE_EOF) {
    source->outer_ended = true;
    return 0;
  }
  if (r != ARCHIVE_OK) {
    if (source->failure.code == 0) {
      const char *text = archive_error_string(source->outer);
      (void)err_set(&source->failure, EINVAL, "the archive's compression is damaged: %s", text != NULL ? text : "?");
    }
    archive_set_error(archive, EINVAL, "decompression");
    return ARCHIVE_FATAL;
  }
  source->bytes_out += size;
  if (EVP_DigestUpdate(source->digest, *ret_data, size) != 1) {
    (void)err_set(&source->failure, EIO, "cannot hash the archive");
  } else if (check_sizes(source) == 0) {
    return (la_ssize_t)size;
  }
  archive_set_error(archive, EFBIG, "limit");
  return ARCHIVE_FATAL;
}

static int fail(struct source *source, struct archive *archive, const char *doing, struct err *err) {
  if (source->failure.code != 0) {
    return err_set(err, source->failure.code, "%s", source->failure.text);
  }
  const char *text = archive_error_string(archive);
  int code = archive_errno(archive) == ENOMEM ? ENOMEM : EINVAL;
  return err_set(err, code, "cannot %s: %s", doing, text != NULL ? text : "the archive is damaged");
}

/* A decoder that libarchive lacks would be run as a program found in PATH: then it answers ARCHIVE_WARN and we refuse.
 */
static int add_filters(struct archive *archive, bool all, struct err *err) {
  int (*const filters[])(struct archive *) = {archive_read_support_filter_gzip, archive_read_support_filter_zstd,
                                              archive_read_support_filter_bzip2, archive_read_support_filter_xz};
  for (size_t i = 0; i < (all ? 4U : 2U); i++) {
    if (filters[i](archive) != ARCHIVE_OK) {
      return err_set(err, ENOTSUP, "libarchive was built without a decoder that is needed");
    }
  }
  return 0;
}

static int open_outer(struct source *source, bool all_filters, struct err *err) {
  source->outer = archive_read_new();
  if (source->outer == NULL) {
    return err_oom(err);
  }
  int r = add_filters(source->outer, all_filters, err);
  if (r < 0) {
    return r;
  }
  (void)archive_read_support_format_raw(source->outer);
  (void)archive_read_support_format_empty(source->outer);
  if (archive_read_open(source->outer, source, NULL, read_input, NULL) != ARCHIVE_OK) {
    return fail(source, source->outer, "open the archive", err);
  }
  struct archive_entry *entry = NULL;
  r = archive_read_next_header(source->outer, &entry);
  if (r == ARCHIVE_EOF) {
    source->outer_ended = true;
  } else if (r != ARCHIVE_OK) {
    return fail(source, source->outer, "decompress the archive", err);
  }
  return 0;
}

int source_open(int fd, bool all_filters, const struct limits *limits, struct source **ret_source, struct err *err) {
  cleanup_source struct source *source = calloc(1, sizeof(*source));
  if (source == NULL) {
    return err_oom(err);
  }
  source->fd = fd;
  source->limits = *limits;
  source->buffer = malloc(READ_SIZE);
  source->digest = EVP_MD_CTX_new();
  source->inner = archive_read_new();
  if (source->buffer == NULL || source->digest == NULL || source->inner == NULL ||
      EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL) != 1) {
    return err_oom(err);
  }
  int r = open_outer(source, all_filters, err);
  if (r < 0) {
    return r;
  }
  (void)archive_read_support_format_tar(source->inner);
  (void)archive_read_support_format_empty(source->inner);
  if (archive_read_open(source->inner, source, NULL, read_decompressed, NULL) != ARCHIVE_OK) {
    return fail(source, source->inner, "read the archive", err);
  }
  *ret_source = take_ptr(source);
  return 0;
}

void source_free(struct source *source) {
  if (source == NULL) {
    return;
  }
  if (source->inner != NULL) {
    (void)archive_read_free(source->inner);
  }
  if (source->outer != NULL) {
    (void)archive_read_free(source->outer);
  }
  EVP_MD_CTX_free(source->digest);
  free(source->buffer);
  free(source);
}

int source_next(struct source *source, struct archive_entry **ret_entry, struct err *err) {
  struct archive_entry *entry = NULL;
  int r = archive_read_next_header(source->inner, &entry);
  if (r == ARCHIVE_EOF && source->failure.code == 0) {
    *ret_entry = NULL;
    return 0;
  }
  /* A warning is about a name that is no text of the locale: its bytes are kept, which is what we want. */
  if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
    return fail(source, source->inner, "read the archive", err);
  }
  if (++source->entries > source->limits.entries) {
    return err_set(err, E2BIG, "the archive has more than %llu entries", (unsigned long long)source->limits.entries);
  }
  la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
  if (size < 0) {
    return err_set(err, EINVAL, "an archive entry has a negative size");
  }
  source->content += (uint64_t)size;
  if (source->content > source->limits.content) {
    return err_set(err, EFBIG, "the files of the archive have more than %llu bytes",
                   (unsigned long long)source->limits.content);
  }
  *ret_entry = entry;
  return 0;
}

int source_data(struct source *source, const void **ret_data, size_t *ret_size, int64_t *ret_offset, struct err *err) {
  la_int64_t offset = 0;
  int r = archive_read_data_block(source->inner, ret_data, ret_size, &offset);
  if (r == ARCHIVE_EOF) {
    return 0;
  }
  if (r != ARCHIVE_OK) {
    return fail(source, source->inner, "read the archive", err);
  }
  *ret_offset = offset;
  return 1;
}

int source_finish(struct source *source, char digest[DIGEST_TEXT_SIZE], struct err *err) {
  const void *data = NULL;
  la_ssize_t size;
  while ((size = read_decompressed(source->inner, source, &data)) > 0) {
  }
  if (size < 0) {
    return fail(source, source->inner, "read the archive", err);
  }
  /* What lies behind the compressed data is not part of the layer, but the writer must not see a broken pipe. */
  while (read_input(source->inner, source, &data) > 0) {
  }
  if (source->failure.code != 0) {
    return fail(source, source->inner, "read the archive", err);
  }
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_DigestFinal_ex(source->digest, hash, &length) != 1 || length != 32) {
    return err_set(err, EIO, "cannot hash the archive");
  }
  (void)strcpy(digest, "sha256:");
  for (unsigned i = 0; i < length; i++) {
    (void)snprintf(digest + 7 + (size_t)2 * i, 3, "%02x", hash[i]);
  }
  return 0;
}
