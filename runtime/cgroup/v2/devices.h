/* The device list of v2 is a program: rules become BPF instructions, attached to the group. */
#pragma once

#include <linux/bpf.h>

#include "spec/plan.h"

#define DEVICE_PROGRAM_MAX 1024

/* Pure: fills `program`, returns its length, -E2BIG. The last matching rule wins, so rules are tried backwards; no
 * match: denied. */
int cgroup_v2_devices_compile(const struct plan_resources *resources, struct bpf_insn *program, size_t capacity);

int cgroup_v2_devices_apply(int fd, const struct plan_resources *resources, struct err *err);
