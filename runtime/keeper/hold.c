#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "keeper/state.h"
#include "sys/process.h"

#define PORT_BACKLOG 1024

struct sandbox *sandbox_find(struct keeper *keeper, const char *name) {
  struct sandbox *sandbox = keeper->sandboxes;
  while (sandbox != NULL && strcmp(sandbox->name, name) != 0) {
    sandbox = sandbox->next;
  }
  return sandbox;
}

struct sandbox *sandbox_new(struct keeper *keeper, const char *name, struct err *err) {
  if (sandbox_find(keeper, name) != NULL) {
    (void)err_set(err, EEXIST, "sandbox %s exists", name);
    return NULL;
  }
  struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
  char *copy = strdup(name);
  if (sandbox == NULL || copy == NULL) {
    free(sandbox);
    free(copy);
    (void)err_oom(err);
    return NULL;
  }
  sandbox->keeper = keeper;
  sandbox->name = copy;
  sandbox->fds = (struct sandbox_fds)SANDBOX_FDS_NONE;
  sandbox->report.fd = -1;
  sandbox->request = -1;
  sandbox->next = keeper->sandboxes;
  keeper->sandboxes = sandbox;
  return sandbox;
}

void sandbox_free(struct keeper *keeper, struct sandbox *sandbox) {
  for (struct sandbox **at = &keeper->sandboxes; *at != NULL; at = &(*at)->next) {
    if (*at == sandbox) {
      *at = sandbox->next;
      break;
    }
  }
  (void)loop_arm(&keeper->loop, &sandbox->report, 0, /* err= */ NULL);
  sandbox_fds_close(&sandbox->fds);
  json_object_put(sandbox->names);
  free(sandbox->name);
  free(sandbox);
}

/* Named for the request; negative when there is none, or it is still being made. */
static int need_sandbox(struct keeper *keeper, const struct json *request, struct sandbox **ret_sandbox,
                        struct err *err) {
  const char *name = NULL;
  int r = json_need_string(request, "name", &name, err);
  if (r < 0) {
    return r;
  }
  struct sandbox *sandbox = sandbox_find(keeper, name);
  if (sandbox == NULL) {
    return err_set(err, ENOENT, "no sandbox %s", name);
  }
  if (sandbox->fds.netns < 0) {
    return err_set(err, EALREADY, "sandbox %s is still being made", name);
  }
  *ret_sandbox = sandbox;
  return 0;
}

static int add_path(const struct sandbox *sandbox, struct str *fields) {
  int r = str_addf(fields, ",\"path\":\"/proc/%d/fd/%d\"", getpid(), sandbox->fds.netns);
  return r < 0 || sandbox->fds.users < 0
             ? r
             : str_addf(fields, ",\"users\":\"/proc/%d/fd/%d\"", getpid(), sandbox->fds.users);
}

/* The sandbox has its descriptors: its name server is told of it. */
static int complete(struct keeper *keeper, struct sandbox *sandbox, struct str *fields, struct err *err) {
  int r = sandbox->fds.names_udp >= 0 ? names_publish(keeper, sandbox, err) : 0;
  if (r == 0 && add_path(sandbox, fields) < 0) {
    r = err_oom(err);
  }
  return r;
}

static void made(struct watch *watch, uint32_t events) {
  (void)events;
  struct sandbox *sandbox = watch->owner;
  struct keeper *keeper = sandbox->keeper;
  struct err err = ERR_INIT;
  cleanup_str struct str fields = STR_INIT;
  /* finish closes the descriptor: out of the set before. */
  (void)loop_arm(&keeper->loop, watch, 0, /* err= */ NULL);
  watch->fd = -1;
  long long request = sandbox->request;
  int r = sandbox_make_finish(&sandbox->job, &sandbox->fds, &err);
  r = r < 0 ? r : complete(keeper, sandbox, &fields, &err);
  if (r < 0) {
    sandbox_free(keeper, sandbox);
    control_reply_error(keeper, request, /* code= */ NULL, &err);
  } else if (request < 0) {
    sandbox_free(keeper, sandbox); /* who asked is gone, and the next daemon does not know of it */
  } else {
    sandbox->request = -1;
    control_reply(keeper, request, fields.data);
  }
}

