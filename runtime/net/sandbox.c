#include "net/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "net/link.h"
#include "net/names_rules.h"
#include "net/users.h"
#include "sys/netlink.h"
#include "sys/process.h"

/* How long a child may work. */
#define WORK_SECONDS 30

#define SANDBOX_LINKS_MAX 64
#define SANDBOX_FD_COUNT (sizeof(struct sandbox_fds) / sizeof(int))

/* What the child sends; descriptors that are open follow in the order of struct sandbox_fds. */
struct report {
  struct err err;
  bool open[SANDBOX_FD_COUNT];
};

/* The child's place between the two namespaces. */
struct work {
  int host_ns;
  int host_nl;
  int inner_ns;
  int inner_nl;
  int users; /* owner of inner_ns; -1: the host's */
};

enum task { TASK_MAKE, TASK_ADOPT, TASK_LINK, TASK_UNLINK };

struct order {
  enum task task;
  const struct json *config;
  int netns;
  pid_t pid;
  int pidfd; /* of that process */
  bool want_names;
  const char *interface;
};

void sandbox_fds_close(struct sandbox_fds *fds) {
  int *each = &fds->netns;
  for (size_t i = 0; i < SANDBOX_FD_COUNT; i++) {
    if (each[i] >= 0) {
      close(each[i]);
    }
    each[i] = -1;
  }
}

static int go(int ns, struct err *err) {
  return setns(ns, CLONE_NEWNET) < 0 ? err_errno(err, "cannot enter a network namespace") : 0;
}

static int open_namespace(const char *path, int *ret_fd, struct err *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  *ret_fd = fd;
  return 0;
}

/* The network alone, or with the user namespace that owns it; from outside we have rights over both. */
static int make_namespace(const struct order *order, struct work *work, struct err *err) {
  struct json maps;
  int r = json_object_at(order->config, "users", &maps, err);
  if (r < 0) {
    return r;
  }
  if (r > 0) {
    r = users_make(&maps, &work->users, &work->inner_ns, err);
    return r < 0 ? r : go(work->inner_ns, err);
  }
  if (unshare(CLONE_NEWNET) < 0) {
    return err_errno(err, "cannot create a network namespace");
  }
  return open_namespace("/proc/self/ns/net", &work->inner_ns, err);
}

/* Namespaces: afterwards the child is in the sandbox and holds a netlink socket of each side. */
static int enter(const struct order *order, struct work *work, struct err *err) {
  int r = open_namespace("/proc/self/ns/net", &work->host_ns, err);
  if (r == 0) {
    r = nl_open(NETLINK_ROUTE, &work->host_nl, err);
  }
  if (r < 0) {
    return r;
  }
  if (order->task == TASK_MAKE) {
    r = make_namespace(order, work, err);
  } else {
    work->inner_ns = order->netns;
    if (order->task == TASK_ADOPT) {
      char path[64];
      snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)order->pid);
      r = open_namespace(path, &work->inner_ns, err);
      r = r < 0 ? r : users_of(order->pid, &work->users, err);
      if (r == 0 && process_has_ended(order->pidfd)) {
        r = err_set(err, ESRCH, "process %d ended meanwhile", (int)order->pid);
      }
    }
    if (r == 0) {
      r = go(work->inner_ns, err);
    }
  }
  return r < 0 ? r : nl_open(NETLINK_ROUTE, &work->inner_nl, err);
}

static int set_lo_up(const struct work *work, struct err *err) {
  struct link_info lo;
  int r = link_find(work->inner_nl, "lo", &lo, err);
  return r < 0 ? r : link_set_up(work->inner_nl, lo.index, err);
}

/* Nothing in a sandbox gets a link-local IPv6 address by itself, and a link announces its addresses when it comes up
   (neighbours may remember an earlier owner). */
static int set_defaults(struct err *err) {
  int r = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1", true, err);
  r = r < 0 ? r : sysctl_write("net/ipv4/conf/default/arp_notify", "1", true, err);
  /* The host would point out that a port published on it is served next door, and the host be lost behind that door. */
  r = r < 0 ? r : sysctl_write("net/ipv4/conf/all/accept_redirects", "0", true, err);
  r = r < 0 ? r : sysctl_write("net/ipv4/conf/default/accept_redirects", "0", true, err);
  return r < 0 ? r : sysctl_write("net/ipv6/conf/default/accept_redirects", "0", true, err);
}

