/* Header of a frame on m.sock: [type u8][0 0 0][length u32 big-endian]. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FRAME_HEADER ((size_t)8)
#define FRAME_DATA_MAX ((size_t)65536)
#define FRAME_JSON_MAX ((size_t)1 << 20)

enum frame_type {
  FRAME_STDIN = 0,
  FRAME_STDOUT = 1,
  FRAME_STDERR = 2,
  FRAME_END_OF_STDIN = 10,
  FRAME_REQUEST = 11,
  FRAME_REPLY = 12,
  FRAME_EVENT = 13,
};

void frame_put_header(unsigned char header[FRAME_HEADER], enum frame_type type, size_t size);

/* Bytes after a header. */
size_t frame_payload_size(const unsigned char header[FRAME_HEADER]);

/* Reads the header of a frame from a client. False: no client may send this (type, length, or bytes that must be zero).
 */
bool frame_read_header(const unsigned char header[FRAME_HEADER], enum frame_type *ret_type, size_t *ret_size);
