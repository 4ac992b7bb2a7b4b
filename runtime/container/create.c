#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "cgroup/systemd/scope.h"
#include "container/attributes.h"
#include "container/between.h"
#include "container/console.h"
#include "container/container.h"
#include "container/creation.h"
#include "container/namespaces.h"
#include "container/notify.h"
#include "container/usher.h"
#include "sys/process.h"
#include "sys/syscalls.h"

int container_connect(const char *path, const char *what, int *ret_socket, struct err *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return err_errno(err, "cannot make a socket");
  }
  size_t length = strlen(path);
  if (length >= sizeof(address.sun_path)) {
    return err_code(err, ENAMETOOLONG, "%s %s", what, path);
  }
  memcpy(address.sun_path, path, length + 1);
  if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
    return err_errno(err, "cannot connect to %s %s", what, path);
  }
  *ret_socket = take_fd(&fd);
  return 0;
}

int container_write_pid_file(const char *path, pid_t pid, struct err *err) {
  char text[16];
  snprintf(text, sizeof(text), "%d", (int)pid);
  return path == NULL ? 0 : file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, 0, err);
}

/* What has been heard so far. */
struct heard {
  bool ready, made;
  int listener; /* came before its process is known; -1 */
};

static int hand_on(const struct await_calls *calls, struct heard *heard, struct err *err) {
  cleanup_close int listener = heard->made ? take_fd(&heard->listener) : -1;
  return listener < 0 ? 0 : calls->on_listener(calls->data, listener, err);
}

static int hear(int sync, const struct await_calls *calls, struct heard *heard, struct err *err) {
  enum sync_kind kind = SYNC_FAILED;
  struct err text = ERR_INIT;
  cleanup_close int passed = -1;
  int r = sync_receive_fd(sync, &kind, &text, &passed, err);
  if (r < 0) {
    return r != -EPIPE ? r
           : calls->on_listener == NULL
               ? err_set(err, EPIPE, "the container's first process died while being set up")
               : err_set(err, EPIPE,
                         "the process died while being set up: a seccomp profile with a listener must allow sendmsg");
  }
  switch (kind) {
  case SYNC_WARNING:
    log_warn("%s", text.text);
    return 0;
  case SYNC_NAMESPACES:
    r = calls->on_namespaces == NULL ? 0 : calls->on_namespaces(calls->data, err);
    return r < 0 ? r : sync_send(sync, SYNC_CONTINUE, NULL, err);
  case SYNC_LISTENER:
    if (calls->on_listener == NULL || passed < 0 || heard->listener >= 0) {
      return err_set(err, EPROTO, "a seccomp listener came that nobody asked for");
    }
    heard->listener = take_fd(&passed);
    return hand_on(calls, heard, err);
  case SYNC_MADE:
    if (heard->made) {
      return err_set(err, EPROTO, "a process was made that nobody asked for");
    }
    heard->made = true;
    r = calls->on_made(calls->data, text.code, err);
    return r < 0 ? r : hand_on(calls, heard, err);
  case SYNC_FAILED:
    return err_set(err, text.code, "%s", text.text);
  case SYNC_READY:
    heard->ready = true;
    return 0;
  case SYNC_CONTINUE:
  case SYNC_COMMIT:
    break;
  }
  return err_set(err, EPROTO, "unexpected message from the container's first process");
}

int container_await_ready(int sync, const struct await_calls *calls, struct err *err) {
  struct heard heard = {.made = calls->on_made == NULL, .listener = -1};
  int r = 0;
  while (r == 0 && !(heard.ready && heard.made)) {
    r = hear(sync, calls, &heard, err);
  }
  if (heard.listener >= 0) {
    close(heard.listener);
  }
  return r;
}

int container_take_made(pid_t made, pid_t *pid, int *pidfd, struct err *err) {
  /* A child of ours: whatever happens to it in there, its number stays its own. */
  cleanup_close int process = sys_pidfd_open(made);
  if (process < 0) {
    return err_errno(err, "cannot open the container's process");
  }
  while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
  }
  close(*pidfd);
  *pidfd = take_fd(&process);
  *pid = made;
  return 0;
}

static int make_directory(struct creation *creation, struct err *err) {
  char path[PATH_MAX];
  const struct create_options *options = creation->options;
  int n = snprintf(path, sizeof(path), "%s/%s", options->root, options->id);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    return err_code(err, ENAMETOOLONG, "--root");
  }
  if (mkdir(path, 0700) < 0) {
    if (errno == ENOENT) {
      int r = file_mkdir_p(AT_FDCWD, options->root, 0700, err);
      if (r < 0) {
        return r;
      }
    }
    if (mkdir(path, 0700) < 0) {
      return errno == EEXIST ? err_set(err, EEXIST, "container %s exists already", options->id)
                             : err_errno(err, "cannot create %s", path);
    }
  }
  creation->made_directory = true;
  creation->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return creation->directory < 0 ? err_errno(err, "cannot open %s", path) : 0;
}