int sandbox_op_create(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                      struct err *err) {
  (void)fields;
  const char *name = NULL;
  struct json config;
  int r = json_need_string(request, "name", &name, err);
  if (r < 0 || (r = json_object_at(request, "config", &config, err)) < 0) {
    return r;
  }
  if (r == 0) {
    return err_set(err, EINVAL, "config: missing");
  }
  struct sandbox *sandbox = sandbox_new(keeper, name, err);
  if (sandbox == NULL) {
    return -err->code;
  }
  r = sandbox_make_begin(&config, &sandbox->job, err);
  if (r < 0) {
    sandbox_free(keeper, sandbox);
    return r;
  }
  sandbox->request = id;
  return keeper_watch(keeper, &sandbox->report, sandbox->job.fd, EPOLLIN, made, sandbox, err) < 0 ? -err->code : 1;
}

int sandbox_op_adopt(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                     struct err *err) {
  (void)id;
  const char *name = NULL;
  long long pid = 0;
  uint64_t start_time = 0;
  bool names = false;
  cleanup_close int pidfd = -1;
  int r = json_need_string(request, "name", &name, err);
  if (r < 0 || (r = json_need_long(request, "pid", 1, INT32_MAX, &pid, err)) < 0 ||
      (r = json_u64_at(request, "start_time", &start_time, err)) < 0 ||
      (r = json_bool_at(request, "names", &names, err)) < 0 ||
      (r = process_open((pid_t)pid, start_time, &pidfd, err)) < 0) {
    return r;
  }
  struct sandbox *sandbox = sandbox_new(keeper, name, err);
  if (sandbox == NULL) {
    return -err->code;
  }
  r = sandbox_adopt((pid_t)pid, pidfd, names, &sandbox->fds, err);
  r = r < 0 ? r : complete(keeper, sandbox, fields, err);
  if (r < 0) {
    sandbox_free(keeper, sandbox);
  }
  return r;
}

int sandbox_op_link(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                    struct err *err) {
  (void)id, (void)fields;
  struct sandbox *sandbox = NULL;
  bool names = false;
  int r = need_sandbox(keeper, request, &sandbox, err);
  r = r < 0 ? r : json_bool_at(request, "names", &names, err);
  if (r < 0) {
    return r;
  }
  if (!names || sandbox->fds.names_udp >= 0) {
    return sandbox_link(sandbox->fds.netns, request, /* ret_names= */ NULL, err);
  }
  /* Its first network: names were of no use before. */
  struct sandbox_fds fds = SANDBOX_FDS_NONE;
  r = sandbox_link(sandbox->fds.netns, request, &fds, err);
  if (r < 0) {
    return r;
  }
  fds.netns = sandbox->fds.netns;
  fds.users = sandbox->fds.users;
  sandbox->fds = fds;
  return names_publish(keeper, sandbox, err);
}

int sandbox_op_unlink(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                      struct err *err) {
  (void)id, (void)fields;
  struct sandbox *sandbox = NULL;
  const char *interface = NULL;
  int r = need_sandbox(keeper, request, &sandbox, err);
  if (r < 0 || (r = json_need_string(request, "interface", &interface, err)) < 0) {
    return r;
  }
  return sandbox_unlink(sandbox->fds.netns, interface, err);
}

int sandbox_op_remove(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                      struct err *err) {
  (void)id, (void)fields;
  const char *name = NULL;
  int r = json_need_string(request, "name", &name, err);
  if (r < 0) {
    return r;
  }
  struct sandbox *sandbox = sandbox_find(keeper, name);
  if (sandbox == NULL) {
    return 0;
  }
  if (sandbox->fds.netns < 0) {
    return err_set(err, EALREADY, "sandbox %s is still being made", name);
  }
  if (sandbox->fds.names_udp >= 0) {
    names_drop(keeper, name);
  }
  sandbox_free(keeper, sandbox);
  return 0;
}

static struct port *port_find(struct keeper *keeper, const char *key) {
  struct port *port = keeper->ports;
  while (port != NULL && strcmp(port->key, key) != 0) {
    port = port->next;
  }
  return port;
}

struct port *port_new(struct keeper *keeper, const char *key, const char *protocol, struct err *err) {
  struct port *port = calloc(1, sizeof(*port));
  if (port == NULL || (port->key = strdup(key)) == NULL || (port->protocol = strdup(protocol)) == NULL) {
    if (port != NULL) {
      free(port->key);
    }
    free(port);
    (void)err_oom(err);
    return NULL;
  }
  port->keeper = keeper;
  port->fd = -1;
  port->timer.fd = -1;
  port->next = keeper->ports;
  keeper->ports = port;
  return port;
}

