/*
 * exec: a go-between (between.h) joins the container's namespaces by its init's pidfd in one call, but stays outside of
 * the pid namespace. It goes through the steps there and then makes the process (setup/last.c): nothing in the
 * container gets anything by looking into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "container/attributes.h"
#include "container/between.h"
#include "container/console.h"
#include "container/container.h"
#include "sys/process.h"
#include "sys/syscalls.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

struct entry {
  const struct exec_options *options;
  struct arena arena;
  struct json document; /* of --process */
  struct plan_process process;
  struct seccomp_program seccomp;
  struct seccomp_listener listener;
  int listener_socket;
  char *state; /* for the listener */
  struct setup setup;
  struct container container;
  struct console console; /* a terminal without --console-socket */
  int init;               /* pidfd */
  int group;
  int pid_directory;
  char pid_name[NAME_MAX + 1];
  int sync;
  pid_t pid;
  int pidfd;
};

static int parse_user(struct plan_process *process, const char *text, struct err *err) {
  char copy[32];
  long long uid = 0, gid = process->gid;
  if (strlen(text) >= sizeof(copy)) {
    return err_set(err, EINVAL, "--user %s: expected UID or UID:GID", text);
  }
  strcpy(copy, text);
  char *colon = strchr(copy, ':');
  if (colon != NULL) {
    *colon = '\0';
  }
  /* Numbers only: names are the image's business and are looked up by whoever read the image. */
  if (str_to_long(copy, 0, UINT32_MAX - 1, &uid) < 0 ||
      (colon != NULL && str_to_long(colon + 1, 0, UINT32_MAX - 1, &gid) < 0)) {
    return err_set(err, EINVAL, "--user %s: expected UID or UID:GID as numbers", text);
  }
  process->uid = (uid_t)uid;
  process->gid = (gid_t)gid;
  return 0;
}

static int add_groups_and_capabilities(struct entry *entry, struct err *err) {
  const struct exec_options *options = entry->options;
  struct plan_process *process = &entry->process;
  if (options->add_groups.count > 0) {
    gid_t *groups = arena_get(&entry->arena, (process->group_count + options->add_groups.count) * sizeof(gid_t));
    if (groups == NULL) {
      return err_oom(err);
    }
    memcpy(groups, process->groups, process->group_count * sizeof(gid_t));
    for (size_t i = 0; i < options->add_groups.count; i++) {
      long long gid = 0;
      if (str_to_long(options->add_groups.items[i], 0, UINT32_MAX - 1, &gid) < 0) {
        return err_set(err, EINVAL, "--additional-gids %s: not a group number", options->add_groups.items[i]);
      }
      groups[process->group_count++] = (gid_t)gid;
    }
    process->groups = groups;
  }
  for (size_t i = 0; i < options->capabilities.count; i++) {
    int number = capability_number(options->capabilities.items[i]);
    if (number < 0) {
      return err_set(err, EINVAL, "--cap %s: unknown capability", options->capabilities.items[i]);
    }
    uint64_t bit = UINT64_C(1) << number;
    process->capabilities.given = true;
    process->capabilities.bounding |= bit;
    process->capabilities.permitted |= bit;
    process->capabilities.effective |= bit;
  }
  return 0;
}

static int read_process(struct entry *entry, struct err *err) {
  const struct exec_options *options = entry->options;
  if (options->process_file != NULL) {
    int r = json_read_file(AT_FDCWD, options->process_file, &entry->document, err);
    r = r < 0 ? r : plan_read_process(&entry->arena, &entry->document, &entry->process, err);
    return r < 0 ? err_prefix(err, "--process %s", options->process_file) : 0;
  }
  int r = plan_read_process(&entry->arena, &entry->container.process, &entry->process, err);
  if (r < 0) {
    return err_prefix(err, "state of container %s", options->id);
  }
  entry->process.terminal = options->terminal;
  entry->process.args = (const char **)options->args;
  entry->process.no_new_privileges = entry->process.no_new_privileges || options->no_new_privileges;
  if (options->cwd != NULL) {
    if (options->cwd[0] != '/') {
      return err_set(err, EINVAL, "--cwd %s: not an absolute path", options->cwd);
    }
    entry->process.cwd = options->cwd;
  }
  if (options->apparmor != NULL) {
    entry->process.apparmor_profile = options->apparmor;
  }
  if (options->process_label != NULL) {
    entry->process.selinux_label = options->process_label;
  }
  r = options->user == NULL ? 0 : parse_user(&entry->process, options->user, err);
  r = r < 0 ? r
            : plan_add_environment(&entry->arena, &entry->process.env, (const char *const *)options->env.items,
                                   options->env.count, err);
  return r < 0 ? r : add_groups_and_capabilities(entry, err);
}

