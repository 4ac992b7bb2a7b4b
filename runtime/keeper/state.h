/*
 * The keeper's own parts. It holds what must survive the daemon and decides nothing: every act is a request on the
 * control stream. All state is in struct keeper; what is listed here is what a re-execution carries over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/sandbox.h"

struct json_object;

#define CONTROL_LINE_MAX ((size_t)4 << 20)
/* Replies waiting for a daemon that does not read; requests are not taken meanwhile. */
#define CONTROL_BACKLOG ((size_t)8 << 20)
#define RUN_STDOUT_MAX ((size_t)1 << 20)
#define RUN_STDERR_MAX ((size_t)64 << 10)
#define READY_LINE_MAX ((size_t)64 << 10)

struct options {
  const char *run_dir;
  const char *instance;
  const char *socket;
  const char *group; /* NULL: none */
  bool foreground;
  const char *notify; /* address of the service manager; NULL: none */
  char **daemon;      /* argv, NULL-terminated */
};

/* A restart with growing pauses: 100 ms doubling to 10 s; 10 s of life reset it. */
struct backoff {
  int next_ms;
  int64_t started; /* monotonic ms */
};

struct keeper;

/* A spawned child (a monitor): known until its end was told. */
struct child {
  struct child *next;
  struct keeper *keeper;
  pid_t pid;
  uint64_t start_time; /* 0: not known */
  char *args;          /* JSON array */
  struct watch report; /* descriptor 3 of the child; -1 once the line came */
  struct str line;
  int64_t deadline;  /* monotonic ms, for the report */
  bool late;         /* killed for it */
  long long request; /* -1: answered, or asked by a daemon that is gone */
};

/* A run program: known until it ended and its output is read. */
struct run {
  struct run *next;
  struct keeper *keeper;
  pid_t pid;
  struct watch input;
  struct watch outputs[2];
  struct str stdin_text;
  size_t stdin_at;
  struct str texts[2];
  bool too_much;
  int64_t deadline;
  bool late;
  long long request; /* -1: nobody waits any more */
};

struct sandbox {
  struct sandbox *next;
  struct keeper *keeper;
  char *name;
  struct sandbox_fds fds;
  struct sandbox_job job; /* while being made */
  struct watch report;
  long long request;
  struct json_object *names; /* last configuration of the name server, NULL: none */
};

struct port {
  struct port *next;
  struct keeper *keeper;
  char *key;
  char *protocol;
  int fd;
  int number;
  char *proxy_address; /* NULL: held only */
  int proxy_port;
  pid_t proxy;
  struct backoff backoff;
  struct watch timer;
};

struct zone {
  struct zone *next;
  char *name;
  struct json_object *message;
};

struct names {
  pid_t pid;
  int control;  /* -1: not running */
  bool waiting; /* for its restart */
  struct backoff backoff;
  struct watch timer;
  struct watch gate; /* its wishes for the firewall */
  struct zone *zones;
};

struct daemon {
  pid_t pid;
  struct watch control;
  struct str in;
  size_t scanned; /* bytes of `in` without a newline */
  struct str out;
  size_t out_at;
  struct backoff backoff;
  struct watch timer; /* restart, or the end of patience with an old daemon */
  bool told_to_end;   /* shutdown or SIGTERM: its end is ours */
  bool shutdown;
  bool replaced; /* after a re-execution: killed to make room, no pause before the next */
};

struct keeper {
  struct options options;
  struct json table; /* after a re-execution: owns the options' strings */
  struct loop loop;
  int run_fd;
  int lock_fd;
  int api_fd;
  uint64_t api_inode; /* 0: the socket is a service manager's */
  int self_fd;        /* sealed copy of our binary */
  struct watch signals;
  struct watch watchdog; /* timer: the next deadline of a child */
  struct daemon daemon;
  struct child *children;
  struct run *runs;
  struct sandbox *sandboxes;
  struct port *ports;
  struct names names;
};

/* keeper.c */
int64_t now_ms(void);
/* Milliseconds to wait before the next start. */
int backoff_pause(struct backoff *backoff);
int keeper_watch(struct keeper *keeper, struct watch *watch, int fd, uint32_t events,
                 void (*ready)(struct watch *, uint32_t), void *owner, struct err *err);