static void stop_serving(struct port *port) {
  if (port->proxy > 0) {
    /* Waited for: its copy of the socket must be closed when the port counts as free. */
    (void)kill(port->proxy, SIGKILL);
    while (waitpid(port->proxy, NULL, 0) < 0 && errno == EINTR) {
    }
    port->proxy = 0;
  }
  if (port->timer.fd >= 0) {
    loop_timer_set(port->timer.fd, 0);
  }
  free(port->proxy_address);
  port->proxy_address = NULL;
}

static void port_free(struct keeper *keeper, struct port *port) {
  for (struct port **at = &keeper->ports; *at != NULL; at = &(*at)->next) {
    if (*at == port) {
      *at = port->next;
      break;
    }
  }
  stop_serving(port);
  loop_drop(&keeper->loop, &port->timer);
  if (port->fd >= 0) {
    close(port->fd);
  }
  free(port->key);
  free(port->protocol);
  free(port);
}

static int bind_socket(int fd, const char *address, int number, struct err *err) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number)};
  int on = 1;
  int r;
  if (strchr(address, ':') == NULL) {
    if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
      return err_set(err, EINVAL, "address: %s is not an IP address", address);
    }
    r = bind(fd, (struct sockaddr *)&v4, sizeof(v4));
  } else {
    if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
      return err_set(err, EINVAL, "address: %s is not an IP address", address);
    }
    r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ? -1
                                                                       : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
  }
  return r < 0 ? err_errno(err, "cannot bind %s port %d", address, number) : 0;
}

static int open_port(const char *protocol, const char *address, int number, int *ret_fd, struct err *err) {
  bool tcp = strcmp(protocol, "tcp") == 0;
  bool sctp = strcmp(protocol, "sctp") == 0;
  if (!tcp && !sctp && strcmp(protocol, "udp") != 0) {
    return err_set(err, EOPNOTSUPP, "protocol: %s cannot be published; use tcp, udp or sctp", protocol);
  }
  int family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;
  cleanup_close int fd =
      socket(family, (tcp || sctp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, sctp ? IPPROTO_SCTP : 0);
  int on = 1;
  if (fd < 0 && sctp && errno == EPROTONOSUPPORT) {
    /* Without SCTP in this kernel no program of the host can have the port: the key alone reserves it. The kernel still
       forwards SCTP to a container that speaks it by itself. */
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *ret_fd = take_fd(&fd);
    return *ret_fd < 0 ? err_errno(err, "cannot make a socket") : 0;
  }
  if (fd < 0) {
    return err_errno(err, "cannot make a socket");
  }
  /* Without it the remains of old connections (TIME_WAIT) would hold the port for a minute. */
  if (tcp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) {
    return err_errno(err, "cannot set up a socket");
  }
  int r = bind_socket(fd, address, number, err);
  if (r < 0) {
    return r;
  }
  /* Bound alone is not held: another program may bind the same address and listen first. */
  if ((tcp || sctp) && listen(fd, PORT_BACKLOG) < 0) {
    return err_errno(err, "cannot listen on %s port %d", address, number);
  }
  *ret_fd = take_fd(&fd);
  return 0;
}

static int number_of(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
  socklen_t size = sizeof(address);
  if (getsockname(fd, &address.any, &size) < 0) {
    return 0;
  }
  return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static void timer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct port *port = watch->owner;
  struct err err = ERR_INIT;
  loop_timer_taken(watch->fd);
  if (port->proxy_address != NULL && port_serve(port, &err) < 0) {
    log_error("port %s: %s", port->key, err.text);
    loop_timer_set(watch->fd, backoff_pause(&port->backoff));
  }
}

int port_serve(struct port *port, struct err *err) {
  char number[8], keeper[16];
  struct child_plan plan = CHILD_PLAN_INIT;
  snprintf(number, sizeof(number), "%d", port->proxy_port);
  snprintf(keeper, sizeof(keeper), "%d", (int)getpid());
  char *const args[] = {
      "tscompose-runtime", "keeper", "--proxy", port->protocol, port->proxy_address, number, keeper, NULL,
  };
  if (port->timer.fd < 0) {
    int timer = -1;
    int r = loop_timer(&timer, err);
    r = r < 0 ? r : keeper_watch(port->keeper, &port->timer, timer, EPOLLIN, timer_ready, port, err);
    if (r < 0) {
      return r;
    }
  }
  plan.exec_fd = port->keeper->self_fd;
  plan.argv = args;
  plan.environment = place_bare_environment;
  plan.fds[2] = CHILD_INHERIT;
  plan.fds[3] = port->fd;
  plan.session = true;
  port->backoff.started = now_ms();
  return child_start(&plan, &port->proxy, err);
}

bool port_reaped(struct keeper *keeper, pid_t pid) {
  for (struct port *port = keeper->ports; port != NULL; port = port->next) {
    if (port->proxy == pid) {
      port->proxy = 0;
      if (port->timer.fd >= 0 || port_serve(port, /* err= */ NULL) < 0) {
        loop_timer_set(port->timer.fd, backoff_pause(&port->backoff));
      }
      return true;
    }
  }
  return false;
}

static int read_proxy(const struct json *request, struct port *port, struct err *err) {
  struct json proxy;
  const char *address = NULL;
  long long number = 0;
  int r = json_object_at(request, "proxy", &proxy, err);
  if (r <= 0) {
    return r;
  }
  if ((r = json_need_string(&proxy, "address", &address, err)) < 0 ||
      (r = json_need_long(&proxy, "port", 1, 65535, &number, err)) < 0) {
    return r;
  }
  port->proxy_address = strdup(address);
  port->proxy_port = (int)number;
  return port->proxy_address == NULL ? err_oom(err) : 1;
}

/* The socket of a port that another key holds: both stand for it until both are released. */
static int share_port(struct keeper *keeper, const char *key, const char *protocol, int *ret_fd, struct err *err) {
  const struct port *other = port_find(keeper, key);
  if (other == NULL) {
    return err_set(err, ENOENT, "no port key %s", key);
  }
  if (strcmp(other->protocol, protocol) != 0) {
    return err_set(err, EINVAL, "port key %s is one of %s", key, other->protocol);
  }
  *ret_fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 3);
  return *ret_fd < 0 ? err_errno(err, "cannot copy a socket") : 0;
}

