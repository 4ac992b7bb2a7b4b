#include "base/reply.h"

#include <errno.h>

#include "base/json.h"

static const struct {
  int code;
  const char *kind;
} kinds[] = {
    {EINVAL, "invalid"},     {ERANGE, "invalid"},    {ENAMETOOLONG, "invalid"}, {EADDRNOTAVAIL, "invalid"},
    {EBADMSG, "invalid"},    {ENOENT, "not-found"},  {ESRCH, "not-found"},      {ENODEV, "not-found"},
    {EEXIST, "conflict"},    {EALREADY, "conflict"}, {EADDRINUSE, "in-use"},    {EBUSY, "in-use"},
    {EPERM, "denied"},       {EACCES, "denied"},     {EROFS, "denied"},         {EOPNOTSUPP, "unsupported"},
    {ENOSYS, "unsupported"}, {ENOMEM, "exhausted"},  {EMFILE, "exhausted"},     {ENFILE, "exhausted"},
    {ENOSPC, "exhausted"},   {EFBIG, "exhausted"},   {EXFULL, "exhausted"},     {EAGAIN, "exhausted"},
    {E2BIG, "exhausted"},    {ETIMEDOUT, "timeout"}, {EPIPE, "unavailable"},    {ECONNRESET, "unavailable"},
};

const char *reply_code(int code) {
  for (size_t i = 0; i < array_length(kinds); i++) {
    if (kinds[i].code == code || kinds[i].code == -code) {
      return kinds[i].kind;
    }
  }
  return "failed";
}

static int add_id(struct str *out, long long id) {
  return id < 0 ? str_add(out, "{") : str_addf(out, "{\"id\":%lld,", id);
}

int reply_error(struct str *out, long long id, const char *code, const struct err *err) {
  if (add_id(out, id) < 0 ||
      str_addf(out, "\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":",
               code == NULL ? reply_code(err->code) : code) < 0 ||
      json_add_quoted(out, err->text) < 0) {
    return -ENOMEM;
  }
  return str_add(out, "}}");
}

int reply_begin(struct str *out, long long id) {
  return add_id(out, id) < 0 ? -ENOMEM : str_add(out, "\"ok\":true");
}
