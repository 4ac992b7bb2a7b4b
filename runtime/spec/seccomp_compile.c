#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "spec/seccomp_profile.h"
#include "spec/syscall_table.h"

static int add_rule(scmp_filter_ctx filter, const struct seccomp_rule *rule, int number) {
  bool repeated = false;
  for (size_t i = 0; i < rule->arg_count; i++) {
    for (size_t k = 0; k < i; k++) {
      repeated = repeated || rule->args[i].arg == rule->args[k].arg;
    }
  }
  /* libseccomp takes one comparison per argument: two on the same one mean "either", as in the other runtimes. */
  if (!repeated) {
    return seccomp_rule_add_array(filter, rule->action, number, (unsigned)rule->arg_count, rule->args);
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < rule->arg_count; i++) {
    r = seccomp_rule_add_array(filter, rule->action, number, 1, &rule->args[i]);
  }
  return r;
}

static bool in_table(const struct seccomp_profile *profile, const char *name) {
  for (size_t i = 0; i < profile->architecture_count; i++) {
    if (syscall_number(profile->architectures[i], name) >= 0) {
      return true;
    }
  }
  return false;
}

static int add_names(scmp_filter_ctx filter, const struct seccomp_profile *profile, const struct seccomp_rule *rule,
                     struct str *skipped, struct err *err) {
  for (size_t i = 0; i < rule->names.count; i++) {
    const char *name = rule->names.items[i];
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      /* Either the table of newer calls has it, or it cannot be made by name and the default action meets it. */
      if (skipped != NULL && !in_table(profile, name) && str_addf(skipped, " %s", name) < 0) {
        return err_oom(err);
      }
      continue;
    }
    int r = add_rule(filter, rule, number);
    if (r < 0 && r != -EEXIST) {
      return err_code(err, r, "%s: rule for %s", rule->source.path, name);
    }
  }
  return 0;
}

static int read_back(scmp_filter_ctx filter, struct str *out, struct err *err) {
  cleanup_close int file = memfd_create("seccomp", MFD_CLOEXEC);
  if (file < 0) {
    return err_errno(err, "cannot make a memory file");
  }
  int r = seccomp_export_bpf(filter, file);
  struct stat at;
  if (r < 0 || fstat(file, &at) < 0) {
    return err_code(err, r < 0 ? r : errno, "cannot export the seccomp program");
  }
  cleanup_free char *filters = malloc((size_t)at.st_size + 1);
  if (filters == NULL || lseek(file, 0, SEEK_SET) < 0) {
    return err_oom(err);
  }
  r = fd_read_exact(file, filters, (size_t)at.st_size, err);
  if (r < 0) {
    return r;
  }
  return str_append(out, filters, (size_t)at.st_size) < 0 ? err_oom(err) : 0;
}

static int fill(scmp_filter_ctx filter, const struct seccomp_profile *profile, struct str *skipped, struct err *err) {
  /* A tree over the numbers: calls at the end of a long list do not wait for every comparison. */
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  /* Calls of architectures the profile does not name kill the caller: the library's default. */
  for (size_t i = 0; i < profile->architecture_count; i++) {
    int r = seccomp_arch_add(filter, profile->architectures[i]);
    if (r < 0 && r != -EEXIST) {
      return err_code(err, r, "seccomp: architecture %s",
                      r == -EDOM ? "of another byte order than this machine's" : "of the profile");
    }
  }
  for (size_t i = 0; i < profile->rule_count; i++) {
    if (profile->rules[i].action == profile->default_action) {
      continue; /* Says nothing new, and the library refuses it. */
    }
    int r = add_names(filter, profile, &profile->rules[i], skipped, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int compile(const struct seccomp_profile *profile, struct str *out, struct str *skipped, struct err *err) {
  int r = seccomp_compile_newer(profile, out, err);
  if (r < 0) {
    return r;
  }
  scmp_filter_ctx filter = seccomp_init(profile->default_action);
  if (filter == NULL) {
    return err_set(err, EINVAL, "seccomp.defaultAction: libseccomp or this kernel does not know it");
  }
  r = fill(filter, profile, skipped, err);
  r = r < 0 ? r : read_back(filter, out, err);
  seccomp_release(filter);
  if (r == 0 && (out->size == 0 || out->size / sizeof(struct sock_filter) > BPF_MAXINSNS)) {
    return err_set(err, E2BIG, "the seccomp program has %zu bytes", out->size);
  }
  return r;
}

int seccomp_compile(const struct json *source, struct seccomp_program *ret_program, struct str *skipped,
                    struct err *err) {
  struct arena arena = {NULL};
  struct seccomp_profile profile;
  cleanup_str struct str filters = STR_INIT;
  int r = seccomp_read_profile(&arena, source, &profile, err);
  r = r < 0 ? r : compile(&profile, &filters, skipped, err);
  arena_free(&arena);
  if (r < 0) {
    return r;
  }
  *ret_program = (struct seccomp_program){NULL, filters.size / sizeof(struct sock_filter), profile.flags};
  ret_program->filters = (struct sock_filter *)take_ptr(filters.data);
  return 0;
}

void seccomp_library_version(char *buffer, size_t capacity) {
  const struct scmp_version *version = seccomp_version();
  snprintf(buffer, capacity, "%u.%u.%u", version->major, version->minor, version->micro);
}

const char *seccomp_table_version(void) {
  return SYSCALL_TABLE_VERSION;
}
