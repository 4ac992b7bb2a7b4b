/* The D-Bus client against a peer of our own at the other end of a socket pair, well-behaved and hostile. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "cgroup/systemd/property.h"
#include "cgroup/systemd/scope.h"
#include "tests/check.h"

#define JOB "/org/freedesktop/systemd1/job/7"

/* What the peer does with one call. */
struct turn {
  const char *member;      /* expected in the call; NULL: send without being asked */
  const char *with;        /* expected somewhere in the call, or NULL */
  uint8_t type;            /* 2 answer, 3 refusal, 4 signal */
  const char *signature;   /* of the body: o, s, v, uoss or "" */
  const char *text, *more; /* its strings */
  const char *raw;         /* instead of a message: these bytes */
  size_t raw_size;
};

static void field(struct bus_body *to, uint8_t code, const char *type, const char *text, uint32_t number) {
  bus_put_align(to, 8);
  (void)str_append(&to->data, &code, 1);
  bus_put_signature(to, type);
  if (type[0] == 'u') {
    bus_put_u32(to, number);
  } else if (type[0] == 'g') {
    bus_put_signature(to, text);
  } else {
    bus_put_text(to, text);
  }
}

static void send_turn(int fd, const struct turn *turn, uint32_t serial) {
  cleanup_bus_body struct bus_body message = {.failed = false}, body = {.failed = false};
  if (turn->raw != NULL) {
    check(write(fd, turn->raw, turn->raw_size) == (ssize_t)turn->raw_size);
    return;
  }
  if (strcmp(turn->signature, "uoss") == 0) {
    bus_put_u32(&body, 7);
    bus_put_text(&body, turn->text);
    bus_put_text(&body, "x.scope");
    bus_put_text(&body, turn->more);
  } else if (turn->signature[0] != '\0') {
    if (turn->signature[0] == 'v') {
      bus_put_signature(&body, "s");
    }
    bus_put_text(&body, turn->text);
  }
  const uint8_t fixed[4] = {'l', turn->type, 1, 1};
  (void)str_append(&message.data, fixed, sizeof(fixed));
  bus_put_u32(&message, (uint32_t)body.data.size);
  bus_put_u32(&message, 99);
  size_t fields = bus_array_begin(&message, 8);
  if (turn->type == 4) {
    field(&message, 1, "o", "/org/freedesktop/systemd1", 0);
    field(&message, 3, "s", "JobRemoved", 0);
  } else {
    field(&message, 5, "u", NULL, serial);
  }
  if (turn->type == 3) {
    field(&message, 4, "s", turn->more, 0);
  }
  field(&message, 8, "g", turn->signature, 0);
  bus_array_end(&message, fields, 8);
  bus_put_align(&message, 8);
  (void)str_append(&message.data, body.data.data, body.data.size);
  check(write(fd, message.data.data, message.data.size) == (ssize_t)message.data.size);
}

/* The whole of one call; its serial number. */
static uint32_t expect_call(int fd, const struct turn *turn) {
  char data[4096];
  uint32_t sizes[4] = {0};
  check(fd_read_exact(fd, data, 16, NULL) == 0);
  memcpy(sizes, data, sizeof(sizes));
  size_t rest = (sizes[3] + 7) / 8 * 8 + sizes[1];
  check(rest < sizeof(data) - 16 && fd_read_exact(fd, data + 16, rest, NULL) == 0);
  check(data[0] == 'l' && data[1] == 1 && data[3] == 1);
  check(memmem(data, 16 + rest, turn->member, strlen(turn->member) + 1) != NULL);
  check(turn->with == NULL || memmem(data, 16 + rest, turn->with, strlen(turn->with)) != NULL);
  return sizes[2];
}

static void serve(int fd, const char *greeting, const struct turn *turns) {
  char line[128];
  size_t size = 0;
  char expected[64] = "AUTH EXTERNAL ", id[16];
  snprintf(id, sizeof(id), "%u", (unsigned)geteuid());
  for (size_t i = 0; id[i] != '\0'; i++) {
    snprintf(expected + strlen(expected), 3, "%02x", (unsigned char)id[i]);
  }
  while (size < sizeof(line) - 1 && (size < 7 || memcmp(line + size - 7, "BEGIN\r\n", 7) != 0) &&
         read(fd, line + size, 1) == 1) {
    size++;
  }
  line[size] = '\0';
  check(line[0] == '\0' && strncmp(line + 1, expected, strlen(expected)) == 0);
  check(write(fd, greeting, strlen(greeting)) == (ssize_t)strlen(greeting));
  uint32_t serial = 0;
  for (; turns != NULL && (turns->member != NULL || turns->type != 0 || turns->raw != NULL); turns++) {
    serial = turns->member == NULL ? serial : expect_call(fd, turns);
    send_turn(fd, turns, serial);
  }
}

