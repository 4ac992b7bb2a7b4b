#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spec/seccomp.h"
#include "spec/syscall_table.h"
#include "sys/syscalls.h"
#include "tests/check.h"

#define X32 0x40000000U

static int compile(const char *text, struct seccomp_program *program, struct str *skipped, struct err *err) {
  struct json document = {.value = NULL, .path = ""};
  int r = json_parse(text, strlen(text), &document, err);
  r = r < 0 ? r : seccomp_compile(&document, program, skipped, err);
  json_free(&document);
  return r;
}

static struct seccomp_program compiled(const char *text) {
  struct seccomp_program program = {NULL, 0, 0};
  struct err err = ERR_INIT;
  check(compile(text, &program, NULL, &err) == 0);
  check_text(err.text, "");
  return program;
}

static void refuses(const char *text, const char *why) {
  struct seccomp_program program = {NULL, 0, 0};
  struct err err = ERR_INIT;
  check(compile(text, &program, NULL, &err) < 0);
  check_contains(err.text, why);
}

static uint32_t ask(const struct seccomp_program *program, uint32_t audit, unsigned number, uint64_t first,
                    uint64_t second) {
  struct seccomp_data data = {.nr = (int)number, .arch = audit, .args = {first, second}};
  return seccomp_decide(program, &data);
}

static uint32_t native(const struct seccomp_program *program, unsigned number, uint64_t first, uint64_t second) {
  return ask(program, AUDIT_ARCH_X86_64, number, first, second);
}

/* errno of a call under the filter, in a child; 1000 + signal when that killed it. */
static int under(const struct seccomp_program *program, long number, long a, long b) {
  int *result = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (sys_seccomp_load(program->flags, program->filters, program->count) < 0) {
      _exit(1);
    }
    *result = syscall(number, a, b, 0, 0, 0, 0) < 0 ? errno : 0;
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  int value = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : status == 0 ? *result : -1;
  munmap(result, sizeof(int));
  return value;
}

static void test_in_the_kernel(void) {
  struct seccomp_program program = compiled(
      "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_TSYNC\","
      "\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"],\"syscalls\":["
      "{\"names\":[\"getppid\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":71},"
      "{\"names\":[\"getpgid\"],\"action\":\"SCMP_ACT_ERRNO\"},"
      "{\"names\":[\"getpgrp\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":5},"
      "{\"names\":[\"getuid\"],\"action\":\"SCMP_ACT_TRAP\"},"
      "{\"names\":[\"getgid\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
      "{\"names\":[\"geteuid\"],\"action\":\"SCMP_ACT_KILL_THREAD\"},"
      "{\"names\":[\"getegid\"],\"action\":\"SCMP_ACT_LOG\"},"
      "{\"names\":[\"cachestat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":72},"
      "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":97,\"args\":["
      "{\"index\":0,\"value\":38,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_EQ\"}]},"
      "{\"names\":[\"getsid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
  check(program.flags == (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW) && program.count > 4);
  check(under(&program, SYS_getppid, 0, 0) == 71);
  check(under(&program, SYS_getpgid, 0, 0) == EPERM);
  check(under(&program, SYS_getpgrp, 0, 0) == ENOSYS); /* no tracer */
  check(under(&program, SYS_getuid, 0, 0) == 1000 + SIGSYS);
  check(under(&program, SYS_getgid, 0, 0) == 1000 + SIGSYS);
  check(under(&program, SYS_geteuid, 0, 0) == 1000 + SIGSYS);
  check(under(&program, SYS_getegid, 0, 0) == 0);
  check(under(&program, 451, 0, 0) == 72);
  check(under(&program, SYS_getsid, 0, 0) == 0);
  check(under(&program, SYS_socket, 38, SOCK_STREAM) == 97);
  check(under(&program, SYS_socket, 40, SOCK_STREAM) == 97);
  check(under(&program, SYS_socket, AF_UNIX, SOCK_STREAM) == 0);
  check(native(&program, SYS_getpgrp, 0, 0) == (SECCOMP_RET_TRACE | 5));
  check(native(&program, SYS_getegid, 0, 0) == SECCOMP_RET_LOG);
  /* An architecture that the profile does not name. */
  check(ask(&program, AUDIT_ARCH_I386, 20, 0, 0) == SECCOMP_RET_KILL_THREAD);
  free(program.filters);
}

