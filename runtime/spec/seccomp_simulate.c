/* The kernel's own checker of such programs lets only these instructions in (kernel/seccomp.c), so no other is known.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <string.h>

#include "spec/seccomp.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "the architecture's audit number is not known here"
#endif

struct machine {
  uint32_t a, x, memory[BPF_MEMWORDS];
};

static bool compare(uint16_t code, uint32_t a, uint32_t with) {
  switch (BPF_OP(code)) {
  case BPF_JEQ:
    return a == with;
  case BPF_JGT:
    return a > with;
  case BPF_JGE:
    return a >= with;
  default:
    return (a & with) != 0;
  }
}

/* false: an instruction that is not known. */
static bool calculate(struct machine *m, uint16_t code, uint32_t with) {
  switch (BPF_OP(code)) {
  case BPF_ADD:
    m->a += with;
    return true;
  case BPF_SUB:
    m->a -= with;
    return true;
  case BPF_MUL:
    m->a *= with;
    return true;
  case BPF_DIV:
    m->a = with == 0 ? 0 : m->a / with;
    return with != 0;
  case BPF_AND:
    m->a &= with;
    return true;
  case BPF_OR:
    m->a |= with;
    return true;
  case BPF_XOR:
    m->a ^= with;
    return true;
  case BPF_LSH:
    m->a = with > 31 ? 0 : m->a << with;
    return true;
  case BPF_RSH:
    m->a = with > 31 ? 0 : m->a >> with;
    return true;
  case BPF_NEG:
    m->a = 0U - m->a;
    return true;
  default:
    return false;
  }
}

static bool load(struct machine *m, const struct sock_filter *at, const struct seccomp_data *data) {
  uint32_t value = at->k;
  switch (BPF_MODE(at->code)) {
  case BPF_IMM:
    break;
  case BPF_LEN:
    value = sizeof(*data);
    break;
  case BPF_MEM:
    if (at->k >= BPF_MEMWORDS) {
      return false;
    }
    value = m->memory[at->k];
    break;
  case BPF_ABS:
    if (at->k > sizeof(*data) - sizeof(value) || BPF_CLASS(at->code) == BPF_LDX) {
      return false;
    }
    memcpy(&value, (const char *)data + at->k, sizeof(value));
    break;
  default:
    return false;
  }
  *(BPF_CLASS(at->code) == BPF_LD ? &m->a : &m->x) = value;
  return true;
}

/* Jumps only go forward, so it ends. */
uint32_t seccomp_decide(const struct seccomp_program *program, const struct seccomp_data *data) {
  struct machine m;
  memset(&m, 0, sizeof(m));
  for (size_t i = 0; i < program->count; i++) {
    const struct sock_filter *at = &program->filters[i];
    uint32_t with = BPF_SRC(at->code) == BPF_X ? m.x : at->k;
    bool known = true;
    switch (BPF_CLASS(at->code)) {
    case BPF_LD:
    case BPF_LDX:
      known = load(&m, at, data);
      break;
    case BPF_ST:
    case BPF_STX:
      known = at->k < BPF_MEMWORDS;
      m.memory[known ? at->k : 0] = BPF_CLASS(at->code) == BPF_ST ? m.a : m.x;
      break;
    case BPF_ALU:
      known = calculate(&m, at->code, with);
      break;
    case BPF_JMP:
      i += BPF_OP(at->code) == BPF_JA ? at->k : compare(at->code, m.a, with) ? at->jt : at->jf;
      break;
    case BPF_RET:
      return BPF_RVAL(at->code) == BPF_A ? m.a : at->k;
    default: /* BPF_MISC */
      *(BPF_MISCOP(at->code) == BPF_TAX ? &m.x : &m.a) = BPF_MISCOP(at->code) == BPF_TAX ? m.a : m.x;
    }
    if (!known) {
      break;
    }
  }
  return SECCOMP_RET_KILL_PROCESS;
}

bool seccomp_allows(const struct seccomp_program *program, const struct seccomp_call *call) {
  struct seccomp_data data = {.nr = call->number, .arch = NATIVE_ARCH};
  for (size_t i = 0; i < 6; i++) {
    data.args[i] = call->args[i];
  }
  uint32_t action = seccomp_decide(program, &data) & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}