/* A connection to a peer in a child; `*ret_peer` is to be ended with peer_end. */
static int connect_peer(const char *greeting, const struct turn *turns, bool direct, struct bus *ret_bus,
                        pid_t *ret_peer, struct err *err) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  *ret_peer = fork();
  if (*ret_peer == 0) {
    close(ends[0]);
    check_failures = 0;
    serve(ends[1], greeting, turns);
    char rest;
    while (read(ends[1], &rest, 1) > 0) {
    }
    _exit(check_failures == 0 ? 0 : 1);
  }
  close(ends[1]);
  return bus_open(ends[0], direct, ret_bus, err);
}

static void peer_end(pid_t peer, struct bus *bus) {
  int status = -1;
  bus_close(bus);
  check(waitpid(peer, &status, 0) == peer && status == 0);
}

static struct plan_resources no_limits(void) {
  struct plan_resources resources;
  struct arena arena = {NULL};
  const struct json none = {.value = NULL, .path = ""};
  check(plan_read_limits(&arena, &none, &resources, NULL) == 0);
  return resources;
}

static void test_names(void) {
  struct scope_name name;
  struct err err = ERR_INIT;
  check(scope_name_parse("machine.slice:pod:web", "id", false, &name, NULL) == 0);
  check_text(name.slice, "machine.slice");
  check_text(name.unit, "pod-web.scope");
  check(scope_name_parse("::web", "id", false, &name, NULL) == 0);
  check_text(name.slice, "system.slice");
  check_text(name.unit, "web.scope");
  check(scope_name_parse(NULL, "id", true, &name, NULL) == 0);
  check_text(name.slice, "user.slice");
  check_text(name.unit, "tscompose-id.scope");
  check(scope_name_parse("a.slice:p:x.scope", "id", false, &name, NULL) == 0);
  check_text(name.unit, "p-x.scope");
  static const char *const bad[] = {"/a/b",          "a:b", "a.slice:b:", "a:b:c", "a.slice:b:c:d", "a.slice:b:c.slice",
                                    "../x.slice:b:c"};
  for (size_t i = 0; i < array_length(bad); i++) {
    check(scope_name_parse(bad[i], "id", false, &name, &err) == -EINVAL);
    check_contains(err.text, "linux.cgroupsPath");
  }
}

/* One annotation beside a foreign one. */
static int put_property(struct bus_body *body, const char *name, const char *text, struct err *err) {
  cleanup_json struct json document = {.value = NULL};
  cleanup_str struct str json = STR_INIT;
  check(str_addf(&json, "{\"other\":\"x\",\"org.systemd.property.%s\":", name) == 0);
  check(json_add_quoted(&json, text) == 0 && str_add(&json, "}") == 0);
  check(json_parse(json.data, json.size, &document, err) >= 0);
  return property_put_all(body, &document, err);
}

/* Signature and value come behind the name. */
static void test_properties(void) {
  static const struct {
    const char *name, *text, *told, *type, *value;
    size_t size;
  } taken[] = {
#define VALUE(bytes) (bytes), sizeof(bytes) - 1
      {"CollectMode", "'it\\'s \\\\'", "CollectMode", "s", VALUE("\6\0\0\0it's \\\0")},
      {"KillMode", " \"x\" ", "KillMode", "s", VALUE("\1\0\0\0x\0")},
      {"SendSIGHUP", "true", "SendSIGHUP", "b", VALUE("\1\0\0\0")},
      {"OOMScoreAdjust", "-5", "OOMScoreAdjust", "i", VALUE("\373\377\377\377")},
      {"CPUWeight", "uint64 5", "CPUWeight", "t", VALUE("\5\0\0\0\0\0\0\0")},
      {"CPUWeight", "@t 0x10", "CPUWeight", "t", VALUE("\20\0\0\0\0\0\0\0")},
      {"TimeoutStopSec", "3", "TimeoutStopUSec", "t", VALUE("\300\306\55\0\0\0\0\0")},
      {"TimeoutStopUSec", "uint64 7", "TimeoutStopUSec", "t", VALUE("\7\0\0\0\0\0\0\0")},
      {"BindsTo", "['a', 'b']", "BindsTo", "as", VALUE("\16\0\0\0\1\0\0\0a\0\0\0\1\0\0\0b\0")},
      {"Numbers", "[uint16 1, 2]", "Numbers", "aq", VALUE("\4\0\0\0\1\0\2\0")},
      {"BindsTo", "@as []", "BindsTo", "as", VALUE("\0\0\0\0")},
#undef VALUE
  };
  for (size_t i = 0; i < array_length(taken); i++) {
    cleanup_bus_body struct bus_body body = {.failed = false};
    struct err err = ERR_INIT;
    check(put_property(&body, taken[i].name, taken[i].text, &err) == 0);
    check_text(err.text, "");
    check_text(body.data.data + 4, taken[i].told);
    const char *type = body.data.data + 4 + strlen(taken[i].told) + 1;
    check(type[0] == (char)strlen(taken[i].type));
    check_text(type + 1, taken[i].type);
    check(memcmp(body.data.data + body.data.size - taken[i].size, taken[i].value, taken[i].size) == 0);
  }
}