/* The same comparisons on a call of the library's and on one of the table's: both compilers say the same. */
static void test_operators(void) {
  static const uint64_t edge = UINT64_C(0x100000005);
  static const uint64_t values[] = {0,
                                    4,
                                    5,
                                    6,
                                    0xffffffff,
                                    UINT64_C(0x100000000),
                                    UINT64_C(0x100000004),
                                    UINT64_C(0x100000005),
                                    UINT64_C(0x100000006),
                                    UINT64_C(0x200000005),
                                    UINT64_MAX};
  for (size_t o = 0; seccomp_operator_name(o) != NULL; o++) {
    const char *op = seccomp_operator_name(o);
    bool masked = strcmp(op, "SCMP_CMP_MASKED_EQ") == 0;
    char *text = str_format(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getpgid\",\"futex_wake\"],\"action\":"
        "\"SCMP_ACT_ERRNO\",\"errnoRet\":7,\"args\":[{\"index\":1,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"%s\"}]}]}",
        (unsigned long long)(masked ? 0xffffffff0000000f : edge), (unsigned long long)(masked ? edge : 0), op);
    struct seccomp_program program = compiled(text);
    for (size_t v = 0; v < array_length(values); v++) {
      uint64_t at = values[v];
      bool fits = masked                           ? (at & 0xffffffff0000000f) == edge
                  : strcmp(op, "SCMP_CMP_NE") == 0 ? at != edge
                  : strcmp(op, "SCMP_CMP_LT") == 0 ? at < edge
                  : strcmp(op, "SCMP_CMP_LE") == 0 ? at <= edge
                  : strcmp(op, "SCMP_CMP_EQ") == 0 ? at == edge
                  : strcmp(op, "SCMP_CMP_GE") == 0 ? at >= edge
                                                   : at > edge;
      uint32_t expected = fits ? SECCOMP_RET_ERRNO | 7 : SECCOMP_RET_ALLOW;
      if (native(&program, SYS_getpgid, 1, at) != expected || native(&program, 454, 1, at) != expected) {
        fprintf(stderr, "%s with %llx: library %x, table %x, expected %x\n", op, (unsigned long long)at,
                native(&program, SYS_getpgid, 1, at), native(&program, 454, 1, at), expected);
        check_failures++;
      }
    }
    free(program.filters);
    free(text);
  }
}

