#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "cgroup/v2/controllers.h"
#include "cgroup/v2/devices.h"
#include "cgroup/write.h"
#include "tests/check.h"

static const char hybrid[] = "24 30 0:22 / /sys rw shared:7 - sysfs sysfs rw\n"
                             "29 24 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755\n"
                             "30 29 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
                             "31 29 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd\n"
                             "34 29 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
                             "35 29 0:32 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory\n"
                             "36 29 0:33 /nested /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                             "37 29 0:33 / /mnt/pi\\040ds rw - cgroup cgroup rw,pids\n";
static const char pure[] =
    "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
static const char nested[] = "700 699 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

static const struct cgroup_hierarchy *find(const struct cgroup_layout *layout, const char *controllers) {
  for (size_t i = 0; i < layout->count; i++) {
    if (strcmp(layout->items[i].controllers, controllers) == 0) {
      return &layout->items[i];
    }
  }
  return NULL;
}

static void test_layouts(void) {
  struct cgroup_layout layout;
  char path[256];
  check(cgroup_layout_parse(hybrid, &layout, NULL) == 0);
  check(layout.count == 5 && layout.v1_controllers);
  check(find(&layout, "cpu,cpuacct") != NULL && find(&layout, "name=systemd") != NULL && find(&layout, "")->v2);
  /* The mount that shows the root wins; mountinfo's escapes are undone. */
  check_text(find(&layout, "pids")->mount_point, "/mnt/pi ds");
  check(cgroup_directory(find(&layout, "memory"), "/a/b", path, sizeof(path), NULL) == 0);
  check_text(path, "/sys/fs/cgroup/memory/a/b");
  check(cgroup_layout_parse(pure, &layout, NULL) == 0);
  check(layout.count == 1 && !layout.v1_controllers && layout.items[0].v2);
  check(cgroup_layout_parse(nested, &layout, NULL) == 0);
  check(cgroup_directory(&layout.items[0], "/docker/abc/x", path, sizeof(path), NULL) == 0);
  check_text(path, "/sys/fs/cgroup/x");
  check(cgroup_directory(&layout.items[0], "/docker/abcd/x", path, sizeof(path), NULL) == 0);
  check_text(path, "/sys/fs/cgroup/docker/abcd/x");
  check(cgroup_layout_parse("1 1 0:1 / / rw - ext4 a rw\n", &layout, NULL) == -ENOENT);
  check(cgroup_layout_parse("garbage - cgroup\n - cgroup2\n", &layout, NULL) == -ENOENT);
}

/* Enough of the machine to run what the compiler makes. */
static int run(const struct bpf_insn *program, int length, int type, int access, unsigned major, unsigned minor) {
  uint64_t r[11] = {0};
  uint32_t context[3] = {(uint32_t)(access << 16 | type), major, minor};
  for (int at = 0; at < length; at++) {
    const struct bpf_insn *i = &program[at];
    uint64_t operand = (i->code & 8) != 0 ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
    switch (i->code & 7) {
    case BPF_LDX:
      r[i->dst_reg] = context[i->off / 4];
      break;
    case BPF_ALU:
    case BPF_ALU64:
      r[i->dst_reg] = (i->code & 0xf0) == BPF_MOV   ? operand
                      : (i->code & 0xf0) == BPF_AND ? (uint32_t)(r[i->dst_reg] & operand)
                                                    : (uint32_t)r[i->dst_reg] >> operand;
      break;
    default:
      if ((i->code & 0xf0) == BPF_EXIT) {
        return (int)r[0];
      }
      at += ((i->code & 0xf0) == BPF_JEQ ? r[i->dst_reg] == operand : r[i->dst_reg] != operand) ? i->off : 0;
    }
  }
  return -1;
}

static void test_device_program(void) {
  struct plan_device_rule rules[] = {
      {false, 'a', -1, -1, true, true, true},   {true, 'c', 1, 3, true, true, true},
      {true, 'c', 136, -1, true, false, false}, {false, 'b', 8, 0, false, true, false},
      {true, 'c', -1, -1, false, false, true},
  };
  struct plan_resources resources;
  memset(&resources, 0, sizeof(resources));
  resources.devices = rules;
  resources.device_count = 5;
  struct bpf_insn program[DEVICE_PROGRAM_MAX];
  int n = cgroup_v2_devices_compile(&resources, program, DEVICE_PROGRAM_MAX);
  const int make = BPF_DEVCG_ACC_MKNOD, reads = BPF_DEVCG_ACC_READ, writes = BPF_DEVCG_ACC_WRITE;
  const int block = BPF_DEVCG_DEV_BLOCK, character = BPF_DEVCG_DEV_CHAR;
  check(n > 0);
  check(run(program, n, character, reads | writes, 1, 3) == 1);
  check(run(program, n, character, reads, 1, 4) == 0);
  check(run(program, n, character, reads, 136, 9) == 1);
  check(run(program, n, character, reads | writes, 136, 9) == 0);
  check(run(program, n, block, reads, 8, 0) == 0);
  check(run(program, n, character, make, 7, 7) == 1);
  check(run(program, n, block, make, 7, 7) == 0);
  rules[4] = (struct plan_device_rule){true, 'a', -1, -1, true, true, true};
  n = cgroup_v2_devices_compile(&resources, program, DEVICE_PROGRAM_MAX);
  check(run(program, n, block, reads | writes, 8, 0) == 1);
  resources.device_count = 5;
  check(cgroup_v2_devices_compile(&resources, program, 10) != 0);
}

