/*
 * Properties of the scope that config.json asks for: annotation `org.systemd.property.NAME` with a value in the text
 * form of GVariant, as other runtimes take it: true, 'text', 5, uint64 5, ['a', 'b'], @as []. A number whose name ends
 * with Sec is in seconds and becomes the property ending with USec, which is all that systemd has on the wire.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "cgroup/systemd/bus.h"

/* Puts each as (sv). What decides where the container is stays ours and is refused by name. */
int property_put_all(struct bus_body *body, const struct json *annotations, struct err *err);