static void test_bad_properties(void) {
  static const char *const bad[][3] = {
      {"PIDs", "@au [1]", "sets this property itself"},
      {"Slice", "'other.slice'", "sets this property itself"},
      {"Delegate", "false", "sets this property itself"},
      {"Kill-Mode", "'x'", "not the name of a property"},
      {"ab", "'x'", "not the name of a property"},
      {"KillMode", "", "expected a value"},
      {"KillMode", "none", "expected a value"},
      {"KillMode", "'open", "expected a value"},
      {"KillMode", "'open\\", "expected a value"},
      {"KillMode", "'a' b", "expected a value"},
      {"KillMode", "[]", "expected a value"},
      {"KillMode", "['a', 1]", "expected a value"},
      {"KillMode", "['a'", "expected a value"},
      {"KillMode", "@a", "expected a value"},
      {"KillMode", "(1, 2)", "expected a value"},
      {"Count", "2147483648", "expected a value"},
      {"Count", "byte 256", "expected a value"},
      {"Count", "uint32 -1", "expected a value"},
      {"Count", "uint64 18446744073709551616", "expected a value"},
      {"Count", "1.5", "expected a value"},
      {"TimeoutStopSec", "'5'", "expected a value"},
      {"TimeoutStopSec", "-5", "expected a value"},
  };
  for (size_t i = 0; i < array_length(bad); i++) {
    cleanup_bus_body struct bus_body body = {.failed = false};
    struct err err = ERR_INIT;
    check(put_property(&body, bad[i][0], bad[i][1], &err) == -EINVAL);
    check_contains(err.text, bad[i][2]);
    check_contains(err.text, bad[i][0]);
  }
}

static const struct turn good[] = {
    {.type = 4, .signature = "uoss", .text = "/org/freedesktop/systemd1/job/6", .more = "failed"},
    {.member = "StartTransientUnit", .with = "MemoryMax", .type = 4, .signature = "uoss", .text = JOB, .more = "done"},
    {.type = 2, .signature = "o", .text = JOB},
    {.member = "GetUnit", .with = "p-x.scope", .type = 2, .signature = "o", .text = "/org/freedesktop/systemd1/unit/x"},
    {.member = "Get", .with = "ControlGroup", .type = 2, .signature = "v", .text = "/a.slice/p-x.scope"},
    {.type = 0},
};

/* The end of the job may be told before the answer that names it. */
static void test_start(void) {
  struct bus bus = BUS_INIT;
  struct err err = ERR_INIT;
  struct scope scope = {.holder = 0};
  struct plan_resources resources = no_limits();
  const struct scope_name name = {"a.slice", "p-x.scope"};
  pid_t peer = 0;
  resources.memory_limit = 1 << 20;
  check(connect_peer("OK 0123\r\n", good, true, &bus, &peer, &err) == 0);
  check(scope_start(&bus, &name, &(struct scope_request){"container x", &resources, NULL}, &scope, &err) == 0);
  check_text(err.text, "");
  check_text(scope.path, "/a.slice/p-x.scope");
  check(scope.holder > 0 && kill(scope.holder, 0) == 0);
  pid_t holder = scope.holder;
  scope_release(&scope);
  check(kill(holder, 0) < 0 && errno == ESRCH);
  peer_end(peer, &bus);
}

/* Through a bus: say hello, ask for the signal, name the receiver. */
static void test_bus(void) {
  const struct turn turns[] = {
      {.member = "Hello", .with = "org.freedesktop.DBus", .type = 2, .signature = "s", .text = ":1.7"},
      {.member = "AddMatch", .with = "JobRemoved", .type = 2, .signature = ""},
      {.member = "Subscribe", .with = "org.freedesktop.systemd1", .type = 2, .signature = ""},
      {.member = "SetUnitProperties", .with = "TasksMax", .type = 2, .signature = ""},
      {.member = "StopUnit",
       .with = "x.scope",
       .type = 3,
       .signature = "s",
       .text = "gone",
       .more = "org.freedesktop.systemd1.NoSuchUnit"},
      {.member = "ResetFailedUnit",
       .with = "x.scope",
       .type = 3,
       .signature = "s",
       .text = "gone",
       .more = "org.freedesktop.systemd1.NoSuchUnit"},
      {.type = 0},
  };
  struct bus bus = BUS_INIT;
  struct err err = ERR_INIT;
  struct plan_resources resources = no_limits();
  pid_t peer = 0;
  resources.pids_limit = 5;
  check(connect_peer("OK 1\r\n", turns, false, &bus, &peer, &err) == 0);
  check_text(err.text, "");
  check(scope_update(&bus, "x.scope", &resources, &err) == 0);
  check(scope_stop(&bus, "x.scope", &err) == 0);
  peer_end(peer, &bus);
}

