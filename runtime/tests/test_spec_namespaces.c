#include <errno.h>
#include <sched.h>
#include <sys/personality.h>

#include "setup/idmap.h"
#include "spec/plan.h"
#include "tests/check.h"

/* config.json with these keys in `linux`, and these beside it. */
#define NAMESPACES "{\"type\":\"mount\"},{\"type\":\"pid\"}"
#define CONFIG(namespaces, linux_keys, rest)                                                                           \
  "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":[" namespaces "]" linux_keys "}" rest \
  "}"
#define MAP(inside, outside, size) "{\"containerID\":" #inside ",\"hostID\":" #outside ",\"size\":" #size "}"
#define USER NAMESPACES ",{\"type\":\"user\"}"
#define MAPS(uids, gids) ",\"uidMappings\":[" uids "],\"gidMappings\":[" gids "]"
#define PROCESS(keys) ",\"process\":{\"args\":[\"/x\"]" keys "}"
#define BIND(keys) ",\"mounts\":[{\"destination\":\"/d\",\"source\":\"/s\",\"type\":\"bind\"" keys "}]"

static int build(const char *text, struct plan *plan, struct err *err) {
  struct json document = {.value = NULL, .path = ""};
  int r = json_parse(text, strlen(text), &document, err);
  return r < 0 ? r : plan_build(&document, plan, err);
}

static void test_refusals(void) {
  static const struct {
    const char *text, *why;
  } cases[] = {
      {CONFIG(NAMESPACES ",{\"type\":\"pid\"}", "", ""), "namespace 'pid' is given twice"},
      {CONFIG(NAMESPACES ",{\"type\":\"moon\"}", "", ""), "namespace 'moon' is not supported"},
      {CONFIG("{\"type\":\"pid\"}", "", ""), "a mount namespace is needed"},
      {CONFIG(NAMESPACES ",{\"type\":\"uts\",\"path\":\"u\"}", "", ""), "not an absolute path"},
      {CONFIG(USER, "", ""), "linux.uidMappings: a new user namespace needs it"},
      {CONFIG(USER, ",\"uidMappings\":[" MAP(0, 5, 1) "]", ""), "linux.gidMappings: a new user namespace needs it"},
      {CONFIG(NAMESPACES, MAPS(MAP(0, 5, 1), MAP(0, 5, 1)), ""), "has no user namespace"},
      {CONFIG(USER, MAPS(MAP(0, 5, 0), MAP(0, 5, 1)), ""), "uidMappings[0].size"},
      {CONFIG(USER, MAPS(MAP(0, -1, 1), MAP(0, 5, 1)), ""), "uidMappings[0].hostID"},
      {CONFIG(USER, MAPS(MAP(4294967290, 0, 100), MAP(0, 5, 1)), ""), "ends above the largest id"},
      {CONFIG(USER, MAPS(MAP(0, 5, 10) "," MAP(9, 100, 1), MAP(0, 5, 1)), ""), "uidMappings[1]: overlaps range 0"},
      {CONFIG(USER, MAPS(MAP(0, 5, 10) "," MAP(10, 14, 1), MAP(0, 5, 1)), ""), "uidMappings[1]: overlaps range 0"},
      {CONFIG(USER, MAPS("{\"containerID\":0,\"size\":1}", MAP(0, 5, 1)), ""), "hostID: missing"},
      {CONFIG(USER, MAPS(MAP(0, 5, 1), MAP(0, 5, 1)), PROCESS(",\"user\":{\"uid\":1}")),
       "1 is not in linux.uidMappings"},
      {CONFIG(USER, MAPS(MAP(0, 5, 9), MAP(0, 5, 9)), PROCESS(",\"user\":{\"additionalGids\":[70]}")),
       "additionalGids: 70 is not in linux.gidMappings"},
      {CONFIG(NAMESPACES, ",\"timeOffsets\":{\"monotonic\":{\"secs\":1}}", ""), "needs a new time namespace"},
      {CONFIG(NAMESPACES ",{\"type\":\"time\"}", ",\"timeOffsets\":{\"realtime\":{\"secs\":1}}", ""),
       "has monotonic and"},
      {CONFIG(NAMESPACES ",{\"type\":\"time\"}", ",\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}", ""),
       "nanosecs"},
      {CONFIG(NAMESPACES, ",\"personality\":{\"domain\":\"BSD\"}", ""), "expected LINUX or LINUX32"},
      {CONFIG(NAMESPACES, ",\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"x\"]}", ""), "personality.flags"},
      {CONFIG(NAMESPACES, "", BIND(",\"uidMappings\":[" MAP(0, 1, 1) "]")), "given together"},
      {CONFIG(NAMESPACES, "", BIND(",\"options\":[\"idmap\"]")), "idmap needs uidMappings and gidMappings"},
      {CONFIG(NAMESPACES, "",
              ",\"mounts\":[{\"destination\":\"/d\",\"type\":\"tmpfs\"" MAPS(MAP(0, 1, 1), MAP(0, 1, 1)) "}]"),
       "only a bind mount"},
      {CONFIG(NAMESPACES, "", BIND(",\"options\":[\"tmpcopyup\"]")), "tmpcopyup is for a tmpfs"},
      {CONFIG(NAMESPACES, "",
              ",\"annotations\":{\"dev.tscompose.overlay\":\"{\\\"lower\\\":[\\\"/a\\\"],\\\"idmap\\\":true}\"}"),
       "idmap needs a user namespace"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"scheduler\":{\"policy\":\"SCHED_ISO\"}")), "Linux has no SCHED_ISO"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}")), "nice"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"flags\":[\"X\"]}")),
       "unknown flag X"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_NONE\"}")), "unknown class"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}")), "priority"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"execCPUAffinity\":{\"initial\":\"3-1\"}")), "not a list of processors"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"execCPUAffinity\":{\"final\":\"0,\"}")), "not a list of processors"},
      {CONFIG(NAMESPACES, "", PROCESS(",\"execCPUAffinity\":{\"final\":\"8192\"}")), "not a list of processors"},
  };
  for (size_t i = 0; i < array_length(cases); i++) {
    struct plan plan;
    struct err err = ERR_INIT;
    if (build(cases[i].text, &plan, &err) == 0) {
      fprintf(stderr, "accepted: %s\n", cases[i].text);
      check_failures++;
      plan_free(&plan);
      continue;
    }
    check_contains(err.text, cases[i].why);
  }
}

