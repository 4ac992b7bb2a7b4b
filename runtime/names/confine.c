#include "names/confine.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NOBODY 65534

/* No open, no socket, no fork, no exec: it works with what it was given. */
static const int allowed[] = {
    SCMP_SYS(read),         SCMP_SYS(write),           SCMP_SYS(recvfrom),    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),       SCMP_SYS(sendmsg),         SCMP_SYS(accept4),     SCMP_SYS(connect),
    SCMP_SYS(close),        SCMP_SYS(epoll_wait),      SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
    SCMP_SYS(getrandom),    SCMP_SYS(clock_gettime),   SCMP_SYS(brk),         SCMP_SYS(munmap),
    SCMP_SYS(mremap),       SCMP_SYS(madvise),         SCMP_SYS(exit_group),  SCMP_SYS(exit),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(futex),       SCMP_SYS(gettid),
    SCMP_SYS(getpid),
};

static int load_filter(struct err *err) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == NULL) {
    return err_oom(err);
  }
  int r = 0;
  for (size_t i = 0; r == 0 && i < array_length(allowed); i++) {
    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
  }
  /* Memory for data, never for code. */
  if (r == 0) {
    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
  }
  if (r == 0) {
    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
  }
  if (r == 0) {
    r = seccomp_load(filter);
  }
  seccomp_release(filter);
  return r < 0 ? err_code(err, r, "cannot load the system call filter of the name server") : 0;
}

int confine(struct err *err) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  if (chdir("/") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return err_errno(err, "cannot confine the name server");
  }
  /* Leaving id 0 clears every capability set. */
  if (geteuid() == 0 &&
      (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)) {
    return err_errno(err, "cannot drop the name server's privileges");
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
    return err_errno(err, "cannot confine the name server");
  }
  return load_filter(err);
}
