/* net/bridge: what hangs on a bridge. */
#pragma once

#include "base/err.h"

/* Removes the links on the bridge whose names begin with `ends`. */
int bridge_remove_ends(int nl, int bridge, const char *ends, struct err *err);
