/*
 * What a long-lived process gives up once it has what it needs. No way back. Both kinds set no_new_privs, cannot be
 * dumped or traced by lesser processes, and map no memory as code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A server of the network: nobody's ids, no capabilities, as many descriptors as the hard limit gives, and these system
 * calls with those that memory, events and the end need. Anything else kills it. */
int confine_server(const int *allowed, size_t count, const char *name, struct err *err);

/* For a short-lived process: keeps what rights it has, but these calls with the same additions are all it can make. */
int confine_to(const int *allowed, size_t count, struct err *err);

/* Stays root, with these capabilities alone. Refused (EPERM): namespaces, mounts, tracing, modules, keys, bpf and the
 * like, programs, and, unless `children`, new processes. */
int confine_watcher(uint64_t capabilities, bool children, struct err *err);

/* The score of the out-of-memory killer: less likely to be chosen. Best effort, it needs CAP_SYS_RESOURCE. */
void confine_prefer_alive(void);
/* Undoes it in a process that serves only a container. Raising is always allowed. */
void confine_usual_score(void);
