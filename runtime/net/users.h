/*
 * net/users: a user namespace and a network namespace that belongs to it, made as a pair for a sandbox. Containers join
 * both by path.
 */
#pragma once

struct err;
struct json;

/* The pair, held by descriptors alone. `maps` has uidMappings and gidMappings as in config.json. */
int users_make(const struct json *maps, int *ret_users, int *ret_netns, struct err *err);

/* The user namespace of a process when it is not the caller's own; else -1. */
int users_of(int pid, int *ret_users, struct err *err);
