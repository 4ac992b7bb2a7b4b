/*
 * Upgrade in place: what the keeper holds is written to a memory file, its descriptors are left open across execve, and
 * the new binary takes them up under the same numbers (paths like /proc/<keeper>/fd/<n> stay true, the pid is the
 * same).
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "keeper/state.h"
#include "sys/syscalls.h"

/* What is written, and the oldest that is understood. */
#define TABLE_VERSION 1
#define TABLE_OLDEST 1
/* How long the new binary may take to say whether it understands the table. */
#define CHECK_MS 10000
#define CHECK_WORDS_MAX ((size_t)2048)
#define TABLE_MAX ((size_t)64 << 20)
#define SANDBOX_FDS 8

static void fds_of(struct sandbox_fds *fds, int *ret_fds[SANDBOX_FDS]) {
  ret_fds[0] = &fds->netns;
  ret_fds[1] = &fds->names_udp;
  ret_fds[2] = &fds->names_tcp;
  ret_fds[3] = &fds->up_udp[0];
  ret_fds[4] = &fds->up_udp[1];
  ret_fds[5] = &fds->up_tcp[0];
  ret_fds[6] = &fds->up_tcp[1];
  ret_fds[7] = &fds->users; /* Not in the table of an older keeper: stays -1. */
}

static void put(struct json_object *object, const char *key, const char *text) {
  json_object_object_add(object, key, text == NULL ? NULL : json_object_new_string(text));
}

static void put_number(struct json_object *object, const char *key, int64_t number) {
  json_object_object_add(object, key, json_object_new_int64(number));
}

static struct json_object *array_in(struct json_object *object, const char *key) {
  struct json_object *array = json_object_new_array();
  json_object_object_add(object, key, array);
  return array;
}

static struct json_object *object_in(struct json_object *array) {
  struct json_object *object = json_object_new_object();
  json_object_array_add(array, object);
  return object;
}

static void put_held(struct keeper *keeper, struct json_object *table) {
  struct json_object *sandboxes = array_in(table, "sandboxes");
  for (struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    if (sandbox->fds.netns < 0) {
      continue; /* being made for a daemon that is about to go */
    }
    struct json_object *entry = object_in(sandboxes);
    int *fds[SANDBOX_FDS];
    put(entry, "name", sandbox->name);
    json_object_object_add(entry, "names", json_object_get(sandbox->names));
    struct json_object *numbers = array_in(entry, "fds");
    fds_of(&sandbox->fds, fds);
    for (size_t i = 0; i < SANDBOX_FDS; i++) {
      json_object_array_add(numbers, json_object_new_int(*fds[i]));
    }
  }
  struct json_object *ports = array_in(table, "ports");
  for (const struct port *port = keeper->ports; port != NULL; port = port->next) {
    struct json_object *entry = object_in(ports);
    put(entry, "key", port->key);
    put(entry, "protocol", port->protocol);
    put_number(entry, "fd", port->fd);
    put_number(entry, "number", port->number);
    put(entry, "proxy_address", port->proxy_address);
    put_number(entry, "proxy_port", port->proxy_port);
    put_number(entry, "proxy", port->proxy);
  }
  struct json_object *zones = array_in(table, "zones");
  for (const struct zone *zone = keeper->names.zones; zone != NULL; zone = zone->next) {
    struct json_object *entry = object_in(zones);
    put(entry, "name", zone->name);
    json_object_object_add(entry, "message", json_object_get(zone->message));
  }
}

static struct json_object *make_table(struct keeper *keeper, long long request) {
  struct json_object *table = json_object_new_object();
  put_number(table, "version", TABLE_VERSION);
  put(table, "run_dir", keeper->options.run_dir);
  put(table, "instance", keeper->options.instance);
  put(table, "socket", keeper->options.socket);
  put(table, "group", keeper->options.group);
  put(table, "notify", keeper->options.notify);
  json_object_object_add(table, "foreground", json_object_new_boolean(keeper->options.foreground));
  struct json_object *daemon = array_in(table, "daemon");
  for (char **word = keeper->options.daemon; *word != NULL; word++) {
    json_object_array_add(daemon, json_object_new_string(*word));
  }
  put_number(table, "daemon_pid", keeper->daemon.pid);
  put_number(table, "control", keeper->daemon.control.fd);
  put_number(table, "request", request);
  put_number(table, "lock", keeper->lock_fd);
  put_number(table, "api", keeper->api_fd);
  put_number(table, "api_inode", (int64_t)keeper->api_inode);
  put_number(table, "names_pid", keeper->names.pid);
  struct json_object *children = array_in(table, "children");
  for (const struct child *child = keeper->children; child != NULL; child = child->next) {
    struct json_object *entry = object_in(children);
    put_number(entry, "pid", child->pid);
    put(entry, "args", child->args);
  }
  put_held(keeper, table);
  return table;
}

