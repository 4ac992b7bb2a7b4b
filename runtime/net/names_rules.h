/* net/names_rules: shows the name server's high ports as 127.0.0.11:53 inside the calling process's network namespace.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Ports in host byte order. Replaces the rules of an earlier call in one transaction; in a `fresh` namespace there are
 * none, and it is much faster. */
int names_rules_load(uint16_t udp_port, uint16_t tcp_port, bool fresh, struct err *err);
