#include "monitor/frame.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

void frame_put_header(unsigned char header[FRAME_HEADER], enum frame_type type, size_t size) {
  uint32_t length = htonl((uint32_t)size);
  memset(header, 0, FRAME_HEADER);
  header[0] = (unsigned char)type;
  memcpy(header + 4, &length, sizeof(length));
}

size_t frame_payload_size(const unsigned char header[FRAME_HEADER]) {
  uint32_t length;
  memcpy(&length, header + 4, sizeof(length));
  return ntohl(length);
}

bool frame_read_header(const unsigned char header[FRAME_HEADER], enum frame_type *ret_type, size_t *ret_size) {
  static const struct {
    enum frame_type type;
    size_t limit;
  } allowed[] = {{FRAME_STDIN, FRAME_DATA_MAX}, {FRAME_END_OF_STDIN, 0}, {FRAME_REQUEST, FRAME_JSON_MAX}};
  size_t length = frame_payload_size(header);
  if (header[1] != 0 || header[2] != 0 || header[3] != 0) {
    return false;
  }
  for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
    if (header[0] == allowed[i].type && length <= allowed[i].limit) {
      *ret_type = allowed[i].type;
      *ret_size = length;
      return true;
    }
  }
  return false;
}