static int write_table(struct keeper *keeper, long long request, int *ret_fd, struct err *err) {
  cleanup_close int fd = memfd_create("tscompose-keeper", MFD_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot make a memory file");
  }
  struct json_object *table = make_table(keeper, request);
  const char *text = json_object_to_json_string_ext(table, JSON_C_TO_STRING_PLAIN);
  int r = fd_write_all(fd, text, strlen(text), err);
  json_object_put(table);
  if (r < 0) {
    return r;
  }
  (void)lseek(fd, 0, SEEK_SET);
  *ret_fd = take_fd(&fd);
  return 0;
}

/* Every held descriptor: left open across execve, or not after all. */
static void keep_open(struct keeper *keeper, int table_fd, bool open) {
  const int single[] = {table_fd, keeper->lock_fd, keeper->api_fd, keeper->daemon.control.fd};
  for (size_t i = 0; i < array_length(single); i++) {
    (void)fd_set_cloexec(single[i], !open, /* err= */ NULL);
  }
  for (struct port *port = keeper->ports; port != NULL; port = port->next) {
    (void)fd_set_cloexec(port->fd, !open, /* err= */ NULL);
  }
  for (struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    int *fds[SANDBOX_FDS];
    fds_of(&sandbox->fds, fds);
    for (size_t i = 0; i < SANDBOX_FDS; i++) {
      if (*fds[i] >= 0) {
        (void)fd_set_cloexec(*fds[i], !open, /* err= */ NULL);
      }
    }
  }
}

/*
 * After execve there is no way back: what the new binary does not understand would be lost. So it is run beside us
 * first and reads the table.
 */