/* The kernel's own verdict on a compiled program, on the v2 tree that hybrid hosts have as well. */
static void test_device_program_in_kernel(void) {
  struct cgroup_layout layout;
  const struct cgroup_hierarchy *v2 = cgroup_layout_read(&layout, NULL) < 0 ? NULL : find(&layout, "");
  if (geteuid() != 0 || v2 == NULL) {
    fputs("not run: the device program in the kernel needs root and a mounted cgroup2\n", stderr);
    return;
  }
  char directory[256], file[300];
  snprintf(directory, sizeof(directory), "%s/tsc-unit-%d", v2->mount_point, (int)getpid());
  snprintf(file, sizeof(file), "%s/cgroup.procs", directory);
  check(mkdir(directory, 0755) == 0);
  cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct plan_device_rule rules[] = {{false, 'a', -1, -1, true, true, true},
                                     {true, 'c', 1, 3, true, true, true},
                                     {true, 'c', 1, 5, true, false, false},
                                     {true, 'b', -1, -1, false, false, true}};
  struct plan_resources resources;
  struct err err = ERR_INIT;
  memset(&resources, 0, sizeof(resources));
  resources.devices = rules;
  resources.device_count = array_length(rules);
  check(cgroup_v2_devices_apply(fd, &resources, &err) == 0);
  check_text(err.text, "");
  pid_t pid = fork();
  if (pid == 0) {
    int entered = file_write_existing(AT_FDCWD, file, "0", NULL);
    bool right = entered == 0 && open("/dev/null", O_RDWR) >= 0 && open("/dev/zero", O_RDONLY) >= 0 &&
                 open("/dev/zero", O_RDWR) < 0 && errno == EPERM && open("/dev/full", O_RDONLY) < 0 && errno == EPERM;
    _exit(right ? 0 : 1);
  }
  int status = -1;
  check(waitpid(pid, &status, 0) == pid && status == 0);
  for (int i = 0; i < 100 && rmdir(directory) < 0; i++) {
    usleep(1000);
  }
  check(access(directory, F_OK) < 0);
}

static void test_weight(void) {
  check(cgroup_v2_weight(0) == 1 && cgroup_v2_weight(2) == 1);
  check(cgroup_v2_weight(1024) == 100);
  check(cgroup_v2_weight(262144) == 10000 && cgroup_v2_weight(INT64_MAX) == 10000);
  for (int64_t shares = 2; shares < 262144; shares += 997) {
    check(cgroup_v2_weight(shares) <= cgroup_v2_weight(shares + 997));
  }
}

static void put(int directory, const char *file, const char *text) {
  check(file_write_atomic(directory, file, text, strlen(text), 0600, 0, NULL) == 0);
}

/* Plain files stand for those of a group. */
static void test_journal(void) {
  char place[] = "/tmp/tsc-journal-XXXXXX", text[64];
  check(mkdtemp(place) != NULL);
  cleanup_close int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  put(fd, "pids.max", "5\n");
  put(fd, "cpuset.cpus", "\n");
  put(fd, "io.max", "7:0 rbps=1\n8:16 rbps=2 wbps=max\n");
  struct cgroup_journal journal = {NULL, 0};
  const struct cgroup_writer to = {.fd = fd, .journal = &journal};
  check(cgroup_write_max(&to, "pids.max", 7, NULL) == 0 && cgroup_write_max(&to, "pids.max", PLAN_UNSET, NULL) == 0);
  check(cgroup_write(&to, "cpuset.cpus", "3", NULL) == 0);
  check(cgroup_write_number(&to, "absent", 3, NULL) == -ENOENT);
  check(journal.count == 2);
  check(cgroup_read_number(fd, "pids.max") == 7 && cgroup_read_number(fd, "absent") == PLAN_UNSET);
  check(cgroup_write_keyed(&to, "io.max", "8:16", "8:16 rbps=9", "8:16 rbps=max", NULL) == 0);
  check(cgroup_write_keyed(&to, "io.max", "8:1", "8:1 rbps=9", "8:1 rbps=max", NULL) == 0);
  check(journal.count == 4);
  check_text(journal.items[2].before, "8:16 rbps=2 wbps=max");
  check_text(journal.items[3].before, "8:1 rbps=max");
  cleanup_str struct str report = STR_INIT;
  put(fd, "cpuset.cpus", "3\n");
  cgroup_journal_undo(&journal, &report);
  check_contains(report.data, "pids.max was set back");
  check(journal.count == 0);
  check(file_read_line(fd, "pids.max", text, sizeof(text), NULL) == 0);
  check_text(text, "5");
  check(file_remove_tree(AT_FDCWD, place, NULL) == 0);
}

int main(void) {
  test_layouts();
  test_weight();
  test_journal();
  test_device_program();
  test_device_program_in_kernel();
  check_done();
}