/* A link with a parent stands on that interface of the host; the others are veth pairs into a bridge. */
static int make_stacked(const struct work *work, const struct json *item, const char *parent_name, struct err *err) {
  struct link_stacked stacked = {.netns = work->inner_ns};
  const char *kind = NULL, *mode = NULL, *flag = NULL, *mac = NULL;
  long long mtu = 0;
  struct link_info parent;
  int r = json_need_string(item, "kind", &kind, err);
  r = r < 0 ? r : json_need_string(item, "mode", &mode, err);
  r = r < 0 ? r : json_string_at(item, "flag", &flag, err);
  r = r < 0 ? r : json_need_string(item, "interface", &stacked.interface, err);
  r = r < 0 ? r : json_string_at(item, "mac", &mac, err);
  r = r < 0 ? r : json_long_at(item, "mtu", 0, 65535, &mtu, err);
  r = r < 0 ? r : link_parse_stacked(kind, mode, flag, &stacked, err);
  r = r < 0 || mac == NULL ? r : link_parse_mac(mac, stacked.mac, err);
  r = r < 0 ? r : link_check_name(stacked.interface, err);
  r = r < 0 ? r : link_find(work->host_nl, parent_name, &parent, err);
  if (r < 0) {
    return r;
  }
  if (parent.index == 0) {
    return err_set(err, ENODEV, "parent interface %s is missing", parent_name);
  }
  stacked.parent = parent.index;
  stacked.has_mac = mac != NULL;
  stacked.mtu = (unsigned)mtu;
  return link_add_stacked(work->host_nl, &stacked, err);
}

static int read_link_config(const struct json *item, struct link_veth *ret_veth, const char **ret_bridge,
                            struct err *err) {
  const char *mac = NULL;
  long long mtu = 0;
  int r = json_need_string(item, "bridge", ret_bridge, err);
  r = r < 0 ? r : json_need_string(item, "host_interface", &ret_veth->host_interface, err);
  r = r < 0 ? r : json_need_string(item, "interface", &ret_veth->interface, err);
  r = r < 0 ? r : json_need_string(item, "mac", &mac, err);
  r = r < 0 ? r : json_long_at(item, "mtu", 0, 65535, &mtu, err);
  r = r < 0 ? r : link_parse_mac(mac, ret_veth->mac, err);
  r = r < 0 ? r : link_check_name(ret_veth->host_interface, err);
  r = r < 0 ? r : link_check_name(ret_veth->interface, err);
  ret_veth->mtu = (unsigned)mtu;
  return r < 0 ? r : 0;
}

/* Namespace: the host's. */
static int make_host_end(const struct work *work, const struct json *item, struct err *err) {
  struct link_veth veth = {.peer_netns = work->inner_ns};
  const char *bridge_name = NULL, *parent = NULL;
  bool isolated = false;
  struct link_info bridge;
  int r = json_string_at(item, "parent", &parent, err);
  if (r > 0) {
    return make_stacked(work, item, parent, err);
  }
  r = r < 0 ? r : read_link_config(item, &veth, &bridge_name, err);
  r = r < 0 ? r : json_bool_at(item, "isolated", &isolated, err);
  r = r < 0 ? r : link_find(work->host_nl, bridge_name, &bridge, err);
  if (r < 0) {
    return r;
  }
  if (!bridge.is_bridge) {
    return err_set(err, bridge.index == 0 ? ENODEV : ENOTSUP, "%s is %s", bridge_name,
                   bridge.index == 0 ? "missing" : "not a bridge");
  }
  veth.master = bridge.index;
  r = link_add_veth(work->host_nl, &veth, err);
  if (r == -EEXIST) {
    /* The name was a dying sandbox's; its namespace is cleaned up in the kernel's own time. */
    struct link_info old;
    r = link_find(work->host_nl, veth.host_interface, &old, err);
    r = r < 0 || old.index == 0 ? r : link_remove(work->host_nl, old.index, err);
    r = r < 0 ? r : link_add_veth(work->host_nl, &veth, err);
  }
  if (r == -EXFULL) {
    return err_set(err, EXFULL, "bridge %s is full: the kernel takes 1023 links on one", bridge_name);
  }
  struct link_info end;
  r = r < 0 ? r : link_find(work->host_nl, veth.host_interface, &end, err);
  r = r < 0 ? r : sysctl_write_ipv6(veth.host_interface, "disable_ipv6", "1", err);
  r = r < 0 ? r : sysctl_write_ipv6(veth.host_interface, "accept_ra", "0", err);
  r = r < 0 ? r : link_set_port_up(work->host_nl, end.index, isolated, err);
  return r < 0 ? r : link_hold_mac(work->host_nl, end.index, veth.mac, err);
}

