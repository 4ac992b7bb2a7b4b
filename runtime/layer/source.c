#include "layer/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "layer/gunzip.h"
#include "layer/read_ahead.h"

#define READ_SIZE ((size_t)128 << 10)

/* Compression is undone by zlib (gzip) or libarchive (format raw); the tar itself is read by us, every byte of it
 * passing through the digest and the limits. */
struct source {
  int fd;
  struct archive *outer;
  struct gunzip *gunzip; /* instead of `outer` */
  struct tar_reader *tar;
  struct read_ahead *ahead; /* NULL: everything in one thread */
  int wake;                 /* readable: the thread shall end */
  EVP_MD_CTX *digest;
  struct limits limits;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t content;
  uint64_t entries;
  char *buffer;
  size_t last_read; /* bytes in the buffer */
  size_t peeked;    /* of them not given to anybody yet */
  bool outer_ended;
  struct err failure; /* of a callback, kept until libarchive returns */
};

/* A thread that hangs in read(2) could not be ended. */
static int wait_for_input(struct source *source) {
  struct pollfd fds[2] = {{.fd = source->fd, .events = POLLIN}, {.fd = source->wake, .events = POLLIN}};
  while (poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
  return fds[1].revents != 0 ? err_set(&source->failure, ECANCELED, "reading was given up") : 0;
}

/* -1: `failure` says why. */
static ssize_t read_buffer(struct source *source, size_t at) {
  for (;;) {
    if (source->wake >= 0 && wait_for_input(source) < 0) {
      return -1;
    }
    ssize_t size = read(source->fd, source->buffer + at, READ_SIZE - at);
    if (size >= 0) {
      source->bytes_in += (uint64_t)size;
      source->last_read = size > 0 ? at + (size_t)size : source->last_read;
      return size;
    }
    if (errno != EINTR) {
      (void)err_errno(&source->failure, "cannot read the archive");
      return -1;
    }
  }
}

static ssize_t next_input(struct source *source) {
  size_t peeked = source->peeked;
  source->peeked = 0;
  return peeked > 0 ? (ssize_t)peeked : read_buffer(source, 0);
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **ret_data) {
  struct source *source = context;
  ssize_t size = next_input(source);
  *ret_data = source->buffer;
  if (size < 0) {
    archive_set_error(archive, EIO, "read");
    return ARCHIVE_FATAL;
  }
  return size;
}

/* The same for zlib. */
static int read_compressed(void *context, const void **ret_data, size_t *ret_size, struct err *err) {
  struct source *source = context;
  ssize_t size = next_input(source);
  if (size < 0) {
    return err_set(err, source->failure.code, "%s", source->failure.text);
  }
  *ret_data = source->buffer;
  *ret_size = (size_t)size;
  return 0;
}

/* Enough of the beginning to know gzip. */
static int peek(struct source *source, struct err *err) {
  while (source->peeked < 2) {
    ssize_t size = read_buffer(source, source->peeked);
    if (size < 0) {
      return err_set(err, source->failure.code, "%s", source->failure.text);
    }
    if (size == 0) {
      break;
    }
    source->peeked += (size_t)size;
  }
  return 0;
}

static int check_sizes(const struct source *source, struct err *err) {
  if (source->bytes_out > source->limits.bytes) {
    return err_set(err, EFBIG, "the archive unpacks to more than %llu bytes", (unsigned long long)source->limits.bytes);
  }
  if (source->bytes_out > source->limits.ratio_from && source->bytes_out / source->limits.ratio > source->bytes_in) {
    return err_set(err, EFBIG, "the archive unpacks to more than %llu times its size",
                   (unsigned long long)source->limits.ratio);
  }
  return 0;
}

static int fail(struct source *source, const char *doing, struct err *err) {
  if (source->failure.code != 0) {
    return err_set(err, source->failure.code, "%s", source->failure.text);
  }
  const char *text = archive_error_string(source->outer);
  int code = archive_errno(source->outer) == ENOMEM ? ENOMEM : EINVAL;
  return err_set(err, code, "cannot %s: %s", doing, text != NULL ? text : "it is damaged");
}

/* Behind the compressed data only zeroes may come. What libarchive has taken but not used is at the end of our buffer.
 */
static int check_rest(struct source *source, struct err *err) {
  uint64_t used = (uint64_t)archive_filter_bytes(source->outer, -1);
  size_t unused = source->bytes_in > used ? (size_t)(source->bytes_in - used) : 0;
  size_t size = unused < source->last_read ? unused : source->last_read;
  const char *at = source->buffer + source->last_read - size;
  for (;;) {
    if (size > 0 && (at[0] != '\0' || memcmp(at, at + 1, size - 1) != 0)) {
      return err_set(err, EINVAL, "cannot read the archive: something follows its compressed data");
    }
    const void *data = NULL;
    la_ssize_t got = read_input(source->outer, source, &data);
    if (got < 0) {
      return fail(source, "read the archive", err);
    }
    if (got == 0) {
      return 0;
    }
    at = data;
    size = (size_t)got;
  }
}

static int read_decompressed(void *context, const void **ret_data, size_t *ret_size, struct err *err) {
  struct source *source = context;
  la_int64_t offset = 0;
  *ret_size = 0;
  if (source->gunzip != NULL) {
    int r = gunzip_read(source->gunzip, ret_data, ret_size, err);
    if (r < 0) {
      return r;
    }
  }
  while (source->gunzip == NULL && !source->outer_ended && *ret_size == 0) {
    int r = archive_read_data_block(source->outer, ret_data, ret_size, &offset);
    if (r == ARCHIVE_EOF) {
      source->outer_ended = true;
      *ret_size = 0;
      return check_rest(source, err);
    }
    if (r != ARCHIVE_OK) {
      return fail(source, "decompress the archive", err);
    }
  }
  source->bytes_out += *ret_size;
  if (EVP_DigestUpdate(source->digest, *ret_data, *ret_size) != 1) {
    return err_set(err, EIO, "cannot hash the archive");
  }
  return check_sizes(source, err);
}

static int read_any(void *context, const void **ret_data, size_t *ret_size, struct err *err) {
  struct source *source = context;
  return source->ahead != NULL ? read_ahead_next(source->ahead, ret_data, ret_size, err)
                               : read_decompressed(source, ret_data, ret_size, err);
}

int source_read_ahead(struct source *source, struct err *err) {
  source->wake = eventfd(0, EFD_CLOEXEC);
  if (source->wake < 0) {
    return err_errno(err, "cannot make an event descriptor");
  }
  return read_ahead_start(read_decompressed, source, &source->ahead, err);
}

/* A decoder that libarchive lacks would be run as a program found in PATH: then it answers ARCHIVE_WARN and we refuse.
 */
static int add_filters(struct archive *archive, bool all, struct err *err) {
  int (*const filters[])(struct archive *) = {archive_read_support_filter_zstd, archive_read_support_filter_bzip2,
                                              archive_read_support_filter_xz};
  for (size_t i = 0; i < (all ? 3U : 1U); i++) {
    if (filters[i](archive) != ARCHIVE_OK) {
      return err_set(err, ENOTSUP, "libarchive was built without a decoder that is needed");
    }
  }
  return 0;
}

static int open_outer(struct source *source, bool all_filters, struct err *err) {
  int r = peek(source, err);
  if (r < 0) {
    return r;
  }
  if (gunzip_is_gzip((const unsigned char *)source->buffer, source->peeked)) {
    return gunzip_open(read_compressed, source, &source->gunzip, err);
  }
  source->outer = archive_read_new();
  if (source->outer == NULL) {
    return err_oom(err);
  }
  r = add_filters(source->outer, all_filters, err);
  if (r < 0) {
    return r;
  }
  (void)archive_read_support_format_raw(source->outer);
  (void)archive_read_support_format_empty(source->outer);
  if (archive_read_open(source->outer, source, NULL, read_input, NULL) != ARCHIVE_OK) {
    return fail(source, "open the archive", err);
  }
  struct archive_entry *entry = NULL;
  r = archive_read_next_header(source->outer, &entry);
  if (r == ARCHIVE_EOF) {
    source->outer_ended = true;
  } else if (r != ARCHIVE_OK) {
    return fail(source, "decompress the archive", err);
  }
  return 0;
}

int source_open(int fd, bool all_filters, const struct limits *limits, struct source **ret_source, struct err *err) {
  cleanup_source struct source *source = calloc(1, sizeof(*source));
  if (source == NULL) {
    return err_oom(err);
  }
  source->fd = fd;
  source->wake = -1;
  source->limits = *limits;
  source->buffer = malloc(READ_SIZE);
  source->digest = EVP_MD_CTX_new();
  if (source->buffer == NULL || source->digest == NULL || EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL) != 1) {
    return err_oom(err);
  }
  int r = open_outer(source, all_filters, err);
  if (r < 0) {
    return r;
  }
  r = tar_reader_open(read_any, source, &source->tar, err);
  if (r < 0) {
    return r;
  }
  *ret_source = take_ptr(source);
  return 0;
}

