#include "spec/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const struct {
  const char *name;
  uint32_t action;
  bool takes_errno;
} actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
};

static const struct {
  const char *name;
  uint32_t arch;
} architectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

static const struct {
  const char *name;
  enum scmp_compare op;
} comparisons[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

static const struct {
  const char *name;
  unsigned flag;
} flags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* One thread: nothing to synchronise. */
};

static int read_action(const struct json *object, const char *key, const char *errno_key, uint32_t *ret_action,
                       struct err *err) {
  const char *name = NULL;
  long long number = EPERM;
  int r = json_need_string(object, key, &name, err);
  if (r < 0 || (r = json_long_at(object, errno_key, 0, 65535, &number, err)) < 0) {
    return r;
  }
  for (size_t i = 0; i < array_length(actions); i++) {
    if (strcmp(actions[i].name, name) == 0) {
      if (r > 0 && !actions[i].takes_errno) {
        return err_set(err, EINVAL, "%s.%s: %s takes no number", object->path, errno_key, name);
      }
      *ret_action = actions[i].takes_errno ? actions[i].action | (uint32_t)number : actions[i].action;
      return 0;
    }
  }
  return err_set(err, ENOTSUP, "%s.%s: action %s is not supported", object->path, key, name);
}

int seccomp_read_flags(const struct json *profile, unsigned *ret_flags, struct err *err) {
  struct json array;
  size_t count = 0;
  unsigned result = 0;
  const char *listener = "";
  if (json_string_at(profile, "listenerPath", &listener, err) < 0) {
    return -EINVAL;
  }
  if (listener[0] != '\0') {
    return err_set(err, ENOTSUP, "%s.listenerPath is not supported", profile->path);
  }
  int r = json_array_at(profile, "flags", &array, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    const char *name = NULL;
    json_item(&array, i, &item);
    r = json_as_string(&item, &name, err);
    size_t at = 0;
    while (r >= 0 && at < array_length(flags) && strcmp(flags[at].name, name) != 0) {
      at++;
    }
    if (r >= 0 && at == array_length(flags)) {
      return err_set(err, ENOTSUP, "%s: flag %s is not supported", item.path, name);
    }
    result |= r >= 0 ? flags[at].flag : 0;
  }
  *ret_flags = result;
  return r < 0 ? r : 0;
}

static int add_architectures(scmp_filter_ctx filter, const struct json *profile, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(profile, "architectures", &array, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    const char *name = NULL;
    json_item(&array, i, &item);
    r = json_as_string(&item, &name, err);
    size_t at = 0;
    while (r >= 0 && at < array_length(architectures) && strcmp(architectures[at].name, name) != 0) {
      at++;
    }
    if (r < 0 || at == array_length(architectures)) {
      return r < 0 ? r : err_set(err, EINVAL, "%s: unknown architecture %s", item.path, name);
    }
    int added = seccomp_arch_add(filter, architectures[at].arch);
    if (added < 0 && added != -EEXIST) {
      return err_code(err, added, "%s: %s", item.path, name);
    }
  }
  return r < 0 ? r : 0;
}

static int read_condition(const struct json *item, struct scmp_arg_cmp *condition, struct err *err) {
  long long index = 0;
  const char *op = NULL;
  uint64_t value = 0, second = 0;
  if (json_need_long(item, "index", 0, 5, &index, err) < 0 || json_u64_at(item, "value", &value, err) < 0 ||
      json_u64_at(item, "valueTwo", &second, err) < 0 || json_need_string(item, "op", &op, err) < 0) {
    return -EINVAL;
  }
  for (size_t i = 0; i < array_length(comparisons); i++) {
    if (strcmp(comparisons[i].name, op) == 0) {
      *condition = (struct scmp_arg_cmp){(unsigned)index, comparisons[i].op, value, second};
      return 0;
    }
  }
  return err_set(err, EINVAL, "%s.op: unknown comparison %s", item->path, op);
}

static int add_rule(scmp_filter_ctx filter, uint32_t action, int number, const struct scmp_arg_cmp *conditions,
                    size_t count) {
  bool repeated = false;
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < i; k++) {
      repeated = repeated || conditions[i].arg == conditions[k].arg;
    }
  }
  /* libseccomp takes one comparison per argument: two on the same one mean "either", as in the other runtimes. */
  if (!repeated) {
    return seccomp_rule_add_array(filter, action, number, (unsigned)count, conditions);
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < count; i++) {
    r = seccomp_rule_add_array(filter, action, number, 1, &conditions[i]);
  }
  return r;
}