/* A link with an IPv6 address: no router is believed but the one we name, no address waits for duplicates (each is
   given once), and neighbours are told, as over IPv4. */
static int open_ipv6(const char *interface, struct err *err) {
  int r = sysctl_write_ipv6(interface, "accept_ra", "0", err);
  r = r < 0 ? r : sysctl_write_ipv6(interface, "accept_dad", "0", err);
  r = r < 0 ? r : sysctl_write_ipv6(interface, "ndisc_notify", "1", err);
  return r < 0 ? r : sysctl_write_ipv6(interface, "disable_ipv6", "0", err);
}

/* Namespace: the sandbox. */
static int make_inner_end(const struct work *work, const struct json *item, struct err *err) {
  const char *interface = NULL;
  struct link_info info;
  struct json addresses = {0};
  size_t count = 0;
  bool ipv6 = false;
  int r = json_need_string(item, "interface", &interface, err);
  r = r < 0 ? r : link_find(work->inner_nl, interface, &info, err);
  if (r >= 0 && info.index == 0) {
    r = err_set(err, ENODEV, "interface %s did not arrive", interface);
  }
  r = r < 0 ? r : json_array_at(item, "addresses", &addresses, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json entry;
    (void)json_item(&addresses, i, &entry);
    const char *text = NULL;
    struct link_address address;
    r = json_as_string(&entry, &text, err);
    r = r < 0 ? r : link_parse_address(text, &address, err);
    if (r >= 0 && address.family == AF_INET6 && !ipv6) {
      ipv6 = true;
      r = open_ipv6(interface, err);
    }
    r = r < 0 ? r : link_add_address(work->inner_nl, info.index, &address, err);
  }
  return r < 0 ? r : link_set_up(work->inner_nl, info.index, err);
}

static int make_links(const struct work *work, const struct json *config, struct err *err) {
  struct json links = {0};
  size_t count = 0;
  int r = json_array_at(config, "links", &links, &count, err);
  if (r < 0 || count == 0) {
    return r < 0 ? r : 0;
  }
  if (count > SANDBOX_LINKS_MAX) {
    return err_set(err, E2BIG, "%zu links, at most %d are possible", count, SANDBOX_LINKS_MAX);
  }
  r = go(work->host_ns, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    (void)json_item(&links, i, &item);
    r = make_host_end(work, &item, err);
  }
  if (r >= 0) {
    r = go(work->inner_ns, err);
  }
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    (void)json_item(&links, i, &item);
    r = make_inner_end(work, &item, err);
  }
  return r < 0 ? r : 0;
}

static int make_routes(const struct work *work, const struct json *config, struct err *err) {
  struct json routes = {0};
  size_t count = 0;
  int r = json_array_at(config, "routes", &routes, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    (void)json_item(&routes, i, &item);
    const char *destination = NULL, *via = NULL, *interface = NULL;
    struct link_info info;
    struct link_address target, gateway;
    r = json_need_string(&item, "destination", &destination, err);
    r = r < 0 ? r : json_string_at(&item, "via", &via, err);
    r = r < 0 ? r : json_need_string(&item, "interface", &interface, err);
    r = r < 0 ? r : link_find(work->inner_nl, interface, &info, err);
    bool is_default = r >= 0 && strcmp(destination, "default") == 0;
    r = r < 0 || is_default ? r : link_parse_address(destination, &target, err);
    r = r < 0 || via == NULL ? r : link_parse_host(via, &gateway, err);
    r = r < 0 ? r
              : link_add_route(work->inner_nl, is_default ? NULL : &target, via == NULL ? NULL : &gateway, info.index,
                               err);
    if (r < 0) {
      return err_prefix(err, "route %s", destination == NULL ? "" : destination);
    }
  }
  return r < 0 ? r : 0;
}

static int write_sysctls(const struct json *config, struct err *err) {
  struct json sysctls = {0}, value;
  size_t position = 0;
  const char *key, *text;
  int r = json_object_at(config, "sysctls", &sysctls, err);
  while (r >= 0 && sysctls.value != NULL && json_next(&sysctls, &position, &key, &value)) {
    r = json_as_string(&value, &text, err);
    r = r < 0 ? r : sysctl_write(key, text, false, err);
  }
  return r < 0 ? r : 0;
}

