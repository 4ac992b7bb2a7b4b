#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "spec/mount_flags.h"
#include "spec/plan.h"
#include "tests/check.h"

#define NAMESPACES "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"},{\"type\":\"network\"}]"
#define START "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},"

static int build(const char *text, struct plan *plan, struct err *err) {
  struct json document = {.value = NULL, .path = ""};
  int r = json_parse(text, strlen(text), &document, err);
  return r < 0 ? r : plan_build(&document, plan, err);
}

static void refuses(const char *text, const char *why) {
  struct plan plan;
  struct err err = ERR_INIT;
  if (build(text, &plan, &err) == 0) {
    fprintf(stderr, "accepted: %s\n", text);
    check_failures++;
    plan_free(&plan);
    return;
  }
  check_contains(err.text, why);
}

static void test_refusals(void) {
  refuses("[]", "expected an object");
  refuses("{}", "ociVersion: missing");
  refuses("{\"ociVersion\":\"2.0.0\"}", "2.0.0 is not supported");
  refuses("{\"ociVersion\":\"1.0\"}", "is not a version");
  refuses("{\"ociVersion\":\"1.x.0\"}", "is not a version");
  refuses(START "\"linux\":{" NAMESPACES "},\"vm\":{}}", "vm: this runtime makes Linux containers");
  refuses("{\"ociVersion\":\"1.0.2\"}", "path: missing");
  refuses(START "\"linux\":{}}", "mount namespace is needed");
  refuses(START "\"linux\":{" NAMESPACES "},\"mounts\":{}}", "mounts: expected an array");
  refuses(START "\"linux\":{" NAMESPACES "},\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[1]}]}",
          "mounts[0].options[0]: expected a string");
  refuses(START "\"linux\":{" NAMESPACES "},\"mounts\":[{\"destination\":\"/x\",\"options\":[\"bind\"]}]}",
          "source: missing");
  refuses(START "\"linux\":{" NAMESPACES ",\"intelRdt\":{}}}", "intelRdt is not supported");
  refuses(START "\"linux\":{" NAMESPACES ",\"sysctl\":{\"kernel.shmmax\":\"1\"}}}", "shares that namespace");
  refuses(START "\"linux\":{" NAMESPACES ",\"sysctl\":{\"vm.swappiness\":\"1\"}}}", "would change the host");
  refuses(START "\"linux\":{" NAMESPACES ",\"sysctl\":{\"net/../kernel/x\":\"1\"}}}", "is not a name");
  refuses(START "\"linux\":{" NAMESPACES "},\"process\":{\"args\":[]}}", "no program given");
  refuses(START "\"linux\":{" NAMESPACES "},\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"}}", "not an absolute path");
  refuses(START "\"linux\":{" NAMESPACES "},\"process\":{\"args\":[\"a\"],\"user\":{\"uid\":4294967295}}}", "uid");
  refuses(START "\"linux\":{" NAMESPACES
                "},\"process\":{\"args\":[\"a\"],\"capabilities\":{\"effective\":[\"CAP_CHOWN\"]}}}",
          "effective holds what permitted does not");
  refuses(START "\"linux\":{" NAMESPACES
                "},\"process\":{\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,\"hard\":1}]}}",
          "soft limit above");
  refuses(START "\"linux\":{" NAMESPACES
                "},\"annotations\":{\"dev.tscompose.overlay\":\"{\\\"lower\\\":[\\\"rel\\\"]}\"}}",
          "not an absolute path");
  refuses(START "\"linux\":{" NAMESPACES "},\"annotations\":{\"dev.tscompose.overlay\":\"{\\\"lower\\\":[]}\"}}",
          "needs lower");
  refuses(START "\"linux\":{" NAMESPACES ",\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}}}",
          "expected a, b, c");
  refuses(START "\"linux\":{" NAMESPACES ",\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"a\",\"major\":1}]}}}",
          "type a takes neither");
  refuses(START "\"linux\":{" NAMESPACES ",\"resources\":{\"unified\":{\"../x\":\"1\"}}}}",
          "not the name of a cgroup file");
}

static void test_plan(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  const char *text =
      START "\"linux\":{" NAMESPACES
            ",\"resources\":{\"memory\":{\"limit\":1048576},\"devices\":[{\"allow\":true,\"type\":\"c\","
            "\"major\":10,\"minor\":200,\"access\":\"rw\"}]},\"rootfsPropagation\":\"rslave\"},"
            "\"annotations\":{\"dev.tscompose.init\":\"true\",\"dev.tscompose.overlay\":\"{\\\"lower\\\":[\\\"/"
            "a\\\",\\\"/b\\\"]}\"},"
            "\"process\":{\"args\":[\"/"
            "x\",\"y\"],\"user\":{\"uid\":4294967294},\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_NEW_ONE\"]}},"
            "\"hooks\":{\"poststop\":[{\"path\":\"/h\",\"timeout\":3}]}}";
  check(build(text, &plan, &err) == 0);
  check_text(err.text, "");
  check(plan.process.uid == 4294967294u && strcmp(plan.process.args[1], "y") == 0 && plan.process.args[2] == NULL);
  check(plan.process.capabilities.bounding == 1 && !plan.process.no_new_privileges);
  check(plan.init && plan.overlay_lower.count == 2 && plan.overlay_upper == NULL);
  check_text(plan.overlay_lower.items[1], "/b");
  check(plan.root_propagation == (MS_SLAVE | MS_REC));
  check(plan.resources.memory_limit == 1048576 && plan.resources.pids_limit == PLAN_UNSET);
  check(plan.hooks[HOOK_POSTSTOP].count == 1 && plan.hooks[HOOK_POSTSTOP].items[0].timeout_s == 3);
  check(plan_namespace(&plan, CLONE_NEWUTS) != NULL && plan_namespace(&plan, CLONE_NEWIPC) == NULL);
  /* Denied first, though the list does not begin with it. */
  check(plan.resources.device_count > 2 && plan.resources.devices[0].type == 'a' && !plan.resources.devices[0].allow);
  check(plan.resources.devices[1].major == 10 && plan.resources.devices[1].read && !plan.resources.devices[1].make);
  plan_free(&plan);
}

