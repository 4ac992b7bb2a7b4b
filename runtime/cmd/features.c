#include <errno.h>

#include "base/json.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "spec/plan.h"
#include "spec/seccomp.h"

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
            : str_add(&out, "],\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"uts\"],"
                            "\"capabilities\":[");
  for (int c = 0; r == 0 && capability_number(capability_name(c)) == c; c++) {
    r = str_addf(&out, "%s\"CAP_%s\"", c > 0 ? "," : "", capability_name(c));
  }
  r = r < 0 ? r
            : str_add(&out,
                      "],\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,\"systemdUser\":false,\"rdma\":false},"
                      "\"seccomp\":{\"enabled\":true,\"actions\":[\"SCMP_ACT_ALLOW\",\"SCMP_ACT_ERRNO\","
                      "\"SCMP_ACT_KILL\",\"SCMP_ACT_KILL_PROCESS\",\"SCMP_ACT_KILL_THREAD\",\"SCMP_ACT_LOG\","
                      "\"SCMP_ACT_TRACE\",\"SCMP_ACT_TRAP\"],\"supportedFlags\":[\"SECCOMP_FILTER_FLAG_LOG\","
                      "\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\",\"SECCOMP_FILTER_FLAG_TSYNC\"]},"
                      "\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":false},"
                      "\"intelRdt\":{\"enabled\":false},\"mountExtensions\":{\"idmap\":{\"enabled\":false}}},");
  r = r < 0 ? r
            : str_addf(&out,
                       "\"annotations\":{\"dev.tscompose.runtime.libseccomp\":\"%s\"},"
                       "\"potentiallyUnsafeConfigAnnotations\":[\"dev.tscompose.overlay\"]}\n",
                       version);
  if (r < 0) {
    return err_oom(err);
  }
  *ret_text = take_ptr(out.data);
  return 0;
}