/* Loop and signals; session, environment, descriptors. */
int keeper_open_loop(struct keeper *keeper, struct err *err);
int keeper_settle(const struct options *options, struct err *err);
void keeper_leave(struct keeper *keeper);

/* place.c: run directory, lock, API socket, sealed copy, environment, cgroups. */
int place_take(struct keeper *keeper, struct err *err);
int place_await_programs(const struct keeper *keeper, struct err *err);
int place_seal(int *ret_fd, struct err *err);
int place_clean_environment(struct err *err);
void place_leave_cgroups(void);
/* No dump and no tracing of the keeper. */
void place_hide_memory(void);
/* The environment of what is not the daemon: PATH and LANG alone. Proxies and their passwords are the daemon's. */
extern char *const place_bare_environment[];
void place_release(struct keeper *keeper);

/* systemd.c: *ret_fd stays as it is when no socket was passed. */
int systemd_take_socket(int *ret_fd, struct err *err);
/* Best effort; `address` NULL: nobody listens. */
void systemd_notify(const char *address, const char *text);

/* daemon.c */
int daemon_start(struct keeper *keeper, struct err *err);
int daemon_prepare(struct keeper *keeper, struct err *err);
void daemon_exited(struct keeper *keeper, int status);
void daemon_ask_to_end(struct keeper *keeper);
void daemon_replace(struct keeper *keeper);

/* control.c */
int control_open(struct keeper *keeper, int fd, struct err *err);
void control_close(struct keeper *keeper);
/* Takes the line (without newline); a closed stream swallows it. */
void control_send(struct keeper *keeper, struct str *line);
void control_reply_error(struct keeper *keeper, long long request, const char *code, const struct err *err);
/* `fields`: text beginning with a comma, or "". */
void control_reply(struct keeper *keeper, long long request, const char *fields);

/* A request: 0 replied with *fields, 1 later, negative refused. */
typedef int operation(struct keeper *keeper, long long id, const struct json *request, struct str *fields,
                      struct err *err);

/* spawn.c */
operation spawn_child, spawn_run, process_op_kill;
bool spawn_reaped(struct keeper *keeper, pid_t pid, int status);
void spawn_forget_requests(struct keeper *keeper);
/* Programs that were run for a daemon that is gone, or about to go. */
void spawn_end_runs(struct keeper *keeper);
int spawn_adopt(struct keeper *keeper, pid_t pid, const char *args);
/* Ends children that are over their time. */
int spawn_watch(struct keeper *keeper, struct err *err);

/* hold.c: sandboxes and ports. */
operation sandbox_op_create, sandbox_op_adopt, sandbox_op_link, sandbox_op_unlink, sandbox_op_remove;
operation port_op_hold, port_op_proxy, port_op_release;
struct sandbox *sandbox_find(struct keeper *keeper, const char *name);
struct sandbox *sandbox_new(struct keeper *keeper, const char *name, struct err *err);
void sandbox_free(struct keeper *keeper, struct sandbox *sandbox);
struct port *port_new(struct keeper *keeper, const char *key, const char *protocol, struct err *err);
int port_serve(struct port *port, struct err *err);
bool port_reaped(struct keeper *keeper, pid_t pid);
void hold_release(struct keeper *keeper);
void hold_forget_requests(struct keeper *keeper);

/* names.c */
operation names_op_zone, names_op_sandbox;
int names_keep_zone(struct keeper *keeper, const char *name, struct json_object *message);
/* Tells of a sandbox's sockets and configuration; starts the process when there is none. */
int names_publish(struct keeper *keeper, struct sandbox *sandbox, struct err *err);
void names_drop(struct keeper *keeper, const char *sandbox);
int names_start(struct keeper *keeper, struct err *err);
bool names_reaped(struct keeper *keeper, pid_t pid);
void names_release(struct keeper *keeper);

/* gate.c: the name server asks for changes of the firewall. */
void gate_ready(struct watch *watch, uint32_t events);

/* list.c */
operation list_op;

/* reexec.c */
operation reexec_op;
int reexec_resume(struct keeper *keeper, int table_fd, long long *ret_request, struct err *err);
/* Could this binary resume from the table? Asked by an old keeper before it gives itself up. */
int reexec_check(int table_fd, struct err *err);

/* proxy.c: the body of a splice process; descriptor 3 is the held socket. */
int proxy_main(int argc, char **argv);
