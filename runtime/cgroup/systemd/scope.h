/*
 * --systemd-cgroup: the container's group is a transient scope that systemd makes and hands over (Delegate=yes). A
 * process of ours holds the scope until the container's first one is in it.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "cgroup/systemd/bus.h"
#include "spec/plan.h"

struct scope_name {
  char slice[160], unit[256];
};

/* "slice:prefix:name"; missing: the default slice and "tscompose-ID.scope". Pure. */
int scope_name_parse(const char *path, const char *id, bool user, struct scope_name *ret_name, struct err *err);

/* The manager that answers for us: of the machine for root, else of the user. */
int scope_connect(struct bus *ret_bus, struct err *err);

struct scope {
  char path[300]; /* of the group, in every hierarchy */
  pid_t holder;
};
struct scope_request {
  const char *description;
  const struct plan_resources *resources;
  const struct json *annotations; /* of config.json, for the properties they ask for; or NULL */
};
int scope_start(struct bus *bus, const struct scope_name *name, const struct scope_request *request,
                struct scope *ret_scope, struct err *err);
/* The holder may go. */
void scope_release(struct scope *scope);

/* The same limits for the unit, or systemd would set its own again when it reloads. */
int scope_update(struct bus *bus, const char *unit, const struct plan_resources *resources, struct err *err);

/* Stops what is left of it and forgets a failure; one that is gone is fine. */
int scope_stop(struct bus *bus, const char *unit, struct err *err);