static int ask_first(const char *file, int table, struct err *err) {
  char *const args[] = {"tscompose-runtime", "keeper", "--check", NULL};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  cleanup_close int words = ends[0];
  cleanup_close int theirs = ends[1];
  struct child_plan plan = CHILD_PLAN_INIT;
  pid_t pid = 0;
  plan.path = file;
  plan.argv = args;
  plan.environment = place_bare_environment;
  plan.fds[2] = theirs;
  plan.fds[3] = table;
  int r = child_start(&plan, &pid, err);
  if (r < 0) {
    return r;
  }
  close(take_fd(&theirs));
  cleanup_close int pidfd = sys_pidfd_open(pid);
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  if (pidfd < 0 || poll(&end, 1, CHECK_MS) <= 0) {
    (void)kill(pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  (void)lseek(table, 0, SEEK_SET);
  if (status == 0) {
    return 0;
  }
  char text[CHECK_WORDS_MAX];
  ssize_t n = fd_set_nonblock(words, true, /* err= */ NULL) < 0 ? 0 : read(words, text, sizeof(text) - 1);
  text[n > 0 ? n : 0] = '\0';
  return err_set(err, EOPNOTSUPP, "%s cannot take over from this version (%s); nothing was changed", file,
                 text[0] == '\0' ? "it gave no reason" : strtok(text, "\n"));
}

int reexec_op(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  (void)fields;
  const char *file = NULL;
  int r = json_need_string(request, "file", &file, err);
  if (r < 0) {
    return r;
  }
  if (file[0] != '/') {
    return err_set(err, EINVAL, "file: %s is not an absolute path", file);
  }
  cleanup_close int table = -1;
  r = write_table(keeper, id, &table, err);
  r = r < 0 ? r : ask_first(file, table, err);
  if (r < 0) {
    return r;
  }
  char number[16];
  snprintf(number, sizeof(number), "%d", table);
  char *const args[] = {"tscompose-runtime", "keeper", "--resume", number, NULL};
  keep_open(keeper, table, true);
  spawn_end_runs(keeper);
  execve(file, args, environ);
  r = err_errno(err, "cannot execute %s", file);
  keep_open(keeper, table, false);
  return r;
}

static int fd_at(const struct json *object, const char *key, int *ret_fd, struct err *err) {
  long long fd = -1;
  int r = json_need_long(object, key, -1, INT_MAX, &fd, err);
  if (r < 0) {
    return r;
  }
  *ret_fd = (int)fd;
  return 0;
}

static int resume_options(struct keeper *keeper, struct err *err) {
  struct options *options = &keeper->options;
  const struct json *table = &keeper->table;
  struct str_list daemon = {NULL, 0};
  int r = json_need_string(table, "run_dir", &options->run_dir, err);
  if (r < 0 || (r = json_need_string(table, "instance", &options->instance, err)) < 0 ||
      (r = json_need_string(table, "socket", &options->socket, err)) < 0 ||
      (r = json_string_at(table, "group", &options->group, err)) < 0 ||
      (r = json_string_at(table, "notify", &options->notify, err)) < 0 ||
      (r = json_bool_at(table, "foreground", &options->foreground, err)) < 0 ||
      (r = json_strings_at(table, "daemon", &daemon, err)) < 0) {
    return r;
  }
  options->daemon = daemon.items; /* ours for the rest of the process */
  return daemon.count == 0 ? err_set(err, EBADMSG, "daemon: missing") : 0;
}

static int resume_children(struct keeper *keeper, struct err *err) {
  struct json list, entry;
  size_t count = 0;
  int r = json_array_at(&keeper->table, "children", &list, &count, err);
  for (size_t i = 0; i < count && r >= 0; i++) {
    long long pid = 0;
    const char *args = NULL;
    json_item(&list, i, &entry);
    r = json_need_long(&entry, "pid", 1, INT_MAX, &pid, err);
    r = r < 0 ? r : json_need_string(&entry, "args", &args, err);
    r = r < 0 ? r : spawn_adopt(keeper, (pid_t)pid, args);
  }
  return r < 0 ? r : 0;
}

static int resume_sandbox(struct keeper *keeper, const struct json *entry, struct err *err) {
  const char *name = NULL;
  struct json numbers, names, number;
  size_t count = 0;
  int *fds[SANDBOX_FDS];
  int r = json_need_string(entry, "name", &name, err);
  if (r < 0 || (r = json_array_at(entry, "fds", &numbers, &count, err)) < 0 ||
      (r = json_object_at(entry, "names", &names, err)) < 0) {
    return r;
  }
  struct sandbox *sandbox = sandbox_new(keeper, name, err);
  if (sandbox == NULL) {
    return -err->code;
  }
  sandbox->names = json_object_get(names.value);
  fds_of(&sandbox->fds, fds);
  for (size_t i = 0; i < SANDBOX_FDS && i < count; i++) {
    long long fd = -1;
    json_item(&numbers, i, &number);
    if (json_as_long(&number, -1, INT_MAX, &fd, err) < 0) {
      return -err->code;
    }
    *fds[i] = (int)fd;
  }
  return 0;
}

static int resume_port(struct keeper *keeper, const struct json *entry, struct err *err) {
  const char *key = NULL, *protocol = NULL, *address = NULL;
  int r = json_need_string(entry, "key", &key, err);
  r = r < 0 ? r : json_need_string(entry, "protocol", &protocol, err);
  r = r < 0 ? r : json_string_at(entry, "proxy_address", &address, err);
  struct port *port = r < 0 ? NULL : port_new(keeper, key, protocol, err);
  if (port == NULL) {
    return -err->code;
  }
  if ((r = fd_at(entry, "fd", &port->fd, err)) < 0 || (r = fd_at(entry, "number", &port->number, err)) < 0 ||
      (r = fd_at(entry, "proxy_port", &port->proxy_port, err)) < 0 ||
      (r = fd_at(entry, "proxy", &port->proxy, err)) < 0) {
    return r;
  }
  if (address != NULL && (port->proxy_address = strdup(address)) == NULL) {
    return err_oom(err);
  }
  return 0;
}

static int resume_zone(struct keeper *keeper, const struct json *entry, struct err *err) {
  const char *name = NULL;
  struct json message;
  int r = json_need_string(entry, "name", &name, err);
  r = r < 0 ? r : json_object_at(entry, "message", &message, err);
  return r < 0 ? r : names_keep_zone(keeper, name, message.value);
}

static int resume_each(struct keeper *keeper, const char *key,
                       int (*resume)(struct keeper *, const struct json *, struct err *), struct err *err) {
  struct json list, entry;
  size_t count = 0;
  int r = json_array_at(&keeper->table, key, &list, &count, err);
  for (size_t i = 0; i < count && r >= 0; i++) {
    json_item(&list, i, &entry);
    r = resume(keeper, &entry, err);
  }
  return r < 0 ? err_prefix(err, "%s", key) : 0;
}

static int resume_core(struct keeper *keeper, int *ret_control, struct err *err) {
  const struct json *table = &keeper->table;
  long long inode = 0;
  int r = fd_at(table, "lock", &keeper->lock_fd, err);
  if (r < 0 || (r = fd_at(table, "api", &keeper->api_fd, err)) < 0 ||
      (r = fd_at(table, "control", ret_control, err)) < 0 ||
      (r = fd_at(table, "daemon_pid", &keeper->daemon.pid, err)) < 0 ||
      (r = json_need_long(table, "api_inode", 0, LLONG_MAX, &inode, err)) < 0) {
    return r;
  }
  keeper->api_inode = (uint64_t)inode;
  keeper->run_fd = open(keeper->options.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return keeper->run_fd < 0 ? err_errno(err, "cannot open %s", keeper->options.run_dir) : 0;
}

/* The old name server ended with its control socket; a new one of this binary takes its place and learns everything. */
static int resume_names(struct keeper *keeper, struct err *err) {
  bool needed = keeper->names.zones != NULL;
  for (const struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    needed = needed || sandbox->fds.names_udp >= 0;
  }
  return needed ? names_start(keeper, err) : 0;
}

static int read_table(struct keeper *keeper, int table, struct err *err) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  long long version = 0;
  int r = fd_read_all(table, TABLE_MAX, &text, &size, err);
  if (r < 0 || (r = json_parse(text, size, &keeper->table, err)) < 0 ||
      (r = json_need_long(&keeper->table, "version", 0, LLONG_MAX, &version, err)) < 0) {
    return r;
  }
  return version < TABLE_OLDEST || version > TABLE_VERSION
             ? err_set(err, EOPNOTSUPP, "the table has version %lld; this binary understands %d to %d", version,
                       TABLE_OLDEST, TABLE_VERSION)
             : 0;
}

static int resume_held(struct keeper *keeper, struct err *err) {
  int r = resume_children(keeper, err);
  r = r < 0 ? r : resume_each(keeper, "sandboxes", resume_sandbox, err);
  r = r < 0 ? r : resume_each(keeper, "ports", resume_port, err);
  return r < 0 ? r : resume_each(keeper, "zones", resume_zone, err);
}

/* The same steps on a keeper that is thrown away; descriptors are only numbers here. */
int reexec_check(int table, struct err *err) {
  struct keeper keeper = {.loop = {.epoll = -1}};
  int control = -1;
  int r = read_table(&keeper, table, err);
  r = r < 0 ? r : resume_options(&keeper, err);
  r = r < 0 ? r : resume_core(&keeper, &control, err);
  return r < 0 ? r : resume_held(&keeper, err);
}

int reexec_resume(struct keeper *keeper, int table_fd, long long *ret_request, struct err *err) {
  cleanup_close int table = table_fd;
  int control = -1;
  int r = read_table(keeper, table, err);
  if (r < 0 || (r = resume_options(keeper, err)) < 0 || (r = keeper_settle(&keeper->options, err)) < 0 ||
      (r = keeper_open_loop(keeper, err)) < 0 || (r = resume_core(keeper, &control, err)) < 0 ||
      (r = resume_held(keeper, err)) < 0) {
    return err_prefix(err, "cannot take up what the old keeper held");
  }
  if (control >= 0 && (r = control_open(keeper, control, err)) < 0) {
    return r;
  }
  /* Nobody is left to tell of one that does not end. */
  (void)place_await_programs(keeper, /* err= */ NULL);
  r = place_seal(&keeper->self_fd, err);
  r = r < 0 ? r : resume_names(keeper, err);
  return r < 0 ? r : json_need_long(&keeper->table, "request", -1, LLONG_MAX, ret_request, err);
}
