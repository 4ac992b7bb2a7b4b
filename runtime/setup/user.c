/* Found: root pivoted (or joined). From here on nothing but the process itself is changed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/idmap.h"
#include "setup/setup.h"
#include "sys/inroot.h"
#include "sys/syscalls.h"

#define LAST_CAPABILITY 63

/* One process more has to be made yet: for now as many as the kernel lets us, the last one goes down from there. */
static struct rlimit before_last(const struct plan_rlimit *limit) {
  struct rlimit now = limit->limit;
  (void)getrlimit((__rlimit_resource_t)limit->resource, &now);
  now.rlim_max = now.rlim_max > limit->limit.rlim_max ? now.rlim_max : limit->limit.rlim_max;
  return (struct rlimit){now.rlim_max, now.rlim_max};
}

int step_rlimits(struct setup *setup, struct err *err) {
  /* In a user namespace nobody may raise one: the runtime does it from outside. */
  for (size_t i = 0; !setup->own_users && i < setup->process->rlimit_count; i++) {
    const struct plan_rlimit *limit = &setup->process->rlimits[i];
    bool processes = setup->makes_last && limit->resource == RLIMIT_NPROC;
    const struct rlimit set = processes ? before_last(limit) : limit->limit;
    if (setrlimit((__rlimit_resource_t)limit->resource, &set) < 0) {
      struct rlimit now = {0, 0};
      int code = errno;
      (void)getrlimit((__rlimit_resource_t)limit->resource, &now);
      return err_code(err, code, "cannot set %s to soft %llu, hard %llu (this host's hard limit is %llu)", limit->name,
                      (unsigned long long)limit->limit.rlim_cur, (unsigned long long)limit->limit.rlim_max,
                      (unsigned long long)now.rlim_max);
    }
  }
  return 0;
}

static int check_held(const struct plan_capabilities *want, uint64_t held, const struct setup *setup,
                      struct plan_capabilities *ret_use) {
  *ret_use = *want;
  if (want->unknown != NULL) {
    setup_warn(setup, "capability %s is not known here: the container goes without", want->unknown);
  }
  uint64_t missing = (want->bounding | want->permitted | want->effective) & ~held;
  for (int c = 0; c <= LAST_CAPABILITY; c++) {
    if ((missing >> c & 1) != 0) {
      setup_warn(setup, "CAP_%s is not held by the runtime: the container goes without", capability_name(c));
    }
  }
  ret_use->bounding &= held;
  ret_use->permitted &= held;
  ret_use->effective &= held;
  ret_use->inheritable &= held;
  ret_use->ambient &= held;
  return 0;
}

int step_personality(struct setup *setup, struct err *err) {
  if (setup->personality != PLAN_UNSET && personality((unsigned long)setup->personality) < 0) {
    return err_errno(err, "cannot set linux.personality");
  }
  return 0;
}

static int set_groups(const struct setup *setup, const gid_t *groups, size_t count, struct err *err) {
  if (sys_setgroups(count, groups) == 0) {
    return 0;
  }
  /* With the right to: a user namespace whose maps were written without privileges, where nobody may drop a group. */
  if (errno == EPERM && idmap_holds(CAP_SETGID)) {
    return setup->process->group_count == 0
               ? 0
               : err_set(err, EPERM,
                         "process.user.additionalGids: setgroups is denied in a user namespace that was made without "
                         "privileges; leave them out");
  }
  return err_errno(err, "cannot set %zu groups", count);
}

