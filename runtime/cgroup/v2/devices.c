#include "cgroup/v2/devices.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/syscalls.h"

/* Registers: r2 type, r3 access, r4 major, r5 minor, r1 scratch. */
static struct bpf_insn load(int to, size_t offset) {
  return (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 15, .src_reg = 1, .off = (short)offset};
}

static struct bpf_insn op(int code, int to, int from, int value) {
  return (struct bpf_insn){.code = (unsigned char)code, .dst_reg = to & 15, .src_reg = from & 15, .imm = value};
}

static struct bpf_insn jump(int code, int reg, int value, int skip) {
  return (struct bpf_insn){
      .code = (unsigned char)(BPF_JMP | code | BPF_K), .dst_reg = reg & 15, .off = (short)skip, .imm = value};
}

/* One rule: a chain of tests that skip to its end, then "return allow". */
static size_t compile_rule(const struct plan_device_rule *rule, struct bpf_insn *out) {
  size_t n = 0;
  int access = (rule->read ? BPF_DEVCG_ACC_READ : 0) | (rule->write ? BPF_DEVCG_ACC_WRITE : 0) |
               (rule->make ? BPF_DEVCG_ACC_MKNOD : 0);
  bool every_access = access == (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD);
  if (rule->type != 'a') {
    out[n++] = jump(BPF_JNE, 2, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 0);
    if (!every_access && rule->allow) {
      /* Allowed only when nothing but what the rule gives is asked. */
      out[n++] = op(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0);
      out[n++] = op(BPF_ALU | BPF_AND | BPF_K, 1, 0, ~access & 7);
      out[n++] = jump(BPF_JNE, 1, 0, 0);
    } else if (!every_access) {
      /* Denied when any of it is asked. */
      out[n++] = op(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0);
      out[n++] = op(BPF_ALU | BPF_AND | BPF_K, 1, 0, access);
      out[n++] = jump(BPF_JEQ, 1, 0, 0);
    }
    if (rule->major >= 0) {
      out[n++] = jump(BPF_JNE, 4, (int)rule->major, 0);
    }
    if (rule->minor >= 0) {
      out[n++] = jump(BPF_JNE, 5, (int)rule->minor, 0);
    }
  }
  size_t end = n + 2;
  for (size_t i = 0; i < n; i++) {
    if ((out[i].code & 7) == BPF_JMP) {
      out[i].off = (short)(end - i - 1);
    }
  }
  out[n++] = op(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, rule->allow ? 1 : 0);
  out[n++] = op(BPF_JMP | BPF_EXIT, 0, 0, 0);
  return n;
}

int cgroup_v2_devices_compile(const struct plan_resources *resources, struct bpf_insn *program, size_t capacity) {
  size_t n = 0;
  program[n++] = load(2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
  program[n++] = op(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0xffff);
  program[n++] = load(3, offsetof(struct bpf_cgroup_dev_ctx, access_type));
  program[n++] = op(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 16);
  program[n++] = load(4, offsetof(struct bpf_cgroup_dev_ctx, major));
  program[n++] = load(5, offsetof(struct bpf_cgroup_dev_ctx, minor));
  for (size_t i = resources->device_count; i > 0; i--) {
    if (n + 12 > capacity) {
      return -E2BIG;
    }
    n += compile_rule(&resources->devices[i - 1], program + n);
    if (resources->devices[i - 1].type == 'a') {
      return (int)n; /* Everything matched: what came before cannot be reached, and the verifier refuses dead code. */
    }
  }
  program[n++] = op(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0);
  program[n++] = op(BPF_JMP | BPF_EXIT, 0, 0, 0);
  return (int)n;
}

int cgroup_v2_devices_apply(int fd, const struct plan_resources *resources, struct err *err) {
  if (resources->device_count == 0) {
    return 0;
  }
  struct bpf_insn program[DEVICE_PROGRAM_MAX];
  int length = cgroup_v2_devices_compile(resources, program, DEVICE_PROGRAM_MAX - 2);
  if (length < 0) {
    return err_code(err, length, "linux.resources.devices: too many rules");
  }
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = (uint64_t)(uintptr_t)program;
  attr.insn_cnt = (uint32_t)length;
  attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
  cleanup_close int loaded = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
  if (loaded < 0) {
    return err_errno(err, "cannot load the device program");
  }
  memset(&attr, 0, sizeof(attr));
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.target_fd = (uint32_t)fd;
  attr.attach_bpf_fd = (uint32_t)loaded;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (sys_bpf(BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0) {
    return err_errno(err, "cannot attach the device program");
  }
  return 0;
}
