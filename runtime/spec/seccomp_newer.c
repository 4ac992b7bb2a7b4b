/*
 * Instructions in front of libseccomp's program, one block per architecture of the profile:
 *
 *   other architecture or out of its range: next block
 *   below the first number that matters: libseccomp's program
 *   each call with rules that the library does not know: its rules, the first that fits decides
 *   above all the profile names (only where the default is an errno): ENOSYS, so that a C library falls back
 *   libseccomp's program
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "spec/seccomp_profile.h"
#include "spec/syscall_table.h"

#define X32_BIT 0x40000000U
/* Jumps whose distance is not known yet. */
#define TO_END 0xffffffffU
#define TO_NEXT 0xfffffffeU
#define TO_MISS 255

struct block {
  const struct seccomp_profile *profile;
  uint32_t architecture;
  uint32_t audit;
  uint32_t lowest, highest; /* numbers of this architecture */
  int64_t largest;          /* the profile names; -1: none */
  struct str *out;
  bool failed;
};

static size_t position(const struct block *block) {
  return block->out->size / sizeof(struct sock_filter);
}

static struct sock_filter *at(const struct block *block, size_t index) {
  return (struct sock_filter *)block->out->data + index;
}

static void emit(struct block *block, unsigned code, uint32_t k, unsigned yes, unsigned no) {
  struct sock_filter filter = {(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
  block->failed = block->failed || str_append(block->out, &filter, sizeof(filter)) < 0;
}

static void emit_load(struct block *block, size_t offset) {
  emit(block, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_test(struct block *block, unsigned test, uint32_t k, unsigned yes, unsigned no) {
  emit(block, BPF_JMP | test | BPF_K, k, yes, no);
}

static void emit_jump(struct block *block, uint32_t where) {
  emit(block, BPF_JMP | BPF_JA, where, 0, 0);
}

static size_t word_offset(unsigned argument, bool high) {
  bool second = high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + (second ? sizeof(uint32_t) : 0);
}

/* Falls through when the argument fits, goes to the rule's end when not. */
static void emit_condition(struct block *block, const struct scmp_arg_cmp *condition) {
  uint64_t value = condition->op == SCMP_CMP_MASKED_EQ ? condition->datum_b & condition->datum_a : condition->datum_a;
  /* Arguments of a 32 bit architecture have no high word. */
  uint32_t high = (block->architecture & __AUDIT_ARCH_64BIT) != 0 ? (uint32_t)(value >> 32) : 0, low = (uint32_t)value;
  size_t high_at = word_offset(condition->arg, true), low_at = word_offset(condition->arg, false);
  emit_load(block, high_at);
  if (condition->op == SCMP_CMP_MASKED_EQ) {
    emit(block, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(condition->datum_a >> 32), 0, 0);
    emit_test(block, BPF_JEQ, high, 0, TO_MISS);
    emit_load(block, low_at);
    emit(block, BPF_ALU | BPF_AND | BPF_K, (uint32_t)condition->datum_a, 0, 0);
    emit_test(block, BPF_JEQ, low, 0, TO_MISS);
    return;
  }
  bool equal = condition->op == SCMP_CMP_EQ || condition->op == SCMP_CMP_NE;
  if (equal) {
    bool wanted = condition->op == SCMP_CMP_EQ;
    emit_test(block, BPF_JEQ, high, 0, wanted ? TO_MISS : 2);
    emit_load(block, low_at);
    emit_test(block, BPF_JEQ, low, wanted ? 0 : TO_MISS, wanted ? TO_MISS : 0);
    return;
  }
  /* The high words decide unless they are equal. */
  bool greater = condition->op == SCMP_CMP_GT || condition->op == SCMP_CMP_GE;
  bool at_least = condition->op == SCMP_CMP_GE || condition->op == SCMP_CMP_LT;
  emit_test(block, BPF_JGT, high, greater ? 3 : TO_MISS, 0);
  emit_test(block, BPF_JEQ, high, 0, greater ? TO_MISS : 2);
  emit_load(block, low_at);
  emit_test(block, at_least ? BPF_JGE : BPF_JGT, low, greater ? 0 : TO_MISS, greater ? TO_MISS : 0);
}

/* Resolves jumps between `from` and here: those to `mark`, and a condition's misses. */
static void settle(struct block *block, size_t from, uint32_t mark) {
  size_t here = position(block);
  for (size_t i = from; !block->failed && i < here; i++) {
    struct sock_filter *filter = at(block, i);
    if (filter->code == (BPF_JMP | BPF_JA)) {
      filter->k = filter->k == mark ? (uint32_t)(here - i - 1) : filter->k;
    } else if (BPF_CLASS(filter->code) == BPF_JMP) {
      filter->jt = filter->jt == TO_MISS ? (uint8_t)(here - i - 1) : filter->jt;
      filter->jf = filter->jf == TO_MISS ? (uint8_t)(here - i - 1) : filter->jf;
    }
  }
}

static void emit_alternative(struct block *block, uint32_t action, const struct scmp_arg_cmp *args, size_t count) {
  size_t start = position(block);
  for (size_t i = 0; i < count; i++) {
    emit_condition(block, &args[i]);
  }
  emit(block, BPF_RET | BPF_K, action, 0, 0);
  settle(block, start, 0);
}

static void emit_rule(struct block *block, const struct seccomp_rule *rule) {
  bool repeated = false;
  for (size_t i = 0; i < rule->arg_count; i++) {
    for (size_t k = 0; k < i; k++) {
      repeated = repeated || rule->args[i].arg == rule->args[k].arg;
    }
  }
  if (!repeated) {
    emit_alternative(block, rule->action, rule->args, rule->arg_count);
    return;
  }
  for (size_t i = 0; i < rule->arg_count; i++) {
    emit_alternative(block, rule->action, &rule->args[i], 1);
  }
}

static bool names(const struct seccomp_rule *rule, const char *name) {
  for (size_t i = 0; i < rule->names.count; i++) {
    if (strcmp(rule->names.items[i], name) == 0) {
      return true;
    }
  }
  return false;
}

/* One that holds always wins over those that look at arguments; among these, the first that fits. */
static void emit_call(struct block *block, uint32_t number, const char *name) {
  const struct seccomp_profile *profile = block->profile;
  const struct seccomp_rule *plain = NULL;
  for (size_t i = 0; i < profile->rule_count; i++) {
    const struct seccomp_rule *rule = &profile->rules[i];
    if (rule->arg_count == 0 && names(rule, name) && (plain == NULL || plain->action == profile->default_action)) {
      plain = rule;
    }
  }
  size_t start = position(block);
  emit_test(block, BPF_JEQ, number, 1, 0);
  emit_jump(block, TO_NEXT);
  if (plain != NULL) {
    emit_rule(block, plain);
  }
  for (size_t i = 0; plain == NULL && i < profile->rule_count; i++) {
    if (names(&profile->rules[i], name)) {
      emit_rule(block, &profile->rules[i]);
    }
  }
  if (plain == NULL) {
    emit(block, BPF_RET | BPF_K, profile->default_action, 0, 0);
  }
  settle(block, start, TO_NEXT);
}

/* The library's number of a call here, or the table's; *ret_ours: only the table has it. -1: not a call here. */
static int64_t number_of(const struct block *block, const char *name, bool *ret_ours) {
  int known = seccomp_syscall_resolve_name_arch(block->architecture, name);
  int64_t number = known >= 0 ? known : syscall_number(block->architecture, name);
  *ret_ours = known < 0 && number >= 0;
  return number;
}

/* Emits every call of the profile that only the table has; the table's order keeps them from being made twice. */
static void emit_calls(struct block *block) {
  const struct seccomp_profile *profile = block->profile;
  unsigned plain_number = 0;
  const char *name = NULL;
  for (size_t i = 0; (name = syscall_entry(i, &plain_number)) != NULL; i++) {
    bool ours = false, named = false;
    int64_t number = number_of(block, name, &ours);
    for (size_t k = 0; ours && !named && k < profile->rule_count; k++) {
      named = names(&profile->rules[k], name);
    }
    if (named) {
      emit_call(block, (uint32_t)number, name);
    }
  }
}

/* Where the numbers begin that concern this block, and where the profile's end. False: none do. */
static bool find_range(struct block *block, bool stub, int64_t *ret_first) {
  const struct seccomp_profile *profile = block->profile;
  int64_t first = INT64_MAX;
  block->largest = -1;
  for (size_t i = 0; i < profile->rule_count; i++) {
    for (size_t k = 0; k < profile->rules[i].names.count; k++) {
      bool ours = false;
      int64_t number = number_of(block, profile->rules[i].names.items[k], &ours);
      block->largest = number > block->largest ? number : block->largest;
      first = ours && number < first ? number : first;
    }
  }
  if (stub && block->largest >= 0 && block->largest < first) {
    first = block->largest + 1;
  }
  *ret_first = first;
  return first != INT64_MAX;
}

static void emit_block(struct block *block, bool stub) {
  int64_t first = 0;
  if (!find_range(block, stub, &first)) {
    return;
  }
  size_t start = position(block);
  emit_load(block, offsetof(struct seccomp_data, arch));
  emit_test(block, BPF_JEQ, block->audit, 1, 0);
  emit_jump(block, TO_NEXT);
  emit_load(block, offsetof(struct seccomp_data, nr));
  if (block->lowest > 0) {
    emit_test(block, BPF_JGE, block->lowest, 1, 0);
    emit_jump(block, TO_NEXT);
  }
  if (block->highest < UINT32_MAX) {
    emit_test(block, BPF_JGT, block->highest, 0, 1);
    emit_jump(block, TO_NEXT);
  }
  emit_test(block, BPF_JGE, (uint32_t)first, 1, 0);
  emit_jump(block, TO_END);
  emit_calls(block);
  if (stub && block->largest >= 0) {
    emit_test(block, BPF_JGT, (uint32_t)block->largest, 0, 1);
    emit(block, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
  }
  emit_jump(block, TO_END);
  /* The rules' own jumps are settled: what is left to "next" is this block's. */
  settle(block, start, TO_NEXT);
}

int seccomp_compile_newer(const struct seccomp_profile *profile, struct str *ret_filters, struct err *err) {
  uint32_t action = profile->default_action;
  bool stub = (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && (action & SECCOMP_RET_DATA) != ENOSYS;
  for (size_t i = 0; i < profile->architecture_count; i++) {
    uint32_t architecture = profile->architectures[i];
    struct block block = {.profile = profile,
                          .architecture = architecture,
                          .audit = architecture,
                          .highest = UINT32_MAX,
                          .out = ret_filters};
    /* The kernel says x86_64 for both; a bit in the number tells. */
    if (architecture == SCMP_ARCH_X86_64) {
      block.highest = X32_BIT - 1;
    } else if (architecture == SCMP_ARCH_X32) {
      block.audit = SCMP_ARCH_X86_64;
      block.lowest = X32_BIT;
    }
    emit_block(&block, stub);
    if (block.failed) {
      return err_oom(err);
    }
  }
  struct block whole = {.profile = profile, .out = ret_filters};
  settle(&whole, 0, TO_END);
  return 0;
}