/* Signals as a fresh process has them, supplementary groups, ids; capabilities survive the change of user for now. */
int step_user(struct setup *setup, struct err *err) {
  const struct plan_process *process = setup->process;
  for (int s = 1; s < NSIG; s++) {
    if (s != SIGKILL && s != SIGSTOP) {
      (void)signal(s, SIG_DFL);
    }
  }
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  umask(process->umask_given ? process->umask : 0022);
  /* The primary group belongs to the supplementary ones, or a denial to the group could be dodged. */
  gid_t groups[NGROUPS_MAX > 1024 ? 1024 : NGROUPS_MAX];
  size_t count = 0;
  if (process->group_count + 1 > array_length(groups)) {
    return err_set(err, E2BIG, "more than %zu additional groups", array_length(groups) - 1);
  }
  groups[count++] = process->gid;
  for (size_t i = 0; i < process->group_count; i++) {
    if (process->groups[i] != process->gid) {
      groups[count++] = process->groups[i];
    }
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
    return err_errno(err, "cannot keep capabilities");
  }
  if (process->capabilities.given) {
    uint64_t effective = 0, permitted = 0, inheritable = 0;
    if (sys_capget(&effective, &permitted, &inheritable) < 0) {
      return err_errno(err, "cannot read capabilities");
    }
    for (int c = 0; c <= LAST_CAPABILITY; c++) {
      if ((process->capabilities.bounding >> c & 1) == 0 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EINVAL) {
        return err_errno(err, "cannot drop CAP_%s from the bounding set", capability_name(c));
      }
    }
  }
  int r = set_groups(setup, groups, count, err);
  if (r < 0) {
    return r;
  }
  const char *unmapped = setup->own_users ? " (is it in the user namespace's map?)" : "";
  if (sys_setresgid(process->gid) < 0) {
    return err_errno(err, "cannot become group %u%s", process->gid, unmapped);
  }
  if (sys_setresuid(process->uid) < 0) {
    return err_errno(err, "cannot become user %u%s", process->uid, unmapped);
  }
  /* Changing ids made us dumpable as the host decides; it stays off until execution. */
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  /* The effective set was emptied with root's uid: what is permitted is still needed for the last steps. */
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  if (sys_capget(&effective, &permitted, &inheritable) < 0 || sys_capset(&permitted, &permitted, &inheritable) < 0) {
    return err_errno(err, "cannot raise capabilities");
  }
  return 0;
}

int setup_make_cwd(const struct setup *setup, int *ret_directory, struct err *err) {
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    return err_errno(err, "cannot open the container's root");
  }
  /* Resolved without /proc's magic links: /proc/self/fd/7 may be a way out. Created by the container's rules, in its
   * root. */
  mode_t mask = umask(0);
  int r = inroot_make_directory(root, setup->process->cwd, 0755, ret_directory, err);
  umask(mask);
  return r;
}

int step_directory(struct setup *setup, struct err *err) {
  const char *cwd = setup->process->cwd;
  cleanup_close int directory = -1;
  int r = setup_make_cwd(setup, &directory, err);
  if (r < 0) {
    return r;
  }
  if (fchdir(directory) < 0) {
    return err_errno(err, "cannot enter %s", cwd);
  }
  char path[PATH_MAX];
  if (getcwd(path, sizeof(path)) == NULL || path[0] != '/') {
    return err_set(err, ENOENT, "refused: working directory %s is outside the container's root", cwd);
  }
  return 0;
}

