#include "layer/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define OUTPUT_SIZE ((size_t)256 << 10)

struct gunzip {
  z_stream stream;
  tar_read_fn read;
  void *context;
  bool between; /* members */
  bool padding; /* zeroes after the last one */
  bool input_ended;
  unsigned char output[OUTPUT_SIZE];
};

int gunzip_open(tar_read_fn read, void *context, struct gunzip **ret_gunzip, struct err *err) {
  struct gunzip *gunzip = calloc(1, sizeof(*gunzip));
  if (gunzip == NULL || inflateInit2(&gunzip->stream, 15 + 16) != Z_OK) {
    free(gunzip);
    return err_oom(err);
  }
  gunzip->read = read;
  gunzip->context = context;
  *ret_gunzip = gunzip;
  return 0;
}

void gunzip_free(struct gunzip *gunzip) {
  if (gunzip != NULL) {
    (void)inflateEnd(&gunzip->stream);
    free(gunzip);
  }
}

static int fill_input(struct gunzip *gunzip, struct err *err) {
  const void *data = NULL;
  size_t size = 0;
  if (gunzip->stream.avail_in > 0 || gunzip->input_ended) {
    return 0;
  }
  int r = gunzip->read(gunzip->context, &data, &size, err);
  if (r < 0) {
    return r;
  }
  gunzip->input_ended = size == 0;
  gunzip->stream.next_in = (unsigned char *)data;
  gunzip->stream.avail_in = (unsigned)size;
  return 0;
}

/* After a member: the next one, or zeroes to the end. 1: there is another. */
static int next_member(struct gunzip *gunzip, struct err *err) {
  for (;;) {
    int r = fill_input(gunzip, err);
    if (r < 0 || gunzip->input_ended) {
      return r;
    }
    unsigned char first = *gunzip->stream.next_in;
    if (first == 0x1f && !gunzip->padding) {
      gunzip->between = false;
      return inflateReset(&gunzip->stream) == Z_OK ? 1 : err_oom(err);
    }
    if (first != 0) {
      return err_set(err, EINVAL, "cannot read the archive: something follows its compressed data");
    }
    gunzip->padding = true;
    gunzip->stream.next_in++;
    gunzip->stream.avail_in--;
  }
}

int gunzip_read(struct gunzip *gunzip, const void **ret_data, size_t *ret_size, struct err *err) {
  z_stream *stream = &gunzip->stream;
  *ret_size = 0;
  for (;;) {
    int r = gunzip->between ? next_member(gunzip, err) : 1;
    r = r > 0 ? fill_input(gunzip, err) : r;
    if (r < 0 || (gunzip->between && gunzip->input_ended)) {
      return r;
    }
    stream->next_out = gunzip->output;
    stream->avail_out = OUTPUT_SIZE;
    int code = inflate(stream, Z_NO_FLUSH);
    size_t size = OUTPUT_SIZE - stream->avail_out;
    gunzip->between = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR) {
      return err_oom(err);
    }
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return err_set(err, EINVAL, "cannot decompress the archive: %s", stream->msg != NULL ? stream->msg : "damaged");
    }
    if (size > 0) {
      *ret_data = gunzip->output;
      *ret_size = size;
      return 0;
    }
    if (gunzip->input_ended && code != Z_STREAM_END) {
      return err_set(err, EINVAL, "cannot decompress the archive: it is cut short");
    }
  }
}
