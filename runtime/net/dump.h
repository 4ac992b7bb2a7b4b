/* net/dump: what a network namespace has, as JSON. */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

/* Adds links (unless `links` is false), addresses and routes, but those of the interfaces named in `without`. */
int dump_network(int nl, const struct json *request, struct str *out, struct err *err);
