/* What a client sends to a monitor: frames, and the requests in them. */
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "monitor/frame.h"

static void read_request(const char *text, size_t size) {
  cleanup_json struct json request = {.value = NULL};
  struct err err = ERR_INIT;
  long long id = -1;
  const char *op = NULL;
  bool flag = false;
  int number = 0;
  if (json_parse(text, size, &request, &err) < 0 || json_need_long(&request, "id", 0, INT64_MAX, &id, &err) < 0) {
    return;
  }
  must(id >= 0);
  (void)json_need_string(&request, "op", &op, &err);
  (void)json_bool_at(&request, "stdin", &flag, &err);
  if (json_int_at(&request, "rows", 0, 65535, &number, &err) > 0) {
    must(number >= 0 && number <= 65535);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (size_t at = 0; size - at >= FRAME_HEADER;) {
    enum frame_type type = FRAME_STDOUT;
    size_t length = 0;
    if (!frame_read_header(data + at, &type, &length)) {
      return 0;
    }
    must(type == FRAME_STDIN || type == FRAME_END_OF_STDIN || type == FRAME_REQUEST);
    must(length <= (type == FRAME_REQUEST ? FRAME_JSON_MAX : FRAME_DATA_MAX));
    unsigned char header[FRAME_HEADER];
    frame_put_header(header, type, length);
    for (size_t i = 0; i < FRAME_HEADER; i++) {
      must(header[i] == data[at + i]);
    }
    at += FRAME_HEADER;
    if (size - at < length) {
      return 0;
    }
    if (type == FRAME_REQUEST) {
      read_request((const char *)data + at, length);
    }
    at += length;
  }
  return 0;
}
