/* One function per verb of the command line; each prints its result. */
#pragma once

#include "base/err.h"
#include "layer/options.h"

int verb_apply(const struct options *options, struct err *err);
int verb_fixup(const struct options *options, struct err *err);
int verb_sync(const struct options *options, struct err *err);
int verb_diff(const struct options *options, struct err *err);
int verb_pack(const struct options *options, struct err *err);
int verb_copy(const struct options *options, struct err *err);
int verb_extract(const struct options *options, struct err *err);
int verb_archive(const struct options *options, struct err *err);
int verb_stat(const struct options *options, struct err *err);
