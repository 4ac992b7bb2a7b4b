/* spec: a config.json to begin with. Only what this runtime takes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "spec/plan.h"

static const char *const capabilities[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};

static const struct {
  const char *destination, *type, *source, *options;
  bool rootless; /* false: a user without privileges gets the line below instead */
} mounts[] = {
    {"/proc", "proc", "proc", "\"nosuid\",\"noexec\",\"nodev\"", true},
    {"/dev", "tmpfs", "tmpfs", "\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"", true},
    {"/dev/pts", "devpts", "devpts", "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"",
     false},
    {"/dev/shm", "tmpfs", "shm", "\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"", true},
    {"/dev/mqueue", "mqueue", "mqueue", "\"nosuid\",\"noexec\",\"nodev\"", true},
    {"/sys", "sysfs", "sysfs", "\"nosuid\",\"noexec\",\"nodev\",\"ro\"", false},
    {"/sys/fs/cgroup", "cgroup", "cgroup", "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"", false},
};
static const char rootless_mounts[] =
    "    {\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
    "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]},\n"
    "    {\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\","
    "\"options\":[\"rbind\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}";

static int add_process(struct str *out) {
  static const char *const sets[] = {"bounding", "effective", "permitted"};
  int r = str_add(out, "  \"process\": {\n    \"terminal\": true,\n    \"user\": {\"uid\": 0, \"gid\": 0},\n"
                       "    \"args\": [\"sh\"],\n"
                       "    \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", "
                       "\"TERM=xterm\"],\n    \"cwd\": \"/\",\n    \"capabilities\": {\n");
  for (size_t i = 0; r == 0 && i < array_length(sets); i++) {
    r = str_addf(out, "      \"%s\": [", sets[i]);
    for (size_t c = 0; r == 0 && c < array_length(capabilities); c++) {
      r = str_addf(out, "%s\"%s\"", c > 0 ? ", " : "", capabilities[c]);
    }
    r = r < 0 ? r : str_addf(out, "]%s\n", i + 1 < array_length(sets) ? "," : "");
  }
  return r < 0 ? r
               : str_add(out,
                         "    },\n    \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 1024, \"hard\": 1024}],\n"
                         "    \"noNewPrivileges\": true\n  },\n");
}

static int add_mounts(struct str *out, bool rootless) {
  int r = str_add(out, "  \"mounts\": [\n");
  bool first = true;
  for (size_t i = 0; r == 0 && i < array_length(mounts); i++) {
    if (rootless && !mounts[i].rootless) {
      continue;
    }
    r = str_addf(out, "%s    {\"destination\":\"%s\",\"type\":\"%s\",\"source\":\"%s\",\"options\":[%s]}",
                 first ? "" : ",\n", mounts[i].destination, mounts[i].type, mounts[i].source, mounts[i].options);
    first = false;
  }
  if (rootless) {
    r = r < 0 ? r : str_addf(out, ",\n%s", rootless_mounts);
  }
  return r < 0 ? r : str_add(out, "\n  ],\n");
}

static int add_linux(struct str *out, bool rootless) {
  int r =
      str_add(out, "  \"linux\": {\n    \"namespaces\": [{\"type\":\"pid\"}, {\"type\":\"ipc\"}, {\"type\":\"uts\"}, "
                   "{\"type\":\"mount\"}, {\"type\":\"cgroup\"}");
  r = r < 0 ? r : str_add(out, rootless ? ", {\"type\":\"user\"}],\n" : ", {\"type\":\"network\"}],\n");
  if (rootless) {
    r = r < 0 ? r
              : str_addf(out,
                         "    \"uidMappings\": [{\"containerID\":0,\"hostID\":%u,\"size\":1}],\n"
                         "    \"gidMappings\": [{\"containerID\":0,\"hostID\":%u,\"size\":1}],\n",
                         (unsigned)geteuid(), (unsigned)getegid());
  } else {
    r = r < 0 ? r : str_add(out, "    \"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},\n");
  }
  return r < 0 ? r
               : str_add(out,
                         "    \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\", "
                         "\"/proc/latency_stats\",\n      \"/proc/sched_debug\", \"/proc/scsi\", \"/proc/timer_list\", "
                         "\"/proc/timer_stats\", \"/sys/firmware\"],\n"
                         "    \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", "
                         "\"/proc/sysrq-trigger\"]\n  }\n}\n");
}

int verb_spec(const struct call *call, int argc, char **argv, int *ret_status, struct err *err) {
  const char *bundle = ".";
  bool rootless = false;
  const struct option_spec table[] = {
      {"bundle", 'b', OPTION_TEXT, &bundle}, {"rootless", 0, OPTION_FLAG, &rootless}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  (void)call;
  (void)ret_status;
  int r = options_read(argc, argv, table, &next, err);
  if (r < 0 || next < argc) {
    return r < 0 ? r : err_set(err, EINVAL, "spec: unexpected argument %s", argv[next]);
  }
  cleanup_str struct str out = STR_INIT;
  r = str_add(&out, "{\n  \"ociVersion\": \"" PLAN_VERSION "\",\n");
  r = r < 0 ? r : add_process(&out);
  r = r < 0 ? r : str_add(&out, "  \"root\": {\"path\": \"rootfs\", \"readonly\": true},\n  \"hostname\": \"box\",\n");
  r = r < 0 ? r : add_mounts(&out, rootless);
  r = r < 0 ? r : add_linux(&out, rootless);
  if (r < 0) {
    return err_oom(err);
  }
  cleanup_close int directory = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    return err_errno(err, "cannot open bundle %s", bundle);
  }
  cleanup_close int fd = openat(directory, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    return err_errno(err, "cannot create %s/config.json", bundle);
  }
  return fd_write_all(fd, out.data, out.size, err);
}
