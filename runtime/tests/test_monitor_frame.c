/* Frame headers: what a client may send, what it may not, and the form of what we send. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/frame.h"
#include "tests/check.h"

static bool reads(const char bytes[FRAME_HEADER + 1], size_t wanted) {
  enum frame_type type = FRAME_EVENT;
  size_t size = 77;
  bool fine = frame_read_header((const unsigned char *)bytes, &type, &size);
  require(!fine || (size == wanted && (char)type == bytes[0]));
  require(fine || (size == 77 && type == FRAME_EVENT));
  return fine;
}

int main(void) {
  unsigned char header[FRAME_HEADER];
  frame_put_header(header, FRAME_STDERR, 0x01020304);
  require(memcmp(header, "\x02\0\0\0\x01\x02\x03\x04", FRAME_HEADER) == 0);
  require(reads("\x00\0\0\0\0\0\0\0", 0));
  require(reads("\x00\0\0\0\0\x01\0\0", 65536));
  require(!reads("\x00\0\0\0\0\x01\0\x01", 0));
  require(reads("\x0a\0\0\0\0\0\0\0", 0));
  require(!reads("\x0a\0\0\0\0\0\0\x01", 0));
  require(reads("\x0b\0\0\0\0\x10\0\0", 1 << 20));
  require(!reads("\x0b\0\0\0\0\x10\0\x01", 0));
  require(!reads("\x0b\0\0\0\xff\xff\xff\xff", 0));
  require(!reads("\x0b\x01\0\0\0\0\0\x01", 0));
  require(!reads("\x0b\0\0\x01\0\0\0\x01", 0));
  /* Ours alone to send, or unknown. */
  for (int type = 0; type < 256; type++) {
    char bytes[FRAME_HEADER + 1] = {(char)type};
    require(reads(bytes, 0) == (type == 0 || type == 10 || type == 11));
  }
  check_done();
}
