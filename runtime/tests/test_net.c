/* Sandboxes, bridges and verbs in a network namespace of this test's own. Needs root, leaves nothing. */
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "net/link.h"
#include "net/sandbox.h"
#include "net/verbs.h"
#include "sys/netlink.h"

#undef NDEBUG
#define check(call, err)                                                                                               \
  do {                                                                                                                 \
    int check_r_ = (call);                                                                                             \
    if (check_r_ < 0) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, (err).text);                                       \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)
#define require(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

typedef int verb(const struct json *request, struct str *out, struct err *err);

static int ask(verb *run, const char *request, struct str *out, struct err *err) {
  cleanup_json struct json json = {0};
  str_free(out);
  check(json_parse(request, strlen(request), &json, err), *err);
  return run(&json, out, err);
}

static void test_parsing(void) {
  struct err err = ERR_INIT;
  struct link_address address;
  uint8_t mac[6];
  check(link_parse_address("172.20.0.2/24", &address, &err), err);
  require(address.prefix == 24 && address.family == AF_INET && memcmp(address.bytes, "\xac\x14\x00\x02", 4) == 0);
  check(link_parse_address("fd00::2/64", &address, &err), err);
  require(address.prefix == 64 && address.family == AF_INET6 && address.bytes[0] == 0xfd && address.bytes[15] == 2);
  check(link_parse_host("::1", &address, &err), err);
  require(address.prefix == 128 && link_parse_host("fe80::1%lo", &address, &err) == -EINVAL);
  static const char *const bad[] = {"",    "172.20.0.2", "172.20.0.2/33",   "172.20.0.2/-1",          "172.20.0.2/",
                                    "/24", "::1/129",    "172.20.0.256/24", "172.20.0.2222222222/24", "172.20.0.2/24x"};
  for (size_t i = 0; i < array_length(bad); i++) {
    require(link_parse_address(bad[i], &address, &err) == -EINVAL);
  }
  check(link_parse_mac("02:42:ac:14:00:0f", mac, &err), err);
  require(mac[0] == 2 && mac[5] == 15);
  require(link_parse_mac("02:42:ac:14:00", mac, &err) < 0 && link_parse_mac("02-42-ac-14-00-01", mac, &err) < 0);
  require(link_check_name("eth0", &err) == 0 && link_check_name("../x", &err) < 0 && link_check_name("", &err) < 0 &&
          link_check_name("1234567890123456", &err) < 0 && link_check_name("..", &err) < 0);
  require(sysctl_write("kernel.core_pattern", "x", false, &err) == -EINVAL);
  require(sysctl_write("net/../kernel/core_pattern", "x", false, &err) == -EINVAL);
}

#define CONFIG                                                                                                         \
  "{\"links\":[{\"bridge\":\"tst-a\",\"host_interface\":\"tstv%s\",\"interface\":\"eth0\","                            \
  "\"mac\":\"02:42:0a:c8:00:0%s\",\"addresses\":[\"10.200.0.%s/24\"],\"mtu\":1400}],"                                  \
  "\"routes\":[{\"destination\":\"default\",\"via\":\"10.200.0.1\",\"interface\":\"eth0\"}],"                          \
  "\"sysctls\":{\"net.ipv4.ip_unprivileged_port_start\":\"0\"},\"names\":true}"

static struct sandbox_fds make(const char *number) {
  struct err err = ERR_INIT;
  struct sandbox_fds fds = SANDBOX_FDS_NONE;
  cleanup_free char *text = str_format(CONFIG, number, number, number);
  cleanup_json struct json config = {0};
  check(json_parse(text, strlen(text), &config, &err), err);
  check(sandbox_make(&config, &fds, &err), err);
  return fds;
}

static void join(int ns) {
  require(setns(ns, CLONE_NEWNET) == 0);
}

/* A question from inside to 127.0.0.11:53 reaches the high port and its answer comes from port 53. */
static void test_names_port(int home, const struct sandbox_fds *fds) {
  char buffer[64];
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f00000b)};
  struct sockaddr_in from;
  socklen_t size = sizeof(from);
  join(fds->netns);
  cleanup_close int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  cleanup_close int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  cleanup_close int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in any53 = {.sin_family = AF_INET, .sin_port = htons(53)};
  require(bind(own, (struct sockaddr *)&any53, sizeof(any53)) == 0);
  require(connect(client, (struct sockaddr *)&server, sizeof(server)) == 0);
  require(send(client, "hello", 5, 0) == 5);
  require(recvfrom(fds->names_udp, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size) == 5);
  require(sendto(fds->names_udp, "there", 5, 0, (struct sockaddr *)&from, size) == 5);
  require(recv(client, buffer, sizeof(buffer), 0) == 5 && memcmp(buffer, "there", 5) == 0);
  require(connect(stream, (struct sockaddr *)&server, sizeof(server)) == 0);
  cleanup_close int accepted = accept4(fds->names_tcp, NULL, NULL, SOCK_CLOEXEC);
  require(accepted >= 0 && send(accepted, "tcp", 3, 0) == 3 && recv(stream, buffer, sizeof(buffer), 0) == 3);
  join(home);
}

