/*
 * Calls without which nothing is done: there is no second, weaker way past a path of the container, a mount or a
 * process id. When one failed with ENOSYS, this says which.
 */
#pragma once

/* "openat2 (Linux 5.6)"; NULL when none is missing. */
const char *needed_missing(void);