static void test_devices_denied_without_list(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  check(build(START "\"linux\":{" NAMESPACES "}}", &plan, &err) == 0);
  check(plan.resources.device_count > 1 && plan.resources.devices[0].type == 'a' && !plan.resources.devices[0].allow);
  plan_free(&plan);
}

static void test_mount_options(void) {
  static const struct {
    const char *option;
    uint64_t set, clear, recursive_set, recursive_clear, propagation;
    bool data;
  } cases[] = {
      {"ro", MNT_ATTR_RDONLY, 0, 0, 0, 0, false},
      {"rw", 0, MNT_ATTR_RDONLY, 0, 0, 0, false},
      {"rro", 0, 0, MNT_ATTR_RDONLY, 0, 0, false},
      {"noatime", MNT_ATTR_NOATIME, MNT_ATTR_ATIME_MASK, 0, 0, 0, false},
      {"rstrictatime", 0, 0, MNT_ATTR_STRICTATIME, MNT_ATTR_ATIME_MASK, 0, false},
      {"rshared", 0, 0, 0, 0, MS_SHARED, false},
      {"slave", 0, 0, 0, 0, MS_SLAVE, false},
      {"defaults", 0, 0, 0, 0, 0, false},
      {"size=64k", 0, 0, 0, 0, 0, true},
      {"newinstance", 0, 0, 0, 0, 0, true},
  };
  for (size_t i = 0; i < array_length(cases); i++) {
    struct plan_mount mount;
    memset(&mount, 0, sizeof(mount));
    bool data = !mount_option_apply(&mount, cases[i].option);
    bool same = mount.set == cases[i].set && mount.clear == cases[i].clear &&
                mount.recursive_set == cases[i].recursive_set && mount.recursive_clear == cases[i].recursive_clear &&
                mount.propagation == cases[i].propagation && data == cases[i].data;
    if (!same) {
      fprintf(stderr, "option %s is misread\n", cases[i].option);
      check_failures++;
    }
  }
  struct plan_mount mount;
  memset(&mount, 0, sizeof(mount));
  check(mount_option_apply(&mount, "ro") && mount_option_apply(&mount, "rw"));
  check(mount.set == 0 && mount.clear == MNT_ATTR_RDONLY); /* The last one counts. */
  check(mount_option_apply(&mount, "ridmap") && mount.id_mapped && mount.id_mapped_recursive);
  check(mount_option_apply(&mount, "tmpcopyup") && mount.copy_up);
  check(mount_option_apply(&mount, "remount") && mount.remount);
  /* No name stands twice: the second could never be met. */
  for (size_t i = 0; mount_option_name(i) != NULL; i++) {
    for (size_t k = 0; k < i; k++) {
      check(strcmp(mount_option_name(i), mount_option_name(k)) != 0);
    }
  }
}

static void test_empty_mount_option(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  check(build(START "\"linux\":{" NAMESPACES "},\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":"
                    "[\"\",\"size=64k\",\"\"]}]}",
              &plan, &err) == 0);
  check(plan.mounts[0].data.count == 1);
  check_text(plan.mounts[0].data.items[0], "size=64k");
  plan_free(&plan);
}

static void test_cgroup_paths(void) {
  char path[32];
  struct err err = ERR_INIT;
  check(cgroup_path_clean("//a/./b/", path, sizeof(path), &err) == 0);
  check_text(path, "/a/b");
  check(cgroup_path_clean("a", path, sizeof(path), &err) == 0);
  check_text(path, "/a");
  check(cgroup_path_clean("/a/../b", path, sizeof(path), &err) == -EINVAL);
  check(cgroup_path_clean("/", path, sizeof(path), &err) == -EINVAL);
  check(cgroup_path_clean("/0123456789012345678901234567890123456789", path, sizeof(path), &err) == -ENAMETOOLONG);
  check(capability_number("cap_net_raw") == 13 && capability_number("NET_RAW") == 13 && capability_number("x") == -1);
}

int main(void) {
  test_refusals();
  test_plan();
  test_devices_denied_without_list();
  test_mount_options();
  test_empty_mount_option();
  test_cgroup_paths();
  check_done();
}