static void test_reach(int home, const struct sandbox_fds *a, const struct sandbox_fds *b) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8000), .sin_addr.s_addr = htonl(0x0ac80003)};
  join(b->netns);
  cleanup_close int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(bind(server, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(server, 1) == 0);
  join(a->netns);
  cleanup_close int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
  char value[32];
  struct err err = ERR_INIT;
  check(file_read_line(-1, "/proc/sys/net/ipv4/ip_unprivileged_port_start", value, sizeof(value), &err), err);
  require(str_equal(value, "0"));
  join(home);
}

static void test_holders(void) {
  struct err err = ERR_INIT;
  cleanup_str struct str out = STR_INIT;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8001), .sin_addr.s_addr = htonl(0x0ac80001)};
  cleanup_close int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(bind(server, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(server, 1) == 0);
  cleanup_free char *me = str_format("{\"holders\":[{\"pid\":%d,\"name\":\"test_net\"}]}\n", (int)getpid());
  static const struct {
    const char *protocol, *address;
    bool found;
  } cases[] = {{"tcp", "10.200.0.1", true}, {"tcp", "0.0.0.0", true},  {"tcp", "127.0.0.2", false},
               {"tcp", "::", false},        {"udp", "0.0.0.0", false}, {"sctp", "0.0.0.0", false}};
  for (size_t i = 0; i < array_length(cases); i++) {
    cleanup_free char *request =
        str_format("{\"protocol\":\"%s\",\"address\":\"%s\",\"port\":8001}", cases[i].protocol, cases[i].address);
    check(ask(verb_port_holders, request, &out, &err), err);
    require(str_equal(out.data, cases[i].found ? me : "{\"holders\":[]}\n"));
  }
  require(ask(verb_port_holders, "{\"protocol\":\"icmp\",\"address\":\"::\",\"port\":1}", &out, &err) == -EINVAL);
}

static void test_stacked(int nl) {
  struct err err = ERR_INIT;
  cleanup_str struct str out = STR_INIT;
  struct link_stacked stacked = {0};
  require(link_parse_stacked("macvlan", "vepa", NULL, &stacked, &err) == 0 && stacked.mode == 2 && stacked.flag == 0);
  stacked = (struct link_stacked){0};
  require(link_parse_stacked("ipvlan", "l3s", "private", &stacked, &err) == 0 && stacked.mode == 2 &&
          stacked.flag == 1);
  stacked = (struct link_stacked){0};
  require(link_parse_stacked("macvlan", "l2", NULL, &stacked, &err) == -EINVAL);
  require(link_parse_stacked("ipvlan", "l2", "open", &stacked, &err) == -EINVAL);
  /* What is there is taken as it is, and never removed. */
  check(ask(verb_parent_add, "{\"name\":\"tst-b\"}", &out, &err), err);
  require(str_equal(out.data, "{\"created\":false}\n"));
  check(ask(verb_parent_remove, "{\"names\":[\"tst-b\",\"lo\"]}", &out, &err), err);
  require(str_equal(out.data, "{\"removed\":[]}\n"));
  require(ask(verb_parent_add, "{\"name\":\"none.5\",\"base\":\"none\",\"vlan\":5}", &out, &err) == -ENODEV);
  require(ask(verb_parent_add, "{\"name\":\"tst-b.5\",\"base\":\"tst-b\",\"vlan\":4095}", &out, &err) < 0);
  struct link_info info;
  check(link_find(nl, "tst-b.5", &info, &err), err);
  require(info.index == 0);
}

static void test_failures(void) {
  struct err err = ERR_INIT;
  struct sandbox_fds fds = SANDBOX_FDS_NONE;
  cleanup_json struct json config = {0};
  const char *text = "{\"links\":[{\"bridge\":\"missing\",\"host_interface\":\"tstv9\",\"interface\":\"eth0\","
                     "\"mac\":\"02:42:0a:c8:00:09\"}]}";
  check(json_parse(text, strlen(text), &config, &err), err);
  require(sandbox_make(&config, &fds, &err) == -ENODEV && str_equal(err.text, "missing is missing") && fds.netns == -1);
  require(sandbox_adopt(0, /* pidfd= */ -1, true, &fds, &err) < 0);
}