/* Several arguments: all must fit. Several rules, or one argument twice: any. */
static void test_and_or(void) {
  struct seccomp_program program =
      compiled("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":["
               "{\"names\":[\"getpgid\",\"mseal\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
               "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]},"
               "{\"names\":[\"getpgid\",\"mseal\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":3,\"args\":["
               "{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_GE\"}]},"
               "{\"names\":[\"getsid\",\"statmount\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
               "{\"index\":0,\"value\":4,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":6,\"op\":\"SCMP_CMP_EQ\"}]},"
               "{\"names\":[\"getuid\",\"listmount\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
               "{\"index\":0,\"value\":4,\"op\":\"SCMP_CMP_EQ\"}]},"
               "{\"names\":[\"getuid\",\"listmount\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
  static const unsigned pairs[][3] = {{SYS_getpgid, SYS_getsid, SYS_getuid}, {462, 457, 458}};
  for (size_t i = 0; i < array_length(pairs); i++) {
    check(native(&program, pairs[i][0], 1, 2) == SECCOMP_RET_ALLOW);
    check(native(&program, pairs[i][0], 1, 3) == (SECCOMP_RET_ERRNO | ENOSYS));
    check(native(&program, pairs[i][0], 2, 2) == (SECCOMP_RET_ERRNO | ENOSYS));
    check(native(&program, pairs[i][0], 8, 2) == (SECCOMP_RET_ERRNO | 3));
    check(native(&program, pairs[i][1], 4, 0) == SECCOMP_RET_ALLOW);
    check(native(&program, pairs[i][1], 5, 0) == (SECCOMP_RET_ERRNO | ENOSYS));
    check(native(&program, pairs[i][1], 6, 0) == SECCOMP_RET_ALLOW);
    check(native(&program, pairs[i][2], 5, 0) == SECCOMP_RET_ALLOW);
  }
  free(program.filters);
}

static void test_architectures(void) {
  struct seccomp_program program =
      compiled("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\","
               "\"SCMP_ARCH_X32\"],\"syscalls\":["
               "{\"names\":[\"getpid\",\"futex_wake\",\"uretprobe\"],\"action\":\"SCMP_ACT_ALLOW\"},"
               "{\"names\":[\"getxattrat\"],\"action\":\"SCMP_ACT_ALLOW\","
               "\"args\":[{\"index\":0,\"value\":18446744073709551516,\"op\":\"SCMP_CMP_EQ\"}]}]}");
  check(native(&program, SYS_getpid, 0, 0) == SECCOMP_RET_ALLOW);
  check(ask(&program, AUDIT_ARCH_I386, 20, 0, 0) == SECCOMP_RET_ALLOW);
  check(native(&program, X32 + SYS_getpid, 0, 0) == SECCOMP_RET_ALLOW);
  check(native(&program, 454, 0, 0) == SECCOMP_RET_ALLOW);
  check(ask(&program, AUDIT_ARCH_I386, 454, 0, 0) == SECCOMP_RET_ALLOW);
  check(native(&program, X32 + 454, 0, 0) == SECCOMP_RET_ALLOW);
  check(native(&program, 335, 0, 0) == SECCOMP_RET_ALLOW);
  check(ask(&program, AUDIT_ARCH_I386, 335, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(native(&program, 464, UINT64_C(0xffffffffffffff9c), 0) == SECCOMP_RET_ALLOW);
  check(native(&program, 464, 0xffffff9c, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(ask(&program, AUDIT_ARCH_I386, 464, 0xffffff9c, 0) == SECCOMP_RET_ALLOW);
  /* Newer than all the profile names: as if the kernel did not have it. */
  check(native(&program, 463, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(native(&program, 465, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS));
  check(ask(&program, AUDIT_ARCH_I386, 465, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS));
  check(native(&program, X32 + 463, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(native(&program, X32 + 465, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS));
  check(ask(&program, AUDIT_ARCH_AARCH64, 465, 0, 0) == SECCOMP_RET_KILL_THREAD);
  free(program.filters);
  /* Nothing newer is let off where calls are to be counted or to kill. */
  program = compiled("{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"syscalls\":["
                     "{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
  check(native(&program, 465, 0, 0) == SECCOMP_RET_KILL_PROCESS);
  check(native(&program, X32 + SYS_getpid, 0, 0) == SECCOMP_RET_KILL_THREAD ||
        native(&program, X32 + SYS_getpid, 0, 0) == SECCOMP_RET_KILL_PROCESS);
  free(program.filters);
  program = compiled("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_AARCH64\","
                     "\"SCMP_ARCH_ARM\"],\"syscalls\":["
                     "{\"names\":[\"mkdirat\",\"cachestat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");
  check(ask(&program, AUDIT_ARCH_AARCH64, 34, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(ask(&program, AUDIT_ARCH_AARCH64, 451, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(ask(&program, AUDIT_ARCH_ARM, 451, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(ask(&program, AUDIT_ARCH_ARM, 323, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  free(program.filters);
}

static void test_notify(void) {
  struct seccomp_program program =
      compiled("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/run/x\",\"listenerMetadata\":\"m\","
               "\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],"
               "\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}");
  check(program.flags == (SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
  check(native(&program, SYS_mkdir, 0, 0) == SECCOMP_RET_USER_NOTIF);
  free(program.filters);
  refuses("{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/x\"}", "cannot be the default");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\",\"syscalls\":["
          "{\"names\":[\"mkdir\",\"sendmsg\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
          "cannot be used for sendmsg");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
          "{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
          "needs listenerPath");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"x\"}", "not an absolute path");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}", "needs listenerPath");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}",
          "needs a rule with SCMP_ACT_NOTIFY");
}

static void test_names(void) {
  struct seccomp_program program = {NULL, 0, 0};
  struct err err = ERR_INIT;
  cleanup_str struct str skipped = STR_INIT;
  check(compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"nothing\",\"listns\","
                "\"never\"],\"action\":\"SCMP_ACT_ERRNO\"}]}",
                &program, &skipped, &err) == 0);
  check_text(skipped.data, " nothing never");
  check(native(&program, 470, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
  check(native(&program, 471, 0, 0) == SECCOMP_RET_ALLOW);
  free(program.filters);
}

/* The table against the headers of the system it is built on, as far as they go. */
static void test_table(void) {
  static const struct {
    const char *file;
    uint32_t architecture;
  } headers[] = {{"unistd_64.h", SCMP_ARCH_X86_64}, {"unistd_32.h", SCMP_ARCH_X86}, {"unistd_x32.h", SCMP_ARCH_X32}};
  unsigned compared = 0;
  for (size_t h = 0; h < array_length(headers); h++) {
    char path[128], line[256], name[128], value[64];
    snprintf(path, sizeof(path), "/usr/include/x86_64-linux-gnu/asm/%s", headers[h].file);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
      if (sscanf(line, "#define __NR_%127s %63[^\n]", name, value) != 2) {
        continue;
      }
      int64_t number = syscall_number(headers[h].architecture, name);
      const char *digits = strpbrk(value, "0123456789");
      bool offset = strstr(value, "__X32_SYSCALL_BIT") != NULL;
      digits = offset ? strpbrk(strchr(value, '+'), "0123456789") : digits;
      if (number >= 0 && digits != NULL) {
        compared++;
        check(number == (offset ? X32 : 0) + atol(digits));
      }
    }
    if (file == NULL) {
      fprintf(stderr, "not compared with %s: not here\n", path);
    } else {
      fclose(file);
    }
  }
  check(compared == 0 || compared > 70);
  unsigned number = 0, previous = 0;
  for (size_t i = 0; syscall_entry(i, &number) != NULL; i++) {
    check(number > previous);
    previous = number;
  }
  check(syscall_number(SCMP_ARCH_MIPS64, "cachestat") == 5451);
  check(syscall_number(SCMP_ARCH_ARM, "memfd_secret") == -1);
}

/* Instructions that libseccomp does not use; what the kernel would refuse kills. */
static void test_simulated(void) {
  struct sock_filter filters[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8),
      BPF_STMT(BPF_ST, 3),
      BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 40),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x55),
      BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const struct seccomp_program program = {filters, sizeof(filters) / sizeof(filters[0]), 0};
  const struct seccomp_data data = {.args = {0, 2}};
  const struct seccomp_data zero = {.args = {0, 0}};
  check(seccomp_decide(&program, &data) == sizeof(data) - ((((40 + 2) << 1) ^ 0x55) / 2));
  check(seccomp_decide(&program, &zero) == SECCOMP_RET_KILL_PROCESS);
  filters[0].k = sizeof(data) - 3;
  check(seccomp_decide(&program, &data) == SECCOMP_RET_KILL_PROCESS);
  const struct seccomp_program endless = {filters + 1, 1, 0};
  check(seccomp_decide(&endless, &data) == SECCOMP_RET_KILL_PROCESS);

  struct seccomp_program profile = compiled(
      "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"setsid\"],\"action\":\"SCMP_ACT_ALLOW\"},"
      "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_LOG\"},{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\","
      "\"args\":[{\"index\":0,\"value\":2114060288,\"op\":\"SCMP_CMP_MASKED_EQ\",\"valueTwo\":0}]}]}");
  const struct {
    struct seccomp_call call;
    bool passes;
  } calls[] = {{{SYS_setsid, {0}}, true},
               {{SYS_close, {0}}, true},
               {{SYS_sendto, {0}}, false},
               {{SYS_clone, {CLONE_PARENT | SIGCHLD}}, true},
               {{SYS_clone, {CLONE_NEWUSER | SIGCHLD}}, false}};
  for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
    check(seccomp_allows(&profile, &calls[i].call) == calls[i].passes);
  }
  free(profile.filters);
}

int main(void) {
  test_simulated();
  test_in_the_kernel();
  test_operators();
  test_and_or();
  test_architectures();
  test_notify();
  test_names();
  test_table();
  refuses("{}", "defaultAction: missing");
  refuses("{\"defaultAction\":\"SCMP_ACT_SING\"}", "SCMP_ACT_SING is not supported");
  refuses("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "defaultErrnoRet");
  refuses("{\"defaultAction\":\"SCMP_ACT_KILL\",\"defaultErrnoRet\":1}", "SCMP_ACT_KILL takes no number");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}", "unknown architecture");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_S390X\"]}", "byte order");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "flag X is not supported");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_ERRNO\"}]}",
          "no call is named");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
          "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
          "syscalls[0].args[0].index");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
          "\"args\":[{\"index\":1,\"value\":1,\"op\":\"SCMP_CMP_IS\"}]}]}",
          "unknown comparison SCMP_CMP_IS");
  check_done();
}