static int add_entry(scmp_filter_ctx filter, uint32_t default_action, const struct json *entry, struct err *err) {
  uint32_t action = 0;
  struct json names, args;
  size_t name_count = 0, arg_count = 0;
  struct scmp_arg_cmp conditions[32];
  int r = read_action(entry, "action", "errnoRet", &action, err);
  if (r < 0 || (r = json_array_at(entry, "names", &names, &name_count, err)) < 0 ||
      (r = json_array_at(entry, "args", &args, &arg_count, err)) < 0) {
    return r;
  }
  if (arg_count > array_length(conditions)) {
    return err_set(err, E2BIG, "%s: too many comparisons", args.path);
  }
  for (size_t i = 0; i < arg_count; i++) {
    struct json item;
    json_item(&args, i, &item);
    r = read_condition(&item, &conditions[i], err);
    if (r < 0) {
      return r;
    }
  }
  if (action == default_action) {
    return 0; /* Says nothing new, and the library refuses it. */
  }
  for (size_t i = 0; i < name_count; i++) {
    struct json item;
    const char *name = NULL;
    json_item(&names, i, &item);
    r = json_as_string(&item, &name, err);
    if (r < 0) {
      return r;
    }
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      continue; /* A call this library does not know cannot be made by name; the default action meets it. */
    }
    r = add_rule(filter, action, number, conditions, arg_count);
    if (r < 0) {
      return err_code(err, r, "%s: rule for %s", entry->path, name);
    }
  }
  return 0;
}

static int export_program(scmp_filter_ctx filter, struct seccomp_program *program, struct err *err) {
  cleanup_close int file = memfd_create("seccomp", MFD_CLOEXEC);
  if (file < 0) {
    return err_errno(err, "cannot make a memory file");
  }
  int r = seccomp_export_bpf(filter, file);
  struct stat at;
  if (r < 0 || fstat(file, &at) < 0) {
    return err_code(err, r < 0 ? r : errno, "cannot export the seccomp program");
  }
  size_t size = (size_t)at.st_size;
  if (size == 0 || size % sizeof(struct sock_filter) != 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS) {
    return err_set(err, E2BIG, "the seccomp program has %zu bytes", size);
  }
  struct sock_filter *filters = malloc(size);
  if (filters == NULL || lseek(file, 0, SEEK_SET) < 0 || fd_read_exact(file, filters, size, err) < 0) {
    free(filters);
    return err_set(err, ENOMEM, "cannot read back the seccomp program");
  }
  program->filters = filters;
  program->count = size / sizeof(struct sock_filter);
  return 0;
}

static int fill(scmp_filter_ctx filter, uint32_t default_action, const struct json *profile, struct err *err) {
  /* A tree over the numbers: calls at the end of a long list do not wait for every comparison. */
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  /* Calls of architectures the profile does not name kill the caller: the library's default. */
  int r = add_architectures(filter, profile, err);
  struct json entries;
  size_t count = 0;
  if (r < 0 || (r = json_array_at(profile, "syscalls", &entries, &count, err)) < 0) {
    return r;
  }
  for (size_t i = 0; i < count; i++) {
    struct json entry;
    json_item(&entries, i, &entry);
    r = add_entry(filter, default_action, &entry, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int seccomp_compile(const struct json *profile, struct seccomp_program *ret_program, struct err *err) {
  struct seccomp_program program = {NULL, 0, 0};
  uint32_t default_action = 0;
  int r = seccomp_read_flags(profile, &program.flags, err);
  if (r < 0 || (r = read_action(profile, "defaultAction", "defaultErrnoRet", &default_action, err)) < 0) {
    return r;
  }
  scmp_filter_ctx filter = seccomp_init(default_action);
  if (filter == NULL) {
    return err_set(err, EINVAL, "%s.defaultAction: libseccomp refuses it", profile->path);
  }
  r = fill(filter, default_action, profile, err);
  r = r < 0 ? r : export_program(filter, &program, err);
  seccomp_release(filter);
  if (r < 0) {
    return r;
  }
  *ret_program = program;
  return 0;
}

void seccomp_library_version(char *buffer, size_t capacity) {
  const struct scmp_version *version = seccomp_version();
  snprintf(buffer, capacity, "%u.%u.%u", version->major, version->minor, version->micro);
}