static void test_link_change(int nl, const struct sandbox_fds *fds) {
  struct err err = ERR_INIT;
  struct link_info info;
  cleanup_json struct json config = {0};
  const char *text = "{\"links\":[{\"bridge\":\"tst-b\",\"host_interface\":\"tstv5\",\"interface\":\"eth1\","
                     "\"mac\":\"02:42:0a:c9:00:02\",\"addresses\":[\"10.201.0.2/24\"]}]}";
  check(json_parse(text, strlen(text), &config, &err), err);
  check(sandbox_link(fds->netns, &config, /* ret_names= */ NULL, &err), err);
  check(link_find(nl, "tstv5", &info, &err), err);
  require(info.index != 0 && info.is_up);
  check(sandbox_unlink(fds->netns, "eth1", &err), err);
  check(sandbox_unlink(fds->netns, "eth1", &err), err);
  check(link_find(nl, "tstv5", &info, &err), err);
  require(info.index == 0);
}

#define EXPECTED "{\"name\":\"tst-c\",\"expected\":{\"digest\":\"%s\",\"links\":false,\"without\":[\"tst-c\"]}}"

/* A bridge is made while the namespace is as it was seen, and not otherwise. */
static void test_expected(void) {
  struct err err = ERR_INIT;
  cleanup_str struct str out = STR_INIT;
  char request[256];
  snprintf(request, sizeof(request), EXPECTED, "");
  check(ask(verb_bridge_add, request, &out, &err), err);
  const char *start = "{\"created\":false,\"digest\":\"";
  require(str_starts(out.data, start) &&
          strstr(out.data, "\"network\":{\"addresses\":[{\"interface\":\"tst-a\"") != NULL);
  require(if_nametoindex("tst-c") == 0);
  out.data[strlen(start) + 64] = '\0';
  snprintf(request, sizeof(request), EXPECTED, out.data + strlen(start));
  check(ask(verb_bridge_add, request, &out, &err), err);
  require(str_equal(out.data, "{\"created\":true}\n"));
  /* Its own coming changed nothing for the next one. */
  check(ask(verb_bridge_remove, "{\"names\":[\"tst-c\"]}", &out, &err), err);
  check(ask(verb_bridge_add, request, &out, &err), err);
  require(str_equal(out.data, "{\"created\":true}\n"));
  check(ask(verb_bridge_remove, "{\"names\":[\"tst-c\"]}", &out, &err), err);
  require(ask(verb_bridge_add, "{\"name\":\"tst-c\",\"expected\":{}}", &out, &err) < 0);
}

int main(void) {
  struct err err = ERR_INIT;
  cleanup_str struct str out = STR_INIT;
  test_parsing();
  if (unshare(CLONE_NEWNET) < 0) {
    fprintf(stderr, "test_net needs root\n");
    return 1;
  }
  cleanup_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  cleanup_close int nl = -1;
  check(nl_open(NETLINK_ROUTE, &nl, &err), err);
  const char *bridge =
      "{\"name\":\"tst-a\",\"addresses\":[\"10.200.0.1/24\"],\"mtu\":1400,\"mac\":\"02:42:0a:c8:00:01\"}";
  check(ask(verb_bridge_add, bridge, &out, &err), err);
  require(str_equal(out.data, "{\"created\":true}\n"));
  check(ask(verb_bridge_add, bridge, &out, &err), err);
  require(str_equal(out.data, "{\"created\":false}\n"));
  require(ask(verb_bridge_add, "{\"name\":\"lo\"}", &out, &err) == -EEXIST);
  check(ask(verb_bridge_add, "{\"name\":\"tst-b\"}", &out, &err), err);
  test_expected();
  struct sandbox_fds a = make("2"), b = make("3");
  test_names_port(home, &a);
  test_reach(home, &a, &b);
  test_failures();
  test_holders();
  test_stacked(nl);
  test_link_change(nl, &a);
  check(ask(verb_dump, "{}", &out, &err), err);
  require(strstr(out.data, "{\"interface\":\"tst-a\",\"address\":\"10.200.0.1/24\"}") != NULL);
  cleanup_json struct json dumped = {0};
  check(json_parse(out.data, out.size, &dumped, &err), err);
  check(ask(verb_flush_flows, "{\"addresses\":[\"10.200.0.2\"],\"udp_ports\":[53]}", &out, &err), err);
  check(ask(verb_link_remove, "{\"names\":[\"tst-a\",\"none\"]}", &out, &err), err);
  require(str_equal(out.data, "{\"removed\":[]}\n"));
  check(ask(verb_bridge_remove, "{\"names\":[\"tst-a\",\"tst-b\",\"none\",\"lo\"]}", &out, &err), err);
  require(str_equal(out.data, "{\"removed\":[\"tst-a\",\"tst-b\"]}\n"));
  sandbox_fds_close(&a);
  sandbox_fds_close(&b);
  puts("net: ok");
  return 0;
}
