#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spec/seccomp.h"
#include "sys/syscalls.h"
#include "tests/check.h"

static int compile(const char *text, struct seccomp_program *program, struct err *err) {
  struct json document = {.value = NULL, .path = ""};
  int r = json_parse(text, strlen(text), &document, err);
  r = r < 0 ? r : seccomp_compile(&document, program, err);
  json_free(&document);
  return r;
}

static void refuses(const char *text, const char *why) {
  struct seccomp_program program = {NULL, 0, 0};
  struct err err = ERR_INIT;
  check(compile(text, &program, &err) < 0);
  check_contains(err.text, why);
}

/* errno of a call under the filter, in a child. */
static int under(const struct seccomp_program *program, long number, long a, long b) {
  int *result = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (sys_seccomp_load(program->flags, program->filters, program->count) < 0) {
      _exit(1);
    }
    *result = syscall(number, a, b, 0, 0, 0, 0) < 0 ? errno : 0;
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  int value = status == 0 ? *result : -1;
  munmap(result, sizeof(int));
  return value;
}

static void test_program(void) {
  struct seccomp_program program = {NULL, 0, 0};
  struct err err = ERR_INIT;
  const char *text =
      "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"syscalls\":["
      "{\"names\":[\"getppid\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":71},"
      "{\"names\":[\"getpgid\"],\"action\":\"SCMP_ACT_ERRNO\"},"
      "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":97,\"args\":["
      "{\"index\":0,\"value\":38,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_EQ\"}]},"
      "{\"names\":[\"getsid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
  check(compile(text, &program, &err) == 0);
  check_text(err.text, "");
  check(program.flags == SECCOMP_FILTER_FLAG_LOG && program.count > 4);
  check(under(&program, SYS_getppid, 0, 0) == 71);
  check(under(&program, SYS_getpgid, 0, 0) == EPERM);
  check(under(&program, SYS_getsid, 0, 0) == 0);
  check(under(&program, SYS_socket, 38, SOCK_STREAM) == 97);
  check(under(&program, SYS_socket, 40, SOCK_STREAM) == 97);
  check(under(&program, SYS_socket, AF_UNIX, SOCK_STREAM) == 0);
  free(program.filters);
}

int main(void) {
  test_program();
  refuses("{}", "defaultAction: missing");
  refuses("{\"defaultAction\":\"SCMP_ACT_SING\"}", "SCMP_ACT_SING is not supported");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}", "unknown architecture");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "flag X is not supported");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}", "listenerPath is not supported");
  refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
          "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
          "syscalls[0].args[0].index");
  check_done();
}
