/* Found: new mount, pid, network, ipc and uts namespaces (clone3 made them); host file system fully visible. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "setup/setup.h"
#include "sys/syscalls.h"

/* Root of the user namespace, so that what is made from here on belongs to the container; without a root in it, the
   process's own user. */
int step_users(struct setup *setup, struct err *err) {
  if (!setup->own_users) {
    return 0;
  }
  /* Denied where the map was written without privileges. */
  if (sys_setgroups(0, NULL) < 0 && errno != EPERM) {
    return err_errno(err, "cannot drop groups");
  }
  if (sys_setresgid(0) < 0 && (errno != EINVAL || sys_setresgid(setup->process->gid) < 0)) {
    return err_errno(err, "cannot become group 0 of the user namespace");
  }
  if (sys_setresuid(0) < 0 && (errno != EINVAL || sys_setresuid(setup->process->uid) < 0)) {
    return err_errno(err, "cannot become user 0 of the user namespace");
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
    return err_errno(err, "cannot become undumpable");
  }
  return 0;
}

static int enter_cgroups(const struct setup *setup, struct err *err) {
  if (setup->own_users) {
    return cgroup_enter_entries(setup->entries, err);
  }
  return setup->cgroup == NULL ? 0 : cgroup_enter(setup->cgroup, setup->in_v2_cgroup, err);
}

int step_cgroups(struct setup *setup, struct err *err) {
  int r = enter_cgroups(setup, err);
  if (r < 0) {
    return r;
  }
  /* Only now: the root of a cgroup namespace is where its first process was. */
  const struct plan_namespace *own = plan_namespace(setup->plan, CLONE_NEWCGROUP);
  if (own != NULL && own->path == NULL && unshare(CLONE_NEWCGROUP) < 0) {
    return err_errno(err, "cannot make a cgroup namespace");
  }
  return 0;
}

int setup_namespace_fd(const struct setup *setup, int flag) {
  for (size_t i = 0; i < setup->plan->namespace_count; i++) {
    if (setup->plan->namespaces[i].flag == flag) {
      return setup->namespace_fds[i];
    }
  }
  return -1;
}

int step_namespaces(struct setup *setup, struct err *err) {
  for (size_t i = 0; !setup->joined_all && i < setup->plan->namespace_count; i++) {
    const struct plan_namespace *namespace = &setup->plan->namespaces[i];
    /* The pid namespace holds for children only, it and the mount namespace have steps of their own. */
    if (setup->namespace_fds[i] < 0 || namespace->flag == CLONE_NEWPID || namespace->flag == CLONE_NEWNS) {
      continue;
    }
    if (setns(setup->namespace_fds[i], namespace->flag) < 0) {
      return err_errno(err, "cannot join the %s namespace at %s", namespace->name, namespace->path);
    }
  }
  return 0;
}

/* Last of all: nothing in there is trusted with what is written through the host's files. */
int step_mount_namespace(struct setup *setup, struct err *err) {
  for (size_t i = 0; i < setup->plan->namespace_count; i++) {
    const struct plan_namespace *namespace = &setup->plan->namespaces[i];
    if (namespace->flag != CLONE_NEWNS || namespace->path == NULL) {
      continue;
    }
    if (setns(setup->namespace_fds[i], CLONE_NEWNS) < 0) {
      return err_errno(err, "cannot join the mount namespace at %s", namespace->path);
    }
  }
  return 0;
}

/* Found: nothing of the host left but what the runtime waits on. For the last process; whatever was made before, hooks
   for one, shall not be seen in there. exec has done it. */
int step_processes(struct setup *setup, struct err *err) {
  const struct plan_namespace *processes = plan_namespace(setup->plan, CLONE_NEWPID);
  return setup->makes_last && setns(setup_namespace_fd(setup, CLONE_NEWPID), CLONE_NEWPID) < 0
             ? err_errno(err, "cannot join the pid namespace at %s", processes->path)
             : 0;
}

/* A session keyring of its own: the caller's keys are not the container's. */
int setup_new_keyring(const struct setup *setup, struct err *err) {
  if (setup->keep_keyring || sys_join_session_keyring(setup->id) >= 0 || errno == ENOSYS) {
    return 0;
  }
  if (errno == EDQUOT || errno == EPERM) {
    setup_warn(setup, "cannot make a session keyring: %s: the container keeps the caller's", strerror(errno));
    return 0;
  }
  return err_errno(err, "cannot make a session keyring");
}