static int open_socket(int type, int *ret_fd, struct err *err) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return err_errno(err, "cannot open a socket for names");
  }
  *ret_fd = fd;
  return 0;
}

static int bind_server(int fd, uint16_t *ret_port, struct err *err) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f00000b)};
  socklen_t size = sizeof(address);
  if (bind(fd, (struct sockaddr *)&address, size) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
    return err_errno(err, "cannot bind 127.0.0.11");
  }
  *ret_port = ntohs(address.sin_port);
  return 0;
}

/* Namespace: the sandbox. The server's sockets, those for upstream questions, and the rules that show port 53. */
static int make_names(struct sandbox_fds *fds, bool fresh, struct err *err) {
  uint16_t udp_port = 0, tcp_port = 0;
  int r = open_socket(SOCK_DGRAM, &fds->names_udp, err);
  r = r < 0 ? r : open_socket(SOCK_STREAM, &fds->names_tcp, err);
  r = r < 0 ? r : bind_server(fds->names_udp, &udp_port, err);
  r = r < 0 ? r : bind_server(fds->names_tcp, &tcp_port, err);
  if (r == 0 && listen(fds->names_tcp, 128) < 0) {
    r = err_errno(err, "cannot listen on 127.0.0.11");
  }
  for (int i = 0; r == 0 && i < 2; i++) {
    r = open_socket(SOCK_DGRAM, &fds->up_udp[i], err);
    r = r < 0 ? r : fd_report_errors(fds->up_udp[i], AF_INET, err);
    r = r < 0 ? r : open_socket(SOCK_STREAM, &fds->up_tcp[i], err);
  }
  return r < 0 ? r : names_rules_load(udp_port, tcp_port, fresh, err);
}

static int make(const struct work *work, const struct json *config, struct sandbox_fds *fds, struct err *err) {
  bool names = false;
  int r = json_bool_at(config, "names", &names, err);
  r = r < 0 ? r : set_lo_up(work, err);
  r = r < 0 ? r : set_defaults(err);
  r = r < 0 ? r : make_links(work, config, err);
  r = r < 0 ? r : make_routes(work, config, err);
  r = r < 0 ? r : write_sysctls(config, err);
  return r < 0 || !names ? r : make_names(fds, /* fresh= */ true, err);
}

static void remove_host_ends(const struct work *work, const struct json *config) {
  struct json links = {0};
  size_t count = 0;
  if (json_array_at(config, "links", &links, &count, NULL) < 0) {
    return;
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    (void)json_item(&links, i, &item);
    const char *name = NULL;
    struct link_info info = {0};
    if (json_string_at(&item, "parent", &name, NULL) > 0) {
      /* Nothing of it is on the host. */
      if (json_string_at(&item, "interface", &name, NULL) > 0 && link_find(work->inner_nl, name, &info, NULL) == 0 &&
          info.index != 0) {
        (void)link_remove(work->inner_nl, info.index, NULL);
      }
    } else if (json_string_at(&item, "host_interface", &name, NULL) > 0 &&
               link_find(work->host_nl, name, &info, NULL) == 0 && info.index != 0 && !info.is_bridge) {
      (void)link_remove(work->host_nl, info.index, NULL);
    }
  }
}

static int add_links(const struct work *work, const struct json *config, struct err *err) {
  int r = make_links(work, config, err);
  r = r < 0 ? r : make_routes(work, config, err);
  r = r < 0 ? r : write_sysctls(config, err);
  if (r < 0) {
    remove_host_ends(work, config);
  }
  return r;
}

static int perform(const struct order *order, const struct work *work, struct sandbox_fds *fds, struct err *err) {
  struct link_info info;
  int r;
  switch (order->task) {
  case TASK_MAKE:
    return make(work, order->config, fds, err);
  case TASK_ADOPT:
    return order->want_names ? make_names(fds, /* fresh= */ false, err) : 0;
  case TASK_LINK:
    r = add_links(work, order->config, err);
    return r < 0 || !order->want_names ? r : make_names(fds, /* fresh= */ false, err);
  case TASK_UNLINK:
    r = link_find(work->inner_nl, order->interface, &info, err);
    return r < 0 || info.index == 0 ? r : link_remove(work->inner_nl, info.index, err);
  }
  return err_set(err, EINVAL, "unknown task");
}

