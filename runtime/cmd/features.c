#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>

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
  return r < 0 ? r : str_add(out, "},");
}

/* What callers such as engines ask before they rely on it. */
int verb_features_text(char **ret_text, struct err *err) {
  cleanup_str struct str out = STR_INIT;
  char version[32];
  seccomp_library_version(version, sizeof(version));
  int r = str_add(&out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"1.2.0\",\"hooks\":[");
  for (int i = 0; r == 0 && i < HOOK_KINDS; i++) {
    r = str_addf(&out, "%s\"%s\"", i > 0 ? "," : "", hook_names[i]);
  }
  r = r < 0 ? r : str_add(&out, "],\"mountOptions\":[");
  for (size_t i = 0; r == 0 && mount_option_name(i) != NULL; i++) {
    r = str_addf(&out, "%s\"%s\"", i > 0 ? "," : "", mount_option_name(i));
  }
  r = r < 0 ? r
            : str_add(&out, "],\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"time\","
                            "\"user\",\"uts\"],"
                            "\"capabilities\":[");
  for (int c = 0; r == 0 && capability_number(capability_name(c)) == c; c++) {
    r = str_addf(&out, "%s\"CAP_%s\"", c > 0 ? "," : "", capability_name(c));
  }
  r = r < 0 ? r
            : str_add(&out,
                      "],\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,\"systemdUser\":false,\"rdma\":false},");
  r = r < 0 ? r : add_seccomp(&out);
  r = r < 0 ? r
            : str_add(&out, "\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":true},"
                            "\"intelRdt\":{\"enabled\":false},\"mountExtensions\":{\"idmap\":{\"enabled\":true}}},");
  r = r < 0 ? r
            : str_addf(&out,
                       "\"annotations\":{\"dev.tscompose.runtime.libseccomp\":\"%s\","
                       "\"dev.tscompose.runtime.syscalls\":\"%s\"},"
                       "\"potentiallyUnsafeConfigAnnotations\":[\"dev.tscompose.overlay\"]}\n",
                       version, seccomp_table_version());
  if (r < 0) {
    return err_oom(err);
  }
  *ret_text = take_ptr(out.data);
  return 0;
}