static void test_user_namespace(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  uint32_t outside = 0;
  check(build(CONFIG(USER, MAPS(MAP(0, 1000, 1) "," MAP(1, 100000, 65535), MAP(0, 5, 4294967290)),
                     PROCESS(",\"user\":{\"uid\":7,\"gid\":8,\"additionalGids\":[9]}")),
              &plan, &err) == 0);
  check_text(err.text, "");
  check(plan_namespace(&plan, CLONE_NEWUSER) != NULL && plan.uid_maps.count == 2);
  check(plan_id_map_outside(&plan.uid_maps, 0, &outside) && outside == 1000);
  check(plan_id_map_outside(&plan.uid_maps, 65535, &outside) && outside == 165534);
  check(!plan_id_map_outside(&plan.uid_maps, 65536, &outside));
  char text[64];
  check(idmap_text(&plan.uid_maps, text, sizeof(text), &err) == 0);
  check_text(text, "0 1000 1\n1 100000 65535\n");
  check(idmap_text(&plan.uid_maps, text, 12, &err) == -E2BIG);
  check(plan_id_maps_equal(&plan.uid_maps, &plan.uid_maps) && !plan_id_maps_equal(&plan.uid_maps, &plan.gid_maps));
  plan_free(&plan);
}

static void test_mounts(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  check(build(CONFIG(USER, MAPS(MAP(0, 5, 9), MAP(0, 5, 9)),
                     ",\"mounts\":["
                     "{\"destination\":\"rel/x\",\"source\":\"/s\",\"type\":\"none\",\"options\":[\"rbind\"]" MAPS(
                         MAP(0, 1, 1),
                         MAP(0, 2, 1)) "},"
                                       "{\"destination\":\"/y\",\"source\":\"/s\",\"options\":[\"bind\",\"ridmap\"]},"
                                       "{\"destination\":\"/z\",\"options\":[\"remount\",\"ro\"]}]"),
              &plan, &err) == 0);
  check_text(err.text, "");
  check_text(plan.mounts[0].destination, "/rel/x");
  /* Maps without the option: as deep as the bind goes. */
  check(plan.mounts[0].relative && plan.mounts[0].id_mapped && plan.mounts[0].id_mapped_recursive);
  check(plan.mounts[0].gid_maps.items[0].outside == 2);
  check(plan.mounts[1].id_mapped && plan.mounts[1].id_mapped_recursive && plan.mounts[1].uid_maps.count == 0);
  check(plan.mounts[2].remount && !plan.mounts[2].bind);
  plan_free(&plan);
}

static void test_time_and_process(void) {
  struct plan plan;
  struct err err = ERR_INIT;
  check(
      build(CONFIG(
                NAMESPACES ",{\"type\":\"time\"}",
                ",\"timeOffsets\":{\"boottime\":{\"secs\":-3,\"nanosecs\":4}},\"personality\":{\"domain\":\"LINUX32\"}",
                PROCESS(",\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":-5,\"flags\":[\"SCHED_FLAG_RESET_ON_"
                        "FORK\"]},\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":6},"
                        "\"execCPUAffinity\":{\"initial\":\"0-2,65\",\"final\":\"1\"}")),
            &plan, &err) == 0);
  check_text(err.text, "");
  const struct plan_time_offset *offset = &plan.time_offsets[CLOCK_OFFSET_BOOTTIME];
  check(offset->given && offset->seconds == -3 && offset->nanoseconds == 4);
  check(!plan.time_offsets[CLOCK_OFFSET_MONOTONIC].given && plan.personality == PER_LINUX32);
  const struct plan_process *process = &plan.process;
  check(process->scheduler.given && process->scheduler.policy == 3 && process->scheduler.nice == -5);
  check(process->scheduler.flags == 1 && process->io_priority == (2 << 13 | 6));
  check(process->initial_cpus->words[0] == 7 && process->initial_cpus->words[1] == 2);
  check(process->final_cpus->words[0] == 2);
  plan_free(&plan);
  check(build(CONFIG(NAMESPACES, "", PROCESS("")), &plan, &err) == 0);
  check(plan.personality == PLAN_UNSET && plan.process.io_priority == -1 && !plan.process.scheduler.given);
  check(plan.process.initial_cpus == NULL && plan.process.final_cpus == NULL);
  plan_free(&plan);
}

static void test_sysctl_owners(void) {
  check(plan_sysctl_owner("net.ipv4.ip_forward") == CLONE_NEWNET && plan_sysctl_owner("net/ipv4/x") == CLONE_NEWNET);
  check(plan_sysctl_owner("fs.mqueue.msg_max") == CLONE_NEWIPC && plan_sysctl_owner("kernel.sem") == CLONE_NEWIPC);
  check(plan_sysctl_owner("kernel.hostname") == CLONE_NEWUTS && plan_sysctl_owner("kernel.semx") == 0);
}

int main(void) {
  test_refusals();
  test_user_namespace();
  test_mounts();
  test_time_and_process();
  test_sysctl_owners();
  check_done();
}
