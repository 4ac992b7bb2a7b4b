/* The keeper's pauses between restarts, and the replies both helpers share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reply.h"
#include "keeper/state.h"
#include "tests/check.h"

static void test_backoff(void) {
  static const int wanted[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
  struct backoff backoff = {.next_ms = 0};
  for (size_t i = 0; i < array_length(wanted); i++) {
    backoff.started = now_ms();
    require(backoff_pause(&backoff) == wanted[i]);
  }
  backoff.started = now_ms() - 10000;
  require(backoff_pause(&backoff) == 100);
}

static void test_replies(void) {
  cleanup_str struct str out = STR_INIT;
  struct err err = ERR_INIT;
  (void)err_set(&err, EADDRINUSE, "port \"80\"\n\xff");
  require(reply_error(&out, 7, /* code= */ NULL, &err) == 0);
  require(
      strcmp(
          out.data,
          "{\"id\":7,\"ok\":false,\"error\":{\"code\":\"in-use\",\"message\":\"port \\\"80\\\"\\n\xef\xbf\xbd\"}}") ==
      0);
  out.size = 0;
  require(reply_error(&out, -1, "denied", &err) == 0 &&
          strncmp(out.data, "{\"ok\":false,\"error\":{\"code\":\"denied\"", 36) == 0);
  out.size = 0;
  require(reply_begin(&out, 3) == 0 && strcmp(out.data, "{\"id\":3,\"ok\":true") == 0);
  require(strcmp(reply_code(-ENOENT), "not-found") == 0 && strcmp(reply_code(EXDEV), "failed") == 0);
}

int main(void) {
  test_backoff();
  test_replies();
  check_done();
}
