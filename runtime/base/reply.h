/*
 * Replies of the helpers' JSON protocols: {"id":n,"ok":true,…} and {"id":n,"ok":false,"error":{"code","message"}}.
 * `code` is one of the kinds of failure the daemon knows (invalid, not-found, conflict, …).
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Kind of failure for an errno value; "failed" for what has no kind of its own. */
const char *reply_code(int code);

/* Appends the whole line without newline. `id` below 0: without id. `code` NULL: from err->code. 0 or -ENOMEM. */
int reply_error(struct str *out, long long id, const char *code, const struct err *err);

/* Appends `{"id":n,"ok":true`; the caller adds fields and the closing brace. */
int reply_begin(struct str *out, long long id);