static int make_start_fifo(struct creation *creation, struct err *err) {
  if (creation->options->run) {
    return 0;
  }
  /* Opened for both: it never blocks, and while the process waits there is a reader for `start` to find. */
  if (mkfifoat(creation->directory, "start", 0600) < 0) {
    return err_errno(err, "cannot make the start fifo");
  }
  creation->setup.start_fifo = openat(creation->directory, "start", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  creation->setup.start_error =
      openat(creation->directory, "start-error", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (creation->setup.start_fifo < 0 || creation->setup.start_error < 0) {
    return err_errno(err, "cannot open the start fifo");
  }
  return 0;
}

static int read_config(struct creation *creation, struct err *err) {
  const struct create_options *options = creation->options;
  struct json document = {.value = NULL, .path = ""};
  if (realpath(options->bundle, creation->bundle) == NULL) {
    return err_errno(err, "cannot find bundle %s", options->bundle);
  }
  cleanup_close int bundle = open(creation->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (bundle < 0) {
    return err_errno(err, "cannot open bundle %s", creation->bundle);
  }
  int r = json_read_file(bundle, "config.json", &document, err);
  r = r < 0 ? r : plan_build(&document, &creation->plan, err);
  if (r < 0) {
    return r;
  }
  const struct plan *plan = &creation->plan;
  bool absolute = plan->root_path[0] == '/';
  int n = snprintf(creation->rootfs, sizeof(creation->rootfs), "%s%s%s", absolute ? "" : creation->bundle,
                   absolute ? "" : "/", plan->root_path);
  if (n < 0 || (size_t)n >= sizeof(creation->rootfs)) {
    return err_code(err, ENAMETOOLONG, "root.path");
  }
  if (plan->process.args == NULL && options->run) {
    return err_set(err, EINVAL, "config.json: process: missing, run needs it");
  }
  bool own_console = creation->running != NULL && creation->running->console != NULL;
  if (plan->process.terminal && options->console_socket == NULL && !own_console && !options->dry_run) {
    return err_set(err, EINVAL, "process.terminal needs --console-socket: a listening unix socket that takes the pty");
  }
  if (!plan->process.terminal && options->console_socket != NULL) {
    return err_set(err, EINVAL, "--console-socket needs process.terminal");
  }
  return 0;
}

/* A user without rights over the host's groups counts from the group he is in: that may have been given to him. */
static int choose_cgroup(const struct creation *creation, char *path, size_t capacity, struct err *err) {
  const char *given = creation->plan.cgroup_path;
  char own[300] = "", wanted[512];
  bool relative = given == NULL || given[0] != '/';
  if (relative && cgroup_user_is_confined()) {
    (void)cgroup_own_path(own, sizeof(own), NULL);
  }
  int n = given == NULL || given[0] == '\0'
              ? snprintf(wanted, sizeof(wanted), "%s/tscompose/%s", own, creation->options->id)
              : snprintf(wanted, sizeof(wanted), "%s%s%s", own, relative ? "/" : "", given);
  if (n < 0 || (size_t)n >= sizeof(wanted)) {
    return err_code(err, ENAMETOOLONG, "linux.cgroupsPath");
  }
  return cgroup_path_clean(wanted, path, capacity, err);
}

/* systemd makes the group; the name of its unit comes first, so that an interrupted create can be cleaned up. */
static int make_scope(struct creation *creation, struct err *err) {
  cleanup_bus struct bus bus = BUS_INIT;
  struct scope_name name;
  char description[160];
  const char *id = creation->options->id;
  const struct scope_request request = {description, &creation->plan.resources, &creation->plan.annotations};
  snprintf(description, sizeof(description), "container %s", id);
  int r = cgroup_layout_read(&creation->layout, err);
  r = r < 0 ? r : scope_name_parse(creation->plan.cgroup_path, id, cgroup_user_is_confined(), &name, err);
  r = r < 0 ? r : scope_connect(&bus, err);
  r = r < 0 ? r : scope_start(&bus, &name, &request, &creation->scope, err);
  if (r < 0) {
    return r;
  }
  const char *path = creation->scope.path;
  snprintf(creation->unit, sizeof(creation->unit), "%s", name.unit);
  r = file_write_atomic(creation->directory, "scope", name.unit, strlen(name.unit), 0600, 0, err);
  r = r < 0 ? r : incomplete_start(creation->directory, path, err);
  r = r < 0 ? r : cgroup_adopt(&creation->layout, path, &creation->plan.resources, &creation->cgroup, err);
  creation->made_cgroup = r == 0;
  return r;
}

static int make_cgroups(struct creation *creation, struct err *err) {
  char path[512];
  if (creation->options->systemd_cgroup) {
    return make_scope(creation, err);
  }
  int r = choose_cgroup(creation, path, sizeof(path), err);
  r = r < 0 ? r : cgroup_layout_read(&creation->layout, err);
  /* Should we be killed half-way, `delete --force` finds the groups by this. */
  r = r < 0 ? r : incomplete_start(creation->directory, path, err);
  r = r < 0 ? r : cgroup_create(&creation->layout, path, &creation->plan.resources, &creation->cgroup, err);
  if (r < 0) {
    return r;
  }
  creation->made_cgroup = true;
  return 0;
}

static void run_child(struct setup *setup) {
  child_main(setup, container_steps);
}

static int clone_between(struct creation *creation, struct err *err) {
  struct setup *setup = &creation->setup;
  setup->joined_all = true;
  int r = setup->own_users ? cgroup_open_entries(&creation->cgroup, false, setup->entries, err) : 0;
  const struct between between = {
      .setup = setup,
      .made = namespaces_made(&creation->plan),
      .join_users = setup->own_users && (namespaces_made(&creation->plan) & CLONE_NEWUSER) == 0,
      .joined_init = -1,
      .group = -1,
      .peer = creation->sync,
      .child = run_child,
  };
  r = r < 0 ? r : between_clone(&between, &creation->pid, &creation->pidfd, err);
  for (size_t i = 0; i < array_length(setup->entries); i++) {
    if (setup->entries[i] >= 0) {
      close(setup->entries[i]);
    }
  }
  return r;
}

static int clone_directly(struct creation *creation, struct err *err) {
  cleanup_close int group = cgroup_clone_target(&creation->cgroup);
  uint64_t flags = namespaces_made(&creation->plan);
  /* A sibling instead of a child: our caller, the monitor, is its parent and reaps it. Process 1 may not do so. */
  if (!creation->options->wait && getpid() != 1) {
    flags |= CLONE_PARENT;
  }
  int signal_number = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  creation->setup.in_v2_cgroup = group >= 0;
  pid_t pid = sys_clone3(flags, signal_number, group, &creation->pidfd);
  if (pid < 0 && group >= 0 && (errno == EBUSY || errno == EOPNOTSUPP || errno == EACCES)) {
    /* A threaded or internal v2 group takes nobody by clone; the child says what is wrong when it enters. */
    creation->setup.in_v2_cgroup = false;
    pid = sys_clone3(flags, signal_number, -1, &creation->pidfd);
  }
  if (pid < 0) {
    return err_errno(
        err, "cannot make the container's first process%s",
        errno == EPERM && geteuid() != 0 ? " (an unprivileged caller needs a user namespace in linux.namespaces)" : "");
  }
  if (pid == 0) {
    close(creation->sync);
    child_main(&creation->setup, container_steps);
  }
  creation->pid = pid;
  close(creation->setup.sync);
  creation->setup.sync = -1;
  return 0;
}

static int clone_child(struct creation *creation, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  creation->sync = ends[0];
  creation->setup.sync = ends[1];
  int r = setup_open_sources(&creation->setup, err);
  if (r == 0) {
    r = namespaces_need_between(&creation->setup) ? clone_between(creation, err) : clone_directly(creation, err);
  }
  setup_close_sources(&creation->setup);
  return r;
}

static int run_hooks(const struct creation *creation, enum hook_kind kind, const char *status, struct err *err) {
  const struct plan_hooks *hooks = &creation->plan.hooks[kind];
  cleanup_str struct str text = STR_INIT;
  int r = hooks->count == 0 ? 0 : creation_state_text(creation, status, creation->pid, &text, err);
  return r < 0 || hooks->count == 0 ? r : hooks_run(hooks, hook_names[kind], text.data, err);
}

/* prestart is from the days when it ran between create and start: it is still told so. */
static int run_runtime_hooks(void *data, struct err *err) {
  struct creation *creation = data;
  int r = run_hooks(creation, HOOK_PRESTART, "created", err);
  return r < 0 ? r : run_hooks(creation, HOOK_CREATE_RUNTIME, "creating", err);
}

static int take_made(void *data, pid_t pid, struct err *err) {
  struct creation *creation = data;
  return container_take_made(pid, &creation->pid, &creation->pidfd, err);
}

static int hand_over_listener(void *data, int listener, struct err *err) {
  struct creation *creation = data;
  cleanup_str struct str text = STR_INIT;
  int r = creation_state_text(creation, "creating", creation->pid, &text, err);
  struct seccomp_handover handover = {.socket = creation->listener_socket,
                                      .listener = &creation->listener,
                                      .oci_version = creation->plan.oci_version,
                                      .state = text.data,
                                      .pid = creation->pid};
  return r < 0 ? r : seccomp_hand_over(&handover, listener, err);
}

static int record(struct creation *creation, struct err *err) {
  struct process_stat stat;
  cleanup_str struct str text = STR_INIT;
  int r = process_stat_read(creation->pid, &stat, err);
  if (r < 0) {
    return r;
  }
  creation->start_time = stat.start_time;
  time_now(creation->created, sizeof(creation->created));
  r = creation_record_text(creation, creation->options->run ? "running" : "created", &text, err);
  r = r < 0 ? r : incomplete_finish(creation->directory, &text, err);
  if (r == 0 && creation->seccomp.count > 0 &&
      !seccomp_link(creation->options->root, creation->seccomp_key, creation->directory, "seccomp")) {
    r = seccomp_store(creation->directory, "seccomp", &creation->seccomp, err);
  }
  r = r < 0 ? r : container_write_pid_file(creation->options->pid_file, creation->pid, err);
  creation->made_pid_file = r == 0 && creation->options->pid_file != NULL;
  return r;
}

static void undo(struct creation *creation) {
  scope_release(&creation->scope);
  if (creation->pidfd >= 0) {
    (void)sys_pidfd_send_signal(creation->pidfd, SIGKILL);
    (void)process_wait_gone(creation->pidfd, 10000, NULL);
  }
  if (creation->made_cgroup) {
    (void)cgroup_destroy(&creation->cgroup, NULL);
  }
  if (creation->unit[0] != '\0') {
    (void)container_stop_scope(creation->directory, NULL);
  }
  if (creation->made_directory) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", creation->options->root, creation->options->id);
    (void)file_remove_tree(AT_FDCWD, path, NULL);
  }
  if (creation->made_pid_file) {
    (void)unlink(creation->options->pid_file);
  }
  /* The specification: a container that got as far as having hooks ends with those of its end. */
  const struct plan_hooks *hooks = &creation->plan.hooks[HOOK_POSTSTOP];
  cleanup_str struct str text = STR_INIT;
  if (creation->pid > 0 && hooks->count > 0 && creation_state_text(creation, "stopped", 0, &text, NULL) == 0) {
    hooks_run_all(hooks, hook_names[HOOK_POSTSTOP], text.data);
  }
}

static int open_console(struct creation *creation, struct err *err) {
  if (creation->options->console_socket != NULL) {
    return container_connect(creation->options->console_socket, "console socket", &creation->setup.console_socket, err);
  }
  return creation->plan.process.terminal
             ? console_open(creation->running->console, &creation->setup.console_socket, err)
             : 0;
}

/* The listener is met before anything is made: without it the container could not make the calls it decides about. */
static int prepare_seccomp(struct creation *creation, struct err *err) {
  const struct json *profile = &creation->plan.seccomp;
  if (profile->value == NULL) {
    return 0;
  }
  int r = seccomp_cached(creation->options->root, profile, &creation->seccomp, creation->seccomp_key, err);
  if (r < 0) {
    return r;
  }
  creation->setup.seccomp = &creation->seccomp;
  if ((creation->seccomp.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) {
    return 0;
  }
  r = seccomp_read_listener(profile, &creation->listener, err);
  return r < 0 ? r : container_connect(creation->listener.path, "seccomp listener", &creation->listener_socket, err);
}

static int prepare(struct creation *creation, struct err *err) {
  int r = make_directory(creation, err);
  r = r < 0 ? r : creation_plan_service(creation, err);
  r = r < 0 ? r : open_console(creation, err);
  r = r < 0 ? r : labels_check(&creation->setup, err);
  r = r < 0 ? r : prepare_seccomp(creation, err);
  r = r < 0 ? r : make_start_fifo(creation, err);
  r = r < 0 ? r : namespaces_open(&creation->setup, err);
  r = r < 0 || !creation->setup.makes_last ? r : usher_make(&creation->setup, err);
  r = r < 0 ? r : make_cgroups(creation, err);
  return r;
}

/* `run`: what must be there before the process is. */
static int prepare_run(struct creation *creation, struct err *err) {
  struct running *running = creation->running;
  if (running == NULL) {
    return 0;
  }
  int r = creation->options->notify_socket == NULL ? 0 : notify_listen(creation->directory, running->notify, err);
  bool own_console = running->console != NULL && running->console->pair >= 0;
  return r < 0 || !own_console ? r : console_attach(running->console, err);
}

/* `run`: the child's end of the pair closes when its program is executed, or when that failed and it is gone. */
static int run_poststart(const struct creation *creation, struct err *err) {
  enum sync_kind kind = SYNC_FAILED;
  cleanup_str struct str text = STR_INIT;
  (void)sync_receive(creation->sync, &kind, NULL, NULL);
  if (process_has_ended(creation->pidfd)) {
    return 0;
  }
  int r = creation_state_text(creation, "running", creation->pid, &text, err);
  return r < 0 ? r
               : container_run_poststart(&creation->plan.hooks[HOOK_POSTSTART], creation->plan.oci_version, text.data,
                                         err);
}

static int build(struct creation *creation, struct err *err) {
  int r = prepare(creation, err);
  r = r < 0 ? r : clone_child(creation, err);
  const struct await_calls calls = {
      .on_namespaces = run_runtime_hooks,
      .on_made = creation->setup.makes_last ? take_made : NULL,
      .on_listener = creation->listener_socket < 0 ? NULL : hand_over_listener,
      .data = creation,
  };
  r = r < 0 ? r : container_await_ready(creation->sync, &calls, err);
  scope_release(&creation->scope);
  r = r < 0 ? r : attributes_apply(creation->pid, &creation->plan.process, creation->setup.own_users, err);
  r = r < 0 ? r : record(creation, err);
  r = r < 0 ? r : prepare_run(creation, err);
  r = r < 0 ? r : sync_send(creation->sync, SYNC_COMMIT, NULL, err);
  if (r == 0 && creation->setup.hold_sync) {
    r = run_poststart(creation, err);
  }
  return r;
}

static void print_steps(void) {
  for (const struct step *step = container_steps; step->name != NULL; step++) {
    printf("%s\n", step->name);
  }
}

static void close_all(struct creation *creation) {
  const int fds[] = {creation->directory,         creation->sync,
                     creation->setup.sync,        creation->setup.start_fifo,
                     creation->setup.start_error, creation->setup.console_socket,
                     creation->listener_socket};
  for (size_t i = 0; i < array_length(fds); i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  for (size_t i = 0; i < creation->plan.namespace_count; i++) {
    if (creation->setup.namespace_fds[i] >= 0) {
      close(creation->setup.namespace_fds[i]);
    }
  }
}

int container_create(const struct create_options *options, struct running *running, struct created *ret_created,
                     struct err *err) {
  struct creation creation;
  memset(&creation, 0, sizeof(creation));
  creation.options = options;
  creation.running = running;
  creation.directory = creation.sync = creation.pidfd = creation.listener_socket = -1;
  struct setup *setup = &creation.setup;
  setup->plan = &creation.plan;
  setup->process = &creation.plan.process;
  setup->layout = &creation.layout;
  setup->cgroup = &creation.cgroup;
  setup->id = options->id;
  setup->bundle = creation.bundle;
  setup->preserve_fds = options->preserve_fds;
  setup->no_pivot = options->no_pivot;
  setup->keep_keyring = options->no_new_keyring;
  setup->sync = setup->start_fifo = setup->start_error = setup->console_socket = -1;
  setup->root = setup->null_file = setup->terminal = setup->apparmor = setup->selinux = -1;
  setup->root_tree = setup->entered_root = -1;
  memset(setup->namespace_fds, -1, sizeof(setup->namespace_fds));
  memset(setup->entries, -1, sizeof(setup->entries));
  int r = container_check_id(options->id, err);
  r = r < 0 ? r : read_config(&creation, err);
  if (r < 0 || options->dry_run) {
    if (r == 0) {
      print_steps();
    }
    plan_free(&creation.plan);
    return r;
  }
  setup->personality = creation.plan.personality;
  setup->hold_sync = options->run && creation.plan.hooks[HOOK_POSTSTART].count > 0;
  r = creation_write_parts(&creation, err);
  r = r < 0 ? r : build(&creation, err);
  if (r < 0) {
    undo(&creation);
  } else {
    *ret_created = (struct created){creation.pid, take_fd(&creation.pidfd)};
  }
  if (creation.pidfd >= 0) {
    close(creation.pidfd);
  }
  close_all(&creation);
  str_free(&creation.state_head);
  str_free(&creation.state_tail);
  free(creation.seccomp.filters);
  plan_free(&creation.plan);
  return r;
}
