#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "spec/seccomp_profile.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define MOST_ARGS 32
#define MOST_ERRNO 4095 /* the kernel's limit for an errno */

static const struct {
  const char *name;
  uint32_t action;
  int most; /* highest number it takes; 0: takes none */
} actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, 0},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), MOST_ERRNO},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, 0},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, 0},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, 0},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, 0},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, 0},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), 65535},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, 0},
};

static const struct {
  const char *name;
  uint32_t value;
} architectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
#ifdef SCMP_ARCH_LOONGARCH64
    {"SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64},
#endif
};

static const struct {
  const char *name;
  enum scmp_compare op;
} operators[] = {
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
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

const char *seccomp_action_name(size_t index) {
  return index < array_length(actions) ? actions[index].name : NULL;
}

const char *seccomp_operator_name(size_t index) {
  return index < array_length(operators) ? operators[index].name : NULL;
}

const char *seccomp_architecture_name(size_t index) {
  return index < array_length(architectures) ? architectures[index].name : NULL;
}

const char *seccomp_flag_name(size_t index) {
  return index < array_length(flags) ? flags[index].name : NULL;
}

unsigned seccomp_flag_value(size_t index) {
  return flags[index].flag;
}

static int read_action(const struct json *object, const char *key, const char *errno_key, uint32_t *ret_action,
                       struct err *err) {
  const char *name = NULL;
  long long number = EPERM;
  int r = json_need_string(object, key, &name, err);
  if (r < 0) {
    return r;
  }
  size_t at = 0;
  while (at < array_length(actions) && strcmp(actions[at].name, name) != 0) {
    at++;
  }
  if (at == array_length(actions)) {
    return err_set(err, ENOTSUP, "%s.%s: action %s is not supported", object->path, key, name);
  }
  int most = actions[at].most;
  r = json_long_at(object, errno_key, 0, most == 0 ? 65535 : most, &number, err);
  if (r > 0 && most == 0) {
    return err_set(err, EINVAL, "%s.%s: %s takes no number", object->path, errno_key, name);
  }
  if (r < 0) {
    return r;
  }
  *ret_action = most == 0 ? actions[at].action : actions[at].action | (uint32_t)number;
  return 0;
}

/* The machine's own architecture comes first, whether the profile names it or not. */
static int read_architectures(struct arena *arena, const struct json *source, struct seccomp_profile *profile,
                              struct err *err) {
  struct plan_text_list list = {NULL, 0};
  int r = plan_read_texts(arena, source, "architectures", &list, err);
  if (r < 0) {
    return r;
  }
  profile->architectures = arena_get(arena, (list.count + 1) * sizeof(uint32_t));
  if (profile->architectures == NULL) {
    return err_oom(err);
  }
  profile->architectures[profile->architecture_count++] = seccomp_arch_native();
  for (size_t i = 0; i < list.count; i++) {
    size_t at = 0;
    while (at < array_length(architectures) && strcmp(architectures[at].name, list.items[i]) != 0) {
      at++;
    }
    if (at == array_length(architectures)) {
      return err_set(err, EINVAL, "%s.architectures[%zu]: unknown architecture %s", source->path, i, list.items[i]);
    }
    bool known = false;
    for (size_t k = 0; k < profile->architecture_count; k++) {
      known = known || profile->architectures[k] == architectures[at].value;
    }
    if (!known) {
      profile->architectures[profile->architecture_count++] = architectures[at].value;
    }
  }
  return 0;
}

static int read_condition(const struct json *item, struct scmp_arg_cmp *condition, struct err *err) {
  long long index = 0;
  const char *op = NULL;
  uint64_t value = 0, second = 0;
  if (json_need_long(item, "index", 0, 5, &index, err) < 0 || json_u64_at(item, "value", &value, err) < 0 ||
      json_u64_at(item, "valueTwo", &second, err) < 0 || json_need_string(item, "op", &op, err) < 0) {
    return -EINVAL;
  }
  for (size_t i = 0; i < array_length(operators); i++) {
    if (strcmp(operators[i].name, op) == 0) {
      *condition = (struct scmp_arg_cmp){(unsigned)index, operators[i].op, value, second};
      return 0;
    }
  }
  return err_set(err, EINVAL, "%s.op: unknown comparison %s", item->path, op);
}

static int read_rule(struct arena *arena, const struct json *item, struct seccomp_rule *rule, struct err *err) {
  struct json args;
  size_t count = 0;
  int r = read_action(item, "action", "errnoRet", &rule->action, err);
  if (r < 0 || (r = plan_read_texts(arena, item, "names", &rule->names, err)) < 0 ||
      (r = json_array_at(item, "args", &args, &count, err)) < 0) {
    return r;
  }
  if (rule->names.count == 0) {
    return err_set(err, EINVAL, "%s.names: no call is named", item->path);
  }
  if (count > MOST_ARGS) {
    return err_set(err, E2BIG, "%s: too many comparisons", args.path);
  }
  rule->args = arena_get(arena, (count + 1) * sizeof(*rule->args));
  if (rule->args == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json condition;
    json_item(&args, i, &condition);
    r = read_condition(&condition, &rule->args[i], err);
    if (r < 0) {
      return r;
    }
  }
  rule->arg_count = count;
  rule->source = *item;
  return 0;
}

static int read_rules(struct arena *arena, const struct json *source, struct seccomp_profile *profile,
                      struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(source, "syscalls", &array, &count, err);
  if (r < 0) {
    return r;
  }
  profile->rules = arena_get(arena, (count + 1) * sizeof(*profile->rules));
  if (profile->rules == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_rule(arena, &item, &profile->rules[i], err);
    if (r < 0) {
      return r;
    }
  }
  profile->rule_count = count;
  return 0;
}

static int read_flags(struct arena *arena, const struct json *source, struct seccomp_profile *profile,
                      struct err *err) {
  struct plan_text_list list = {NULL, 0};
  int r = plan_read_texts(arena, source, "flags", &list, err);
  for (size_t i = 0; r >= 0 && i < list.count; i++) {
    size_t at = 0;
    while (at < array_length(flags) && strcmp(flags[at].name, list.items[i]) != 0) {
      at++;
    }
    if (at == array_length(flags)) {
      return err_set(err, ENOTSUP, "%s.flags[%zu]: flag %s is not supported", source->path, i, list.items[i]);
    }
    profile->flags |= flags[at].flag;
  }
  return r < 0 ? r : 0;
}

int seccomp_read_listener(const struct json *profile, struct seccomp_listener *ret_listener, struct err *err) {
  struct seccomp_listener listener = {NULL, NULL};
  if (json_string_at(profile, "listenerPath", &listener.path, err) < 0 ||
      json_string_at(profile, "listenerMetadata", &listener.metadata, err) < 0) {
    return -EINVAL;
  }
  listener.path = listener.path != NULL && listener.path[0] == '\0' ? NULL : listener.path;
  listener.metadata = listener.metadata != NULL && listener.metadata[0] == '\0' ? NULL : listener.metadata;
  if (listener.metadata != NULL && listener.path == NULL) {
    return err_set(err, EINVAL, "%s.listenerMetadata: needs listenerPath", profile->path);
  }
  if (listener.path != NULL && listener.path[0] != '/') {
    return err_set(err, EINVAL, "%s.listenerPath: '%s' is not an absolute path", profile->path, listener.path);
  }
  *ret_listener = listener;
  return 0;
}

/* A notified call waits until somebody answers. The one that hands the notifications over must not be among them. */
static int check_notifying(const struct json *source, struct seccomp_profile *profile, struct err *err) {
  struct seccomp_listener listener = {NULL, NULL};
  int r = seccomp_read_listener(source, &listener, err);
  if (r < 0) {
    return r;
  }
  if (profile->default_action == SCMP_ACT_NOTIFY) {
    return err_set(err, EINVAL,
                   "%s.defaultAction: SCMP_ACT_NOTIFY cannot be the default, sendmsg, by which the listener gets its "
                   "descriptor, would wait for it",
                   source->path);
  }
  bool notifies = false;
  for (size_t i = 0; i < profile->rule_count; i++) {
    const struct seccomp_rule *rule = &profile->rules[i];
    if (rule->action != SCMP_ACT_NOTIFY) {
      continue;
    }
    notifies = true;
    for (size_t k = 0; k < rule->names.count; k++) {
      if (strcmp(rule->names.items[k], "sendmsg") == 0) {
        return err_set(err, EINVAL,
                       "%s: SCMP_ACT_NOTIFY cannot be used for sendmsg: the listener gets its descriptor by that call",
                       rule->source.path);
      }
    }
  }
  if (notifies && listener.path == NULL) {
    return err_set(err, EINVAL, "%s: SCMP_ACT_NOTIFY needs listenerPath", source->path);
  }
  if (!notifies && (profile->flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) != 0) {
    return err_set(err, EINVAL, "%s.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
                   source->path);
  }
  profile->flags |= notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  return 0;
}

int seccomp_read_profile(struct arena *arena, const struct json *source, struct seccomp_profile *ret_profile,
                         struct err *err) {
  struct seccomp_profile profile;
  memset(&profile, 0, sizeof(profile));
  int r = read_action(source, "defaultAction", "defaultErrnoRet", &profile.default_action, err);
  if (r < 0 || (r = read_architectures(arena, source, &profile, err)) < 0 ||
      (r = read_rules(arena, source, &profile, err)) < 0 || (r = read_flags(arena, source, &profile, err)) < 0 ||
      (r = check_notifying(source, &profile, err)) < 0) {
    return r;
  }
  *ret_profile = profile;
  return 0;
}
