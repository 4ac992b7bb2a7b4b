/* Figures of single controllers as members of the JSON object of `events`. Within cgroup/ only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* A file of one number or "max"; `otherwise` when it is missing. */
uint64_t stats_number(int fd, const char *file, uint64_t otherwise);

/* The number after "key " in a file of such lines. */
uint64_t stats_key(int fd, const char *file, const char *key, uint64_t otherwise);

/* Each adds one member ("memory":{…}) for the group open at `fd`. 0 or -ENOMEM. */
int stats_cpu(int fd, bool v2, int accounting_fd, struct str *out);
int stats_cpuset(int fd, bool v2, struct str *out);
int stats_memory_v1(int fd, struct str *out);
int stats_memory_v2(int fd, struct str *out);
int stats_pids(int fd, struct str *out);
int stats_block_io(int fd, bool v2, struct str *out);
int stats_hugetlb(int fd, bool v2, struct str *out);