int port_op_hold(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  (void)id;
  const char *key = NULL, *protocol = NULL, *address = NULL, *shares = NULL;
  long long number = 0;
  int r = json_need_string(request, "key", &key, err);
  if (r < 0 || (r = json_need_string(request, "protocol", &protocol, err)) < 0 ||
      (r = json_need_string(request, "address", &address, err)) < 0 ||
      (r = json_need_long(request, "port", 0, 65535, &number, err)) < 0 ||
      (r = json_string_at(request, "shares", &shares, err)) < 0) {
    return r;
  }
  if (port_find(keeper, key) != NULL) {
    return err_set(err, EEXIST, "port key %s is held", key);
  }
  struct port *port = port_new(keeper, key, protocol, err);
  if (port == NULL) {
    return -err->code;
  }
  r = shares != NULL ? share_port(keeper, shares, protocol, &port->fd, err)
                     : open_port(protocol, address, (int)number, &port->fd, err);
  r = r < 0 ? r : read_proxy(request, port, err);
  r = r > 0 ? port_serve(port, err) : r;
  if (r < 0) {
    port_free(keeper, port);
    return r;
  }
  /* Zero: the socket stands for the port without being bound to it. */
  port->number = number_of(port->fd) > 0 ? number_of(port->fd) : (int)number;
  return str_addf(fields, ",\"port\":%d", port->number) < 0 ? err_oom(err) : 0;
}

int port_op_proxy(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                  struct err *err) {
  (void)id, (void)fields;
  const char *key = NULL;
  int r = json_need_string(request, "key", &key, err);
  if (r < 0) {
    return r;
  }
  struct port *port = port_find(keeper, key);
  if (port == NULL) {
    return err_set(err, ENOENT, "no port key %s", key);
  }
  stop_serving(port);
  r = read_proxy(request, port, err);
  return r > 0 ? port_serve(port, err) : r;
}

int port_op_release(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                    struct err *err) {
  (void)id, (void)fields;
  const char *key = NULL;
  int r = json_need_string(request, "key", &key, err);
  if (r < 0) {
    return r;
  }
  struct port *port = port_find(keeper, key);
  if (port != NULL) {
    port_free(keeper, port);
  }
  return 0;
}

void hold_forget_requests(struct keeper *keeper) {
  for (struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    sandbox->request = -1;
  }
}

void hold_release(struct keeper *keeper) {
  while (keeper->ports != NULL) {
    port_free(keeper, keeper->ports);
  }
  while (keeper->sandboxes != NULL) {
    sandbox_free(keeper, keeper->sandboxes);
  }
}
