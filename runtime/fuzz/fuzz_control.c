/* Lines of the keeper's control stream, and of replies made from them. */
#include <string.h>

#include "base/json.h"
#include "base/reply.h"
#include "fuzz/fuzz.h"

static void answer(long long id, const char *op, int code) {
  cleanup_str struct str line = STR_INIT;
  cleanup_json struct json reply = {.value = NULL};
  struct err err = ERR_INIT;
  (void)err_set(&err, code, "the keeper has no operation \"%s\"", op);
  must(reply_error(&line, id, NULL, &err) == 0);
  must(memchr(line.data, '\n', line.size) == NULL);
  must(json_parse(line.data, line.size, &reply, &err) == 0);
}

static void read_line(const char *text, size_t size) {
  cleanup_json struct json request = {.value = NULL};
  cleanup_str_list struct str_list args = {.items = NULL};
  struct json config;
  struct err err = ERR_INIT;
  long long id = -1;
  const char *op = NULL;
  if (json_parse(text, size, &request, &err) < 0 || json_need_long(&request, "id", 0, INT64_MAX, &id, &err) < 0) {
    return;
  }
  must(id >= 0);
  if (json_need_string(&request, "op", &op, &err) > 0) {
    answer(id, op, 1 + (int)(size % 120));
  }
  (void)json_strings_at(&request, "args", &args, &err);
  (void)json_object_at(&request, "config", &config, &err);
  const char *key = NULL;
  struct json value;
  for (size_t position = 0; json_next(&request, &position, &key, &value);) {
    must(key != NULL);
    (void)json_text(&value);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *at = (const char *)data;
  for (const char *end = at + size; at < end;) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t length = newline == NULL ? (size_t)(end - at) : (size_t)(newline - at);
    read_line(at, length);
    at += length + 1;
  }
  return 0;
}