/* What is done through the host's /proc, on ourselves, while it is there. */
int step_host_processes(struct setup *setup, struct err *err) {
  const struct plan_process *process = setup->process;
  if (process->oom_score_adj_given && !setup->own_users) {
    char text[16];
    struct err why = ERR_INIT;
    snprintf(text, sizeof(text), "%d", process->oom_score_adj);
    if (file_write_existing(AT_FDCWD, "/proc/self/oom_score_adj", text, &why) < 0) {
      setup_warn(setup, "oomScoreAdj is not applied: %s", why.text);
    }
  }
  int r = labels_open_on_host(setup, err);
  return r < 0 ? r : setup_new_keyring(setup, err);
}

int step_runtime_hooks(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  if (plan->hooks[HOOK_PRESTART].count == 0 && plan->hooks[HOOK_CREATE_RUNTIME].count == 0) {
    return 0;
  }
  enum sync_kind kind = SYNC_FAILED;
  int r = sync_send(setup->sync, SYNC_NAMESPACES, NULL, err);
  r = r < 0 ? r : sync_receive(setup->sync, &kind, NULL, err);
  return r < 0 || kind == SYNC_CONTINUE ? r : err_set(err, EPROTO, "unexpected message");
}

int step_loopback(struct setup *setup, struct err *err) {
  const struct plan_namespace *network = plan_namespace(setup->plan, CLONE_NEWNET);
  if (network == NULL || network->path != NULL) {
    return 0;
  }
  cleanup_close int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request;
  memset(&request, 0, sizeof(request));
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (socket_fd < 0 || ioctl(socket_fd, SIOCSIFFLAGS, &request) < 0) {
    return err_errno(err, "cannot raise lo");
  }
  return 0;
}

int step_names(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  if (plan->hostname != NULL && sethostname(plan->hostname, strlen(plan->hostname)) < 0) {
    return err_errno(err, "cannot set hostname %s", plan->hostname);
  }
  if (plan->domainname != NULL && setdomainname(plan->domainname, strlen(plan->domainname)) < 0) {
    return err_errno(err, "cannot set domainname %s", plan->domainname);
  }
  return 0;
}

/* Files that only the host's root may write, though a call is there for every owner of the namespace. */
static bool set_name(const char *key, const char *value) {
  if (strncmp(key, "kernel", 6) != 0 || (key[6] != '.' && key[6] != '/')) {
    return false;
  }
  return (strcmp(key + 7, "domainname") == 0 && setdomainname(value, strlen(value)) == 0) ||
         (strcmp(key + 7, "hostname") == 0 && sethostname(value, strlen(value)) == 0);
}

/* Through the host's /proc: /proc/sys shows the namespaces of whoever looks. Nothing of the image is involved. */
int step_sysctls(struct setup *setup, struct err *err) {
  if (setup->plan->sysctl_count == 0) {
    return 0;
  }
  cleanup_close int base = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct statfs at;
  if (base < 0 || fstatfs(base, &at) < 0) {
    return err_errno(err, "cannot open /proc/sys");
  }
  if (at.f_type != PROC_SUPER_MAGIC) {
    return err_set(err, EPERM, "the host's /proc is not procfs");
  }
  for (size_t i = 0; i < setup->plan->sysctl_count; i++) {
    const struct plan_sysctl *sysctl = &setup->plan->sysctls[i];
    char path[256];
    if (set_name(sysctl->key, sysctl->value)) {
      continue;
    }
    if (strlen(sysctl->key) >= sizeof(path)) {
      return err_code(err, ENAMETOOLONG, "sysctl %s", sysctl->key);
    }
    strcpy(path, sysctl->key);
    /* Dots separate, unless the name uses slashes: then dots are part of it (an interface eth0.1). */
    for (char *c = path; strchr(sysctl->key, '/') == NULL && *c != '\0'; c++) {
      *c = *c == '.' ? '/' : *c;
    }
    int r = file_write_existing(base, path, sysctl->value, err);
    if (r < 0) {
      return err_prefix(err, "sysctl %s", sysctl->key);
    }
  }
  return 0;
}
