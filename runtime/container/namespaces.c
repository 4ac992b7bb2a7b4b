#include "container/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const char *own_path(int flag) {
  static const struct {
    int flag;
    const char *path;
  } paths[] = {
      {CLONE_NEWPID, "/proc/self/ns/pid"},   {CLONE_NEWNET, "/proc/self/ns/net"},
      {CLONE_NEWIPC, "/proc/self/ns/ipc"},   {CLONE_NEWUTS, "/proc/self/ns/uts"},
      {CLONE_NEWUSER, "/proc/self/ns/user"}, {CLONE_NEWCGROUP, "/proc/self/ns/cgroup"},
      {CLONE_NEWTIME, "/proc/self/ns/time"},
  };
  for (size_t i = 0; i < array_length(paths); i++) {
    if (paths[i].flag == flag) {
      return paths[i].path;
    }
  }
  return "/proc/self/ns/mnt";
}

static bool same_file(int fd, const struct stat *other) {
  struct stat at;
  return fstat(fd, &at) == 0 && at.st_dev == other->st_dev && at.st_ino == other->st_ino;
}

static bool is_own(int fd, int flag) {
  struct stat own;
  return stat(own_path(flag), &own) == 0 && same_file(fd, &own);
}

/* A namespace of the host's by path is as good as none: what would be set in it is the host's. */
static int check_shared(const struct plan *plan, const struct plan_namespace *namespace, struct err *err) {
  if (namespace->flag == CLONE_NEWNS) {
    return err_set(err, EPERM, "%s is the runtime's own mount namespace: the container's mounts would be the host's",
                   namespace->path);
  }
  if (namespace->flag == CLONE_NEWUTS && (plan->hostname != NULL || plan->domainname != NULL)) {
    return err_set(err, EPERM, "hostname, domainname: would change the host: %s is its uts namespace", namespace->path);
  }
  for (size_t i = 0; i < plan->sysctl_count; i++) {
    if (plan_sysctl_owner(plan->sysctls[i].key) == namespace->flag) {
      return err_set(err, EPERM, "linux.sysctl: %s would change the host: %s is its %s namespace", plan->sysctls[i].key,
                     namespace->path, namespace->name);
    }
  }
  return 0;
}

static int open_one(struct setup *setup, size_t index, struct err *err) {
  const struct plan_namespace *namespace = &setup->plan->namespaces[index];
  cleanup_close int fd = open(namespace->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open %s namespace %s", namespace->name, namespace->path);
  }
  if (ioctl(fd, NS_GET_NSTYPE) != namespace->flag) {
    return err_set(err, EINVAL, "%s is not a %s namespace", namespace->path, namespace->name);
  }
  if (is_own(fd, namespace->flag)) {
    return check_shared(setup->plan, namespace, err);
  }
  setup->own_users = setup->own_users || namespace->flag == CLONE_NEWUSER;
  setup->namespace_fds[index] = take_fd(&fd);
  return 0;
}

/* The number that ls -l /proc/PID/ns/user shows. */
static unsigned long long number_of(const struct stat *at) {
  return (unsigned long long)at->st_ino;
}

/* The container must have rights over the network it joins, or nothing in there could be set up or used as it expects:
   user and network namespace are one pair. Its owner is the container's user namespace or one made in that. */
static int check_network_owner(const struct setup *setup, struct err *err) {
  const struct plan_namespace *network = plan_namespace(setup->plan, CLONE_NEWNET);
  const struct plan_namespace *users = plan_namespace(setup->plan, CLONE_NEWUSER);
  int joined = setup_namespace_fd(setup, CLONE_NEWNET);
  struct stat wanted, owner_at;
  if (joined < 0) {
    return 0;
  }
  int users_fd = setup_namespace_fd(setup, CLONE_NEWUSER);
  bool fresh = users != NULL && users->path == NULL;
  if (!fresh && (users_fd < 0 ? stat(own_path(CLONE_NEWUSER), &wanted) : fstat(users_fd, &wanted)) < 0) {
    return err_errno(err, "cannot look at the user namespace");
  }
  cleanup_close int owner = ioctl(joined, NS_GET_USERNS);
  if (owner < 0 || fstat(owner, &owner_at) < 0) {
    return err_set(err, EPERM, "network namespace %s belongs to a user namespace outside the runtime's", network->path);
  }
  for (int at = dup(owner); !fresh && at >= 0;) {
    bool same = same_file(at, &wanted);
    int parent = same ? -1 : ioctl(at, NS_GET_PARENT);
    close(at);
    if (same) {
      return 0;
    }
    at = parent;
  }
  return fresh ? err_set(err, EPERM,
                         "network namespace %s belongs to user namespace user:[%llu], the container would get a new "
                         "one without rights over it; join both by path, they are one pair",
                         network->path, number_of(&owner_at))
               : err_set(err, EPERM,
                         "network namespace %s belongs to user namespace user:[%llu], the container is in "
                         "user:[%llu]; join both by path, they are one pair",
                         network->path, number_of(&owner_at), number_of(&wanted));
}

int namespaces_open(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  for (size_t i = 0; i < plan->namespace_count; i++) {
    setup->own_users =
        setup->own_users || (plan->namespaces[i].path == NULL && plan->namespaces[i].flag == CLONE_NEWUSER);
    int r = plan->namespaces[i].path == NULL ? 0 : open_one(setup, i, err);
    if (r < 0) {
      return r;
    }
  }
  setup->makes_last = setup_namespace_fd(setup, CLONE_NEWPID) >= 0;
  return check_network_owner(setup, err);
}

uint64_t namespaces_made(const struct plan *plan) {
  uint64_t flags = 0;
  for (size_t i = 0; i < plan->namespace_count; i++) {
    if (plan->namespaces[i].path == NULL && plan->namespaces[i].flag != CLONE_NEWCGROUP) {
      flags |= (uint64_t)(unsigned)plan->namespaces[i].flag;
    }
  }
  return flags;
}

bool namespaces_need_between(const struct setup *setup) {
  return setup->own_users || setup->makes_last || (namespaces_made(setup->plan) & CLONE_NEWTIME) != 0;
}