void source_free(struct source *source) {
  if (source == NULL) {
    return;
  }
  if (source->ahead != NULL) {
    (void)eventfd_write(source->wake, 1);
    read_ahead_stop(source->ahead);
  }
  cleanup_close_at(&source->wake);
  tar_reader_free(source->tar);
  if (source->outer != NULL) {
    (void)archive_read_free(source->outer);
  }
  gunzip_free(source->gunzip);
  EVP_MD_CTX_free(source->digest);
  free(source->buffer);
  free(source);
}

bool source_is_tar(const struct source *source) {
  return tar_reader_is_tar(source->tar);
}

int source_next(struct source *source, const struct tar_item **ret_item, struct err *err) {
  int r = tar_reader_next(source->tar, ret_item, err);
  if (r < 0 || *ret_item == NULL) {
    return r;
  }
  if (++source->entries > source->limits.entries) {
    return err_set(err, E2BIG, "the archive has more than %llu entries", (unsigned long long)source->limits.entries);
  }
  source->content += (uint64_t)(*ret_item)->size; /* each below 2^63, and the sum is watched: no overflow */
  if (source->content > source->limits.content) {
    return err_set(err, EFBIG, "the files of the archive have more than %llu bytes",
                   (unsigned long long)source->limits.content);
  }
  return 0;
}

int source_data(struct source *source, const void **ret_data, size_t *ret_size, int64_t *ret_offset, struct err *err) {
  return tar_reader_data(source->tar, ret_data, ret_size, ret_offset, err);
}

int source_finish(struct source *source, char digest[DIGEST_TEXT_SIZE], struct err *err) {
  int r = tar_reader_finish(source->tar, err);
  if (r < 0) {
    return r;
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