static void fails(const char *greeting, const struct turn *turns, int code, const char *text) {
  struct bus bus = BUS_INIT;
  struct err err = ERR_INIT;
  struct scope scope = {.holder = 0};
  const struct plan_resources resources = no_limits();
  const struct scope_name name = {"a.slice", "p-x.scope"};
  pid_t peer = 0;
  int r = connect_peer(greeting, turns, true, &bus, &peer, &err);
  if (r == 0) {
    bus.timeout_ms = 100;
    r = scope_start(&bus, &name, &(struct scope_request){"container x", &resources, NULL}, &scope, &err);
  }
  check(r == -code && scope.holder == 0);
  check_contains(err.text, text);
  peer_end(peer, &bus);
}

#define RAW(bytes) .raw = (bytes), .raw_size = sizeof(bytes) - 1
#define START .member = "StartTransientUnit"

static void test_refusals(void) {
  const struct turn exists[] = {{START, .type = 3, .signature = "s", .text = "Unit p-x.scope exists",
                                 .more = "org.freedesktop.systemd1.UnitExists"},
                                {.type = 0}};
  fails("OK 1\r\n", exists, EEXIST, "Unit p-x.scope exists");
  const struct turn failed[] = {{START, .type = 2, .signature = "o", .text = JOB},
                                {.type = 4, .signature = "uoss", .text = JOB, .more = "canceled"},
                                {.type = 0}};
  fails("OK 1\r\n", failed, EIO, "'canceled'");
  const struct turn root[] = {{START, .type = 2, .signature = "o", .text = JOB},
                              {.type = 4, .signature = "uoss", .text = JOB, .more = "done"},
                              {.member = "GetUnit", .type = 2, .signature = "o", .text = "/u"},
                              {.member = "Get", .type = 2, .signature = "v", .text = "/"},
                              {.type = 0}};
  fails("OK 1\r\n", root, EPROTO, "names '/'");
  fails("REJECTED EXTERNAL\r\n", NULL, EACCES, "REJECTED");
  fails("OK 1\r\n", NULL, ETIMEDOUT, "does not answer");
}

/* Sizes that lie, strings without an end, another byte order, a line without an end. */
static void test_hostile(void) {
  char longer[300];
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  fails(longer, NULL, EPROTO, "too long");
  const struct turn order[] = {{START, RAW("B\2\1\1\0\0\0\0\0\0\0\1\0\0\0\0")}, {.type = 0}};
  fails("OK 1\r\n", order, EPROTO, "not understood");
  const struct turn huge[] = {{START, RAW("l\2\1\1\xff\xff\xff\xff\1\0\0\0\xff\xff\xff\xff")}, {.type = 0}};
  fails("OK 1\r\n", huge, EPROTO, "not understood");
  const struct turn field_size[] = {{START, RAW("l\2\1\1\0\0\0\0\1\0\0\0\x10\0\0\0\5\1s\0\xff\xff\xff\x7f"
                                                "abcdefgh")},
                                    {.type = 0}};
  fails("OK 1\r\n", field_size, EPROTO, "not understood");
  const struct turn open_text[] = {{START, RAW("l\2\1\1\0\0\0\0\1\0\0\0\x10\0\0\0\1\1o\0\4\0\0\0"
                                               "abcdefgh")},
                                   {.type = 0}};
  fails("OK 1\r\n", open_text, EPROTO, "not understood");
  const struct turn variant[] = {{START, RAW("l\2\1\1\0\0\0\0\1\0\0\0\x08\0\0\0\5\2at\0\0\0\0")}, {.type = 0}};
  fails("OK 1\r\n", variant, EPROTO, "not understood");
  const struct turn empty[] = {{START, .type = 2, .signature = "", .text = ""}, {.type = 0}};
  fails("OK 1\r\n", empty, EPROTO, "not understood");
}

int main(void) {
  test_names();
  test_properties();
  test_bad_properties();
  test_start();
  test_bus();
  test_refusals();
  test_hostile();
  check_done();
}