static void run_child(const struct order *order, int socket) {
  (void)alarm(WORK_SECONDS); /* whatever it hangs on, the keeper must not hang with it */
  struct work work = {.host_ns = -1, .host_nl = -1, .inner_ns = -1, .inner_nl = -1, .users = -1};
  struct sandbox_fds fds = SANDBOX_FDS_NONE;
  struct report report = {.err = ERR_INIT};
  int r = enter(order, &work, &report.err);
  r = r < 0 ? r : perform(order, &work, &fds, &report.err);
  int open_fds[SANDBOX_FD_COUNT];
  size_t count = 0;
  if (r >= 0) {
    report.err.code = 0;
    fds.netns = order->task == TASK_MAKE || order->task == TASK_ADOPT ? work.inner_ns : -1;
    fds.users = work.users;
    for (size_t i = 0; i < SANDBOX_FD_COUNT; i++) {
      report.open[i] = (&fds.netns)[i] >= 0;
      if (report.open[i]) {
        open_fds[count++] = (&fds.netns)[i];
      }
    }
  }
  _exit(fd_send(socket, &report, sizeof(report), open_fds, count, NULL) < 0 ? 1 : 0);
}

static int begin(const struct order *order, struct sandbox_job *ret_job, struct err *err) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  cleanup_close int ours = pair[0];
  cleanup_close int theirs = pair[1];
  pid_t pid = fork();
  if (pid < 0) {
    return err_errno(err, "cannot fork");
  }
  if (pid == 0) {
    run_child(order, theirs);
  }
  *ret_job = (struct sandbox_job){.pid = pid, .fd = take_fd(&ours)};
  return 0;
}

static int finish(struct sandbox_job *job, struct sandbox_fds *ret_fds, struct err *err) {
  struct report report;
  int received[SANDBOX_FD_COUNT];
  size_t size = 0, count = 0;
  int r = fd_receive(job->fd, &report, sizeof(report), &size, received, SANDBOX_FD_COUNT, &count, err);
  close(job->fd);
  job->fd = -1;
  while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR) {
  }
  if (r >= 0 && size != sizeof(report)) {
    r = err_set(err, EIO, "the child that works on a sandbox died, or took more than %d s", WORK_SECONDS);
  } else if (r >= 0 && report.err.code != 0) {
    report.err.text[sizeof(report.err.text) - 1] = '\0';
    r = err_set(err, report.err.code, "%s", report.err.text);
  }
  struct sandbox_fds fds = SANDBOX_FDS_NONE;
  size_t next = 0;
  for (size_t i = 0; r >= 0 && i < SANDBOX_FD_COUNT; i++) {
    if (report.open[i] && next < count) {
      (&fds.netns)[i] = received[next++];
    }
  }
  while (r < 0 && next < count) {
    close(received[next++]);
  }
  if (r >= 0 && ret_fds != NULL) {
    *ret_fds = fds;
  }
  return r;
}

static int carry_out(const struct order *order, struct sandbox_fds *ret_fds, struct err *err) {
  struct sandbox_job job;
  int r = begin(order, &job, err);
  return r < 0 ? r : finish(&job, ret_fds, err);
}

int sandbox_make_begin(const struct json *config, struct sandbox_job *ret_job, struct err *err) {
  struct order order = {.task = TASK_MAKE, .config = config, .netns = -1};
  return begin(&order, ret_job, err);
}

int sandbox_make_finish(struct sandbox_job *job, struct sandbox_fds *ret_fds, struct err *err) {
  return finish(job, ret_fds, err);
}

int sandbox_make(const struct json *config, struct sandbox_fds *ret_fds, struct err *err) {
  struct order order = {.task = TASK_MAKE, .config = config, .netns = -1};
  return carry_out(&order, ret_fds, err);
}

int sandbox_adopt(pid_t pid, int pidfd, bool want_names, struct sandbox_fds *ret_fds, struct err *err) {
  struct order order = {.task = TASK_ADOPT, .netns = -1, .pid = pid, .pidfd = pidfd, .want_names = want_names};
  return carry_out(&order, ret_fds, err);
}

int sandbox_link(int netns_fd, const struct json *config, struct sandbox_fds *ret_names, struct err *err) {
  struct order order = {.task = TASK_LINK, .config = config, .netns = netns_fd, .want_names = ret_names != NULL};
  return carry_out(&order, ret_names, err);
}

int sandbox_unlink(int netns_fd, const char *interface, struct err *err) {
  struct order order = {.task = TASK_UNLINK, .netns = netns_fd, .interface = interface};
  return carry_out(&order, NULL, err);
}