static bool is_program(const char *path, int *why) {
  struct stat at;
  if (stat(path, &at) < 0) {
    *why = errno == ENOTDIR ? ENOENT : errno;
    return false;
  }
  if (!S_ISREG(at.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
    *why = EACCES;
    return false;
  }
  return true;
}

/* As execvp does it, with the container's PATH, so that a missing program fails `create`, not the start. */
int step_program(struct setup *setup, struct err *err) {
  if (setup->process->args == NULL) {
    return 0; /* Created without a process; `start` refuses. */
  }
  const char *name = setup->process->args[0];
  int why = ENOENT;
  if (strchr(name, '/') != NULL) {
    if (!is_program(name, &why)) {
      return err_code(err, why, "cannot execute %s", name);
    }
    setup->program = strdup(name);
    return setup->program == NULL ? err_oom(err) : 0;
  }
  const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (size_t i = 0; i < setup->process->env.count; i++) {
    if (str_starts(setup->process->env.items[i], "PATH=")) {
      path = setup->process->env.items[i] + 5;
    }
  }
  bool denied = false;
  while (setup->program == NULL) {
    size_t length = strcspn(path, ":");
    char candidate[PATH_MAX];
    snprintf(candidate, sizeof(candidate), "%.*s/%s", length == 0 ? 1 : (int)length, length == 0 ? "." : path, name);
    if (is_program(candidate, &why)) {
      setup->program = strdup(candidate);
      return setup->program == NULL ? err_oom(err) : 0;
    }
    denied = denied || why == EACCES;
    if (path[length] == '\0') {
      break;
    }
    path += length + 1;
  }
  return denied ? err_code(err, EACCES, "cannot execute %s", name)
                : err_set(err, ENOENT, "cannot execute %s: not found in the container's PATH", name);
}

int setup_load_seccomp(const struct setup *setup, struct err *err) {
  const struct seccomp_program *program = setup->seccomp;
  if (program == NULL) {
    return 0;
  }
  int listener = sys_seccomp_load(program->flags, program->filters, program->count);
  if (listener < 0) {
    if (errno == EBUSY) {
      return err_set(err, EBUSY, "cannot load the seccomp program: this process has a filter with a listener already");
    }
    if (errno == EINVAL && (program->flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) != 0) {
      return err_set(err, EINVAL,
                     "cannot load the seccomp program: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19");
    }
    return err_errno(err, "cannot load the seccomp program");
  }
  if ((program->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0) {
    if (sync_send_fd(setup->sync, SYNC_LISTENER, listener, err) < 0) {
      __builtin_trap(); /* Nobody will answer: every further call could wait for ever. */
    }
    close(listener);
  }
  return 0;
}

bool setup_no_new_privileges(const struct setup *setup) {
  return setup->process->no_new_privileges || setup->forces_no_new_privileges;
}

/* A filter that notifies is handed to its listener before the container counts as created. */
bool setup_seccomp_is_last(const struct setup *setup) {
  return setup_no_new_privileges(setup) && setup->seccomp != NULL &&
         (setup->seccomp->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0;
}

static int set_capabilities(const struct setup *setup, struct err *err) {
  const struct plan_capabilities *want = &setup->process->capabilities;
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  struct plan_capabilities use;
  if (sys_capget(&effective, &permitted, &inheritable) < 0) {
    return err_errno(err, "cannot read capabilities");
  }
  if (!want->given) {
    /* Nothing said: a user other than root has none, inheritable is empty for everybody. */
    uint64_t none = 0;
    uint64_t kept = setup->process->uid == 0 ? permitted : 0;
    return sys_capset(&kept, &kept, &none) < 0 ? err_errno(err, "cannot drop capabilities") : 0;
  }
  check_held(want, permitted, setup, &use);
  if (sys_capset(&use.effective, &use.permitted, &use.inheritable) < 0) {
    return err_errno(err, "cannot set capabilities");
  }
  for (int c = 0; c <= LAST_CAPABILITY; c++) {
    if ((use.ambient >> c & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0) {
      return err_errno(err, "cannot make CAP_%s ambient", capability_name(c));
    }
  }
  return 0;
}

/* A process that is made last must never hold more than the container's capabilities: what needs more is done before.
 */
static void check_filter(struct setup *setup) {
  if (setup->makes_last && setup->seccomp != NULL && !setup->process->no_new_privileges &&
      !last_passes(setup, setup->seccomp)) {
    setup->forces_no_new_privileges = true;
    setup_warn(setup, "linux.seccomp: refuses clone, setsid or sendto, without which a process cannot enter a pid "
                      "namespace under it: this one gets no_new_privs");
  }
}

/* Without no_new_privs the kernel takes a filter only from a holder of CAP_SYS_ADMIN, so it is loaded before that goes;
   with it, the filter is the very last thing before execution: the calls until then need not be in the profile. */
int step_privileges(struct setup *setup, struct err *err) {
  int r = labels_write(setup, err);
  if (r < 0) {
    return r;
  }
  for (int i = 0; i < setup->preserve_fds; i++) {
    if (fcntl(3 + i, F_GETFD) < 0) {
      return err_errno(err, "--preserve-fds: descriptor %d", 3 + i);
    }
    r = fd_set_cloexec(3 + i, false, err);
    if (r < 0) {
      return r;
    }
  }
  check_filter(setup);
  bool last = setup_no_new_privileges(setup);
  r = last ? 0 : setup_load_seccomp(setup, err);
  r = r < 0 ? r : set_capabilities(setup, err);
  if (r < 0 || !last) {
    return r;
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return err_errno(err, "cannot set no_new_privs");
  }
  return setup->makes_last || setup_seccomp_is_last(setup) ? 0 : setup_load_seccomp(setup, err);
}
