/* names/confine: gives up everything the name server does not need. */
#pragma once

#include "base/err.h"

/* Nobody's ids, no capabilities, no new privileges, a short list of system calls. No way back. */
int confine(struct err *err);
