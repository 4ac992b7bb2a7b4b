/*
 * The monitor's own parts. One monitor watches one process: it starts the runtime, keeps what the process writes,
 * serves clients on m.sock and records the end. All state is in struct monitor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/json.h"
#include "base/loop.h"
#include "base/str.h"
#include "monitor/frame.h"
#include "monitor/log_file.h"

/* Version of the protocol on m.sock, and the lowest one a client must know to talk to this monitor. Versions only add.
 */
#define PROTOCOL 3
#define PROTOCOL_COMPATIBLE 1

/* Bytes kept for a reader that does not keep up. Beyond, the process's output is held back; a reader that then takes
 * nothing for STALL_MS is cut off: one hung terminal must not stop a server for good, one slow one must not lose its
 * output. */
#define CLIENT_BACKLOG ((size_t)1 << 20)
/* All readers together: many of them get less each. */
#define TOTAL_BACKLOG ((size_t)16 << 20)
#define STALL_MS 10000
/* Bytes of stdin taken ahead of a process that does not read. */
#define STDIN_AHEAD ((size_t)256 << 10)
#define CLIENTS_MAX 512
#define READ_CHUNK ((size_t)32768)

struct config {
  struct json document; /* owns the strings below */
  bool exec;
  const char *id;
  const char *container;
  const char *run_dir;
  const char *runtime; /* NULL: the sealed copy of ourselves */
  const char *runtime_root;
  const char *bundle;
  const char *process;
  bool terminal;
  int rows;
  int cols;
  bool stdin_open;
  bool stdin_once;
  const char *log_path; /* NULL: no log */
  int start_within;     /* ms that an exec may wait for `start` */
  long long log_max_size;
  int log_max_file;
  bool log_compress;
};

enum phase {
  PHASE_CREATING,
  PHASE_CREATED,  /* waits for `start` */
  PHASE_STARTING, /* the runtime's start or exec runs */
  PHASE_RUNNING,
  PHASE_STOPPED, /* the process is gone, the runtime deletes */
  PHASE_LEAVING, /* `exit` was queued to every client */
};

struct monitor;

struct client {
  struct watch watch;
  struct monitor *monitor;
  struct client *next;
  struct str in;
  size_t in_at; /* bytes of `in` already taken */
  struct str out;
  size_t out_at;
  size_t whole_at; /* where in `out` the first frame begins of which nothing was sent; until `cut` */
  bool wants_stdout;
  bool wants_stderr;
  bool feeds_stdin;
  bool moved;  /* took something since the last look at stalled readers */
  bool paused; /* a stdin frame waits for room */
  bool ended;  /* sends no more */
  bool cut;    /* gets nothing more than what is in `out` */
  bool parted; /* was told everything: our side of the connection is closed */
};

struct output {
  struct watch watch;
  enum frame_type type;
  struct log_stream log;
};

/* One run of the runtime. While `hides_pid` the watched process's pid is not known yet: no other child is reaped. */
struct job {
  pid_t pid;
  bool hides_pid;
  void (*done)(struct monitor *monitor, int status);
  struct client *client; /* who asked; NULL when nobody or gone */
  long long request;
};

struct oom {
  int counter; /* file with the line `oom_kill N`, -1: unknown */
  bool v1;
  uint64_t before;
  uint64_t told;
  struct watch watch; /* inotify (v2) or eventfd (v1) */
  struct watch again; /* v1: timer, -1 until needed */
  int looks;          /* left with it */
};

struct monitor {
  struct config config;
  struct loop loop;
  enum phase phase;
  int ready_fd; /* descriptor 3, until the ready line is written */
  int run_fd;
  int (*own_runtime)(int argc, char **argv);
  struct watch listener;
  struct watch signals;
  struct watch deadline; /* timer: how long a reader may take for the last bytes */
  struct watch stall;    /* timer: when to look at readers that hold the output back */
  bool holding;          /* the process's output is not read now */
  bool parting;          /* every client was told everything; theirs is the last word */
  int console_fd;        /* listening console.sock; -1 without terminal or once connected */
  struct client *clients;
  int client_count;
  struct output outputs[2];
  struct watch input; /* write end of stdin, or a second descriptor of the pty */
  struct str input_queue;
  size_t input_at;
  bool input_ending;
  struct log_file log;
  uint64_t log_lost_told;
  struct str early; /* first bytes on stderr while the runtime runs: its words when it has no log */
  struct job job;
  pid_t pid;
  int pidfd;
  uint64_t start_time; /* of the process: together with it the pid means no later one */
  struct oom oom;
  bool oom_killed;
  int status; /* as from waitpid, once `exited` */
  int record_tries;
  bool exited;
  struct timespec started_at;
  struct timespec finished_at;
  struct err failure; /* of `start`; text empty: none */
  int failure_code;
};

/* config.c: pure. */
int config_read(const char *path, struct config *ret_config, struct err *err);

/* runtime.c: runs of the runtime and what they leave. */
int runtime_create(struct monitor *monitor, struct err *err);
int runtime_start(struct monitor *monitor, struct err *err);
int runtime_delete(struct monitor *monitor, struct err *err);
/* Words of the runtime about its failure. Returns a negative errno. */
int runtime_failure(struct monitor *monitor, const char *verb, int status, struct err *err);
int runtime_read_pid(struct monitor *monitor, struct err *err);

/* overlay.c */
int overlay_for_foreign(const struct config *config, struct err *err);

/* stdio.c: between the process's streams, the log and the clients. */
int stdio_open(struct monitor *monitor, int ret_child[3], struct err *err);
int stdio_take_console(struct monitor *monitor, struct err *err);
int stdio_resize(struct monitor *monitor, int rows, int cols, struct err *err);
void stdio_drain(struct monitor *monitor);
/* Stops and goes on reading what the process writes. */
void stdio_hold(struct monitor *monitor, bool hold);
void stdio_close(struct monitor *monitor);
/* False: no room, try again when the queue has been written (client_resume is called then). */
bool stdin_feed(struct monitor *monitor, const char *data, size_t size);
void stdin_end(struct monitor *monitor);

/* attach.c: connections and frames. */
int clients_listen(struct monitor *monitor, struct err *err);
void clients_output(struct monitor *monitor, enum frame_type type, const char *data, size_t size);
/* The stall timer fired. */
void clients_check_stalled(struct monitor *monitor);
void clients_event(struct monitor *monitor, const char *json, size_t size);
void clients_resume(struct monitor *monitor);
/* Ends our side of every connection that was told everything; true when all were. */
bool clients_part(struct monitor *monitor);
void clients_close(struct monitor *monitor);
int client_send(struct client *client, enum frame_type type, const char *data, size_t size);

/* control.c: requests. A client that breaks the protocol is cut off by the caller (negative return). */
int control_request(struct client *client, const char *text, size_t size);
void client_reply(struct client *client, long long request, const struct err *err);

/* Tells every client when lines had to be given up. */
void log_check_lost(struct monitor *monitor);

/* exit_record.c */
int exit_record_text(const struct monitor *monitor, const char *event, struct str *ret_text);
int exit_record_write(const struct monitor *monitor, struct err *err);
/* Returns when the record is on the disk. */
void exit_record_sync(const struct monitor *monitor);

/* posture.c: gives up what is not needed once the process runs. */
void posture_settle(const struct monitor *monitor);

/* oom.c */
void oom_watch(struct monitor *monitor);
void oom_check(struct monitor *monitor);
void oom_close(struct monitor *monitor);

/* monitor.c: life. */
void monitor_started(struct monitor *monitor, int status);
void monitor_leave_when_flushed(struct monitor *monitor);