/* The pid file is outside the container's mount namespace: its directory is held open before that is entered. */
static int open_pid_directory(struct entry *entry, struct err *err) {
  const char *path = entry->options->pid_file;
  if (path == NULL) {
    return 0;
  }
  const char *slash = strrchr(path, '/');
  char directory[PATH_MAX];
  snprintf(directory, sizeof(directory), "%.*s", slash == NULL ? 1 : (int)(slash - path + 1),
           slash == NULL ? "." : path);
  snprintf(entry->pid_name, sizeof(entry->pid_name), "%s", slash == NULL ? path : slash + 1);
  entry->pid_directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return entry->pid_directory < 0 ? err_errno(err, "cannot open %s", directory) : 0;
}

/* The filter of the container, and who is told of its notifications, met while the host's files are visible. */
static int prepare_seccomp(struct entry *entry, enum container_status status, struct err *err) {
  const struct container *container = &entry->container;
  int r = seccomp_load_stored(container->directory, "seccomp", &entry->seccomp, err);
  if (r < 0) {
    return r == -ENOENT ? 0 : r;
  }
  entry->setup.seccomp = &entry->seccomp;
  if ((entry->seccomp.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) {
    return 0;
  }
  struct json listener;
  r = json_object_at(&container->document, "seccomp", &listener, err);
  r = r < 0 ? r : seccomp_read_listener(&listener, &entry->listener, err);
  if (r == 0 && entry->listener.path == NULL) {
    r = err_set(err, EINVAL, "state of container %s: no seccomp listener", entry->options->id);
  }
  r = r < 0 ? r : container_state_text(container, status, &entry->state, err);
  if (r == 0) {
    entry->state[strcspn(entry->state, "\n")] = '\0'; /* It becomes a part of another document. */
  }
  return r < 0 ? r : container_connect(entry->listener.path, "seccomp listener", &entry->listener_socket, err);
}

static int open_console(struct entry *entry, struct err *err) {
  const struct exec_options *options = entry->options;
  if (options->console_socket != NULL && !entry->process.terminal) {
    return err_set(err, EINVAL, "--console-socket needs a terminal: --tty or process.terminal");
  }
  if (options->console_socket != NULL) {
    return container_connect(options->console_socket, "console socket", &entry->setup.console_socket, err);
  }
  if (entry->process.terminal && options->detach) {
    return err_set(err, EINVAL, "a terminal in the background needs --console-socket");
  }
  return entry->process.terminal ? console_open(&entry->console, &entry->setup.console_socket, err) : 0;
}

static bool has_controller(const struct cgroup_place *place, const char *names, size_t length) {
  for (const char *name = names; name < names + length;) {
    size_t size = strcspn(name, ",:");
    if (size == strlen(place->controllers) && strncmp(place->controllers, name, size) == 0) {
      return true;
    }
    name += size + 1;
  }
  return false;
}

/* --cgroup [CONTROLLER[,…]:]PATH: groups below the container's own that exist already. */
static int choose_cgroups(struct cgroup *cgroup, const struct str_list *wanted, struct err *err) {
  for (size_t i = 0; i < wanted->count; i++) {
    const char *text = wanted->items[i];
    const char *colon = strchr(text, ':');
    char path[512];
    int r = cgroup_path_clean(colon == NULL ? text : colon + 1, path, sizeof(path), NULL);
    if (r < 0) {
      return err_set(err, EINVAL, "--cgroup %s: expected a path below the container's cgroup", text);
    }
    size_t chosen = 0;
    for (size_t k = 0; k < cgroup->count; k++) {
      struct cgroup_place *place = &cgroup->places[k];
      if (colon != NULL && !has_controller(place, text, (size_t)(colon - text))) {
        continue;
      }
      if (strlen(place->directory) + strlen(path) >= sizeof(place->directory)) {
        return err_code(err, ENAMETOOLONG, "--cgroup %s", text);
      }
      strcat(place->directory, path);
      if (access(place->directory, F_OK) < 0) {
        return err_errno(err, "--cgroup %s: %s", text, place->directory);
      }
      chosen++;
    }
    if (chosen == 0) {
      return err_set(err, EINVAL, "--cgroup %s: the container has no such hierarchy", text);
    }
  }
  return 0;
}

/* A container in a joined mount namespace has not that namespace's root. */
static int open_entered_root(struct entry *entry, struct err *err) {
  const struct container *container = &entry->container;
  if (!container->mounts_joined) {
    return 0;
  }
  char path[48];
  snprintf(path, sizeof(path), "/proc/%d/root", (int)container->pid);
  entry->setup.entered_root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return entry->setup.entered_root < 0 ? err_errno(err, "cannot open %s", path) : 0;
}

static int prepare(struct entry *entry, struct err *err) {
  const struct exec_options *options = entry->options;
  struct container *container = &entry->container;
  int r = container_open(options->root, options->id, false, container, err);
  if (r < 0) {
    return r;
  }
  enum container_status status = container_status(container);
  if (status == CONTAINER_PAUSED && !options->ignore_paused) {
    return err_set(err, EINVAL,
                   "cannot execute in container %s: it is paused; --ignore-paused does, when it is resumed",
                   options->id);
  }
  if (status == CONTAINER_CREATING || status == CONTAINER_STOPPED) {
    return err_set(err, EINVAL, "cannot execute in container %s: it is %s", options->id,
                   container_status_names[status]);
  }
  if (status == CONTAINER_CREATED && geteuid() != 0) {
    return err_set(err, EPERM,
                   "cannot execute in container %s before it is started: an unprivileged user may enter a running one "
                   "only",
                   options->id);
  }
  entry->setup.personality = container->personality;
  r = read_process(entry, err);
  r = r < 0 ? r : process_open(container->pid, container->start_time, &entry->init, err);
  if (r < 0) {
    return r;
  }
  r = open_entered_root(entry, err);
  r = r < 0 ? r : open_console(entry, err);
  r = r < 0 ? r : labels_check(&entry->setup, err);
  r = r < 0 ? r : prepare_seccomp(entry, status, err);
  r = r < 0 ? r : open_pid_directory(entry, err);
  if (r < 0) {
    return r;
  }
  if (entry->process.oom_score_adj_given && !container->own_users) {
    char text[16];
    struct err why = ERR_INIT;
    snprintf(text, sizeof(text), "%d", entry->process.oom_score_adj);
    if (file_write_existing(AT_FDCWD, "/proc/self/oom_score_adj", text, &why) < 0) {
      log_warn("oomScoreAdj is not applied: %s", why.text);
    }
  }
  r = choose_cgroups(&container->cgroup, &options->cgroups, err);
  if (r < 0) {
    return r;
  }
  entry->group = options->cgroups.count > 0 ? cgroup_clone_target(&container->cgroup)
                                            : cgroup_join_target(&container->cgroup, container->pid);
  return cgroup_open_entries(&container->cgroup, entry->group >= 0, entry->setup.entries, err);
}

_Noreturn static void run_child(struct setup *setup) {
  child_main(setup, exec_steps);
}

static int join_and_clone(struct entry *entry, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  entry->sync = ends[0];
  entry->setup.sync = ends[1];
  const struct container *container = &entry->container;
  int namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID;
  namespaces |= container->own_time ? CLONE_NEWTIME : 0;
  int r = attributes_set_cpus(0, entry->process.initial_cpus, "initial", err);
  if (r < 0) {
    return r;
  }
  entry->setup.own_users = container->own_users;
  const struct between between = {
      .setup = &entry->setup,
      .joined_init = entry->init,
      .joined = namespaces | (container->own_users ? CLONE_NEWUSER : 0),
      .executes = true,
      .group = entry->group,
      .peer = entry->sync,
      .child = run_child,
  };
  return between_clone(&between, &entry->pid, &entry->pidfd, err);
}

/* The child is in its cgroups now. */
static int apply_attributes(const struct entry *entry, struct err *err) {
  int r = attributes_apply(entry->pid, &entry->process, entry->container.own_users, err);
  return r < 0 ? r : attributes_set_cpus(entry->pid, entry->process.final_cpus, "final", err);
}

static int write_pid(const struct entry *entry, struct err *err) {
  char text[16];
  snprintf(text, sizeof(text), "%d", (int)entry->pid);
  return entry->pid_directory < 0
             ? 0
             : file_write_atomic(entry->pid_directory, entry->pid_name, text, strlen(text), 0644, 0, err);
}

static int hand_over_listener(void *data, int listener, struct err *err) {
  const struct entry *entry = data;
  const char *version = "1.0.0";
  int r = json_string_at(&entry->container.document, "ociVersion", &version, err);
  struct seccomp_handover handover = {.socket = entry->listener_socket,
                                      .listener = &entry->listener,
                                      .oci_version = version,
                                      .state = entry->state,
                                      .pid = entry->pid};
  return r < 0 ? r : seccomp_hand_over(&handover, listener, err);
}

static int take_made(void *data, pid_t pid, struct err *err) {
  struct entry *entry = data;
  return container_take_made(pid, &entry->pid, &entry->pidfd, err);
}

static int enter(struct entry *entry, int *ret_status, struct err *err) {
  int r = prepare(entry, err);
  if (r == 0 && !entry->options->detach) {
    container_hold_signals();
  }
  r = r < 0 ? r : join_and_clone(entry, err);
  if (r < 0) {
    return r;
  }
  const struct await_calls calls = {
      .on_made = take_made, .on_listener = entry->listener_socket < 0 ? NULL : hand_over_listener, .data = entry};
  r = container_await_ready(entry->sync, &calls, err);
  r = r < 0 ? r : apply_attributes(entry, err);
  r = r < 0 ? r : write_pid(entry, err);
  if (r == 0 && entry->console.pair >= 0) {
    r = console_attach(&entry->console, err);
  }
  r = r < 0 ? r : sync_send(entry->sync, SYNC_COMMIT, NULL, err);
  if (r < 0) {
    (void)sys_pidfd_send_signal(entry->pidfd, SIGKILL);
    return r;
  }
  *ret_status = 0;
  return entry->options->detach ? 0
                                : container_supervise(entry->pid, entry->pidfd, &entry->console, NULL, ret_status, err);
}

int container_exec(const struct exec_options *options, int *ret_status, struct err *err) {
  struct entry entry;
  memset(&entry, 0, sizeof(entry));
  entry.options = options;
  entry.container = (struct container)CONTAINER_INIT;
  entry.console = (struct console){.pair = -1, .outer = -1};
  entry.init = entry.group = entry.pid_directory = entry.sync = entry.pidfd = entry.listener_socket = -1;
  memset(entry.setup.entries, -1, sizeof(entry.setup.entries));
  struct setup *setup = &entry.setup;
  setup->process = &entry.process;
  setup->id = options->id;
  setup->preserve_fds = options->preserve_fds;
  setup->makes_last = true;
  setup->sync = setup->start_fifo = setup->start_error = setup->console_socket = -1;
  setup->root = setup->null_file = setup->terminal = setup->apparmor = setup->selinux = -1;
  setup->root_tree = setup->entered_root = -1;
  int r = enter(&entry, ret_status, err);
  cleanup_close_at(&entry.pidfd);
  console_close(&entry.console);
  /* The process is about to end: descriptors go with it. */
  container_close(&entry.container);
  free(entry.seccomp.filters);
  free(entry.state);
  json_free(&entry.document);
  arena_free(&entry.arena);
  return r;
}
