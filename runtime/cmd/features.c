#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "spec/plan.h"
#include "spec/seccomp.h"
#include "sys/syscalls.h"

static int add_names(struct str *out, const char *key, const char *(*name)(size_t index)) {
  int r = str_addf(out, ",\"%s\":[", key);
  for (size_t i = 0; r == 0 && name(i) != NULL; i++) {
    r = str_addf(out, "%s\"%s\"", i > 0 ? "," : "", name(i));
  }
  return r < 0 ? r : str_add(out, "]");
}

/* A filter that is not there is noticed after the flags. */
static const char *supported_flag(size_t index) {
  size_t kept = 0;
  for (size_t i = 0; seccomp_flag_name(i) != NULL; i++) {
    unsigned flags = seccomp_flag_value(i) | (seccomp_flag_value(i) == 0 ? 0 : SECCOMP_FILTER_FLAG_NEW_LISTENER);
    bool known = flags == 0 || sys_seccomp_knows(flags);
    if (known && kept++ == index) {
      return seccomp_flag_name(i);
    }
  }
  return NULL;
}

static int add_seccomp(struct str *out) {
  int r = str_add(out, "\"seccomp\":{\"enabled\":true");
  r = r < 0 ? r : add_names(out, "actions", seccomp_action_name);
  r = r < 0 ? r : add_names(out, "operators", seccomp_operator_name);
  r = r < 0 ? r : add_names(out, "archs", seccomp_architecture_name);
  r = r < 0 ? r : add_names(out, "knownFlags", seccomp_flag_name);
  r = r < 0 ? r : add_names(out, "supportedFlags", supported_flag);
  return r < 0 ? r : str_add(out, "}");
}

static const char *hook_name(size_t index) {
  return index < HOOK_KINDS ? hook_names[index] : NULL;
}

static const char *prefixed_capability(size_t index) {
  static char name[48];
  if (capability_number(capability_name((int)index)) != (int)index) {
    return NULL;
  }
  snprintf(name, sizeof(name), "CAP_%s", capability_name((int)index));
  return name;
}

static const char *unsafe_annotation(size_t index) {
  static const char *const names[] = {"dev.tscompose.overlay", "org.systemd.property."};
  return index < array_length(names) ? names[index] : NULL;
}

/* What is or is not there as a whole; whoever adds it turns it on. */
static const struct {
  const char *object, *member;
  bool there;
} facts[] = {
    {"cgroup", "v1", true},          {"cgroup", "v2", true},         {"cgroup", "systemd", true},
    {"cgroup", "systemdUser", true}, {"cgroup", "rdma", true},       {"apparmor", "enabled", true},
    {"selinux", "enabled", true},    {"intelRdt", "enabled", false}, {"netDevices", "enabled", false},
};

static int add_facts(struct str *out) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < array_length(facts); i++) {
    bool first = i == 0 || strcmp(facts[i - 1].object, facts[i].object) != 0;
    bool last = i + 1 == array_length(facts) || strcmp(facts[i + 1].object, facts[i].object) != 0;
    r = first ? str_addf(out, ",\"%s\":{", facts[i].object) : str_add(out, ",");
    r = r < 0 ? r : str_addf(out, "\"%s\":%s%s", facts[i].member, facts[i].there ? "true" : "false", last ? "}" : "");
  }
  return r < 0 ? r : str_add(out, ",\"mountExtensions\":{\"idmap\":{\"enabled\":true}}");
}

/* What callers such as engines ask before they rely on it. */
int verb_features_text(char **ret_text, struct err *err) {
  cleanup_str struct str out = STR_INIT;
  char version[32];
  seccomp_library_version(version, sizeof(version));
  int r = str_add(&out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" PLAN_VERSION "\"");
  r = r < 0 ? r : add_names(&out, "hooks", hook_name);
  r = r < 0 ? r : add_names(&out, "mountOptions", mount_option_name);
  r = r < 0 ? r : str_add(&out, ",\"linux\":{");
  r = r < 0 ? r : add_seccomp(&out);
  r = r < 0 ? r : add_names(&out, "namespaces", plan_namespace_name);
  r = r < 0 ? r : add_names(&out, "capabilities", prefixed_capability);
  r = r < 0 ? r : add_facts(&out);
  r = r < 0 ? r
            : str_addf(&out,
                       "},\"annotations\":{\"dev.tscompose.runtime.libseccomp\":\"%s\","
                       "\"dev.tscompose.runtime.syscalls\":\"%s\"}",
                       version, seccomp_table_version());
  r = r < 0 ? r : add_names(&out, "potentiallyUnsafeConfigAnnotations", unsafe_annotation);
  r = r < 0 ? r : str_add(&out, "}\n");
  if (r < 0) {
    return err_oom(err);
  }
  *ret_text = take_ptr(out.data);
  return 0;
}
