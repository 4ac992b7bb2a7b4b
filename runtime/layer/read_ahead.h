/* Bytes made by a second thread while the first one works on those before: unpacking and writing at the same time. */
#pragma once

#include "base/err.h"
#include "layer/tar_read.h"

struct read_ahead;

/* `produce` is called in the new thread from now on. */
int read_ahead_start(tar_read_fn produce, void *context, struct read_ahead **ret_ahead, struct err *err);

/* As `produce`: the failure comes after all bytes before it. */
int read_ahead_next(struct read_ahead *ahead, const void **ret_data, size_t *ret_size, struct err *err);

/* Waits for the thread, which ends at its next call of `produce` or when that returns: the caller makes it return. */
void read_ahead_stop(struct read_ahead *ahead);
