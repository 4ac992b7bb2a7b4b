/*
 * names: the name server of one instance. It answers at 127.0.0.11 inside every sandbox from zones the daemon publishes
 * and relays other questions to upstream servers as opaque packets. Unprivileged and confined once it runs; it never
 * touches files.
 *
 * Control protocol, on one SOCK_SEQPACKET unix socket (descriptor 3 of the process). Each packet is one JSON object, at
 * most NAMES_MESSAGE_MAX bytes, sent by the keeper; nothing is sent back. The end of the socket ends the process.
 *
 *   {"op":"zone","zone":ID,"hosts":{"web":["172.20.0.3"],…}}    replaces the zone; "hosts":null drops it
 *   {"op":"sandbox","name":NAME,"zones":[ID,…],"extra":{"db":["172.20.0.4"]},"upstreams":[{"address":"1.1.1.1","host":false}],
 *    "internal":false,"search":["example.org"],
 *    "limited":true,"allow":[{"name":"example.org","below":false,"port":443}]}                 makes or updates a
 * sandbox; keys that are absent stay as they are
 *   {"op":"drop","name":NAME}                                   forgets a sandbox and closes its sockets
 *
 * A `sandbox` packet may carry exactly 6 descriptors by SCM_RIGHTS, in the order names_udp, names_tcp, up_udp[0],
 * up_udp[1], up_tcp[0], up_tcp[1]; they replace the sandbox's sockets. Order between packets does not matter: a sandbox
 * may come before its zones, and its configuration before its sockets.
 *
 * When the process dies the keeper starts it again and repeats what it knows: every zone, every sandbox with
 * descriptors.
 */
#pragma once

struct err;
struct sandbox_fds;

#define NAMES_MESSAGE_MAX (1 << 20)
#define NAMES_CONTROL_FD 3
/* A second SOCK_SEQPACKET socket, by which the server asks for changes of the firewall (see gate.c):
 *   {"op":"admit","sandbox":NAME,"ports":[443,0],"addresses":["192.0.2.7",…],"seconds":600}   answered by one byte
 *   {"op":"refused","sandbox":NAME,"name":"example.org"}                                       not answered */
#define NAMES_GATE_FD 4
#define NAMES_GATE_OPEN 'o'
#define NAMES_GATE_SHUT 's'
#define NAMES_GATE_MESSAGE_MAX 16384
/* A keeper that does not answer for so long is taken for gone. */
#define NAMES_GATE_MILLISECONDS 1000

/* The verb: serves until the control socket ends. Returns the exit status. */
int names_main(int argc, char **argv);

/* Keeper side: makes the socket pair; `ret_ours` has room for whole zones, `ret_theirs` becomes descriptor 3. Both
 * close-on-exec. */
int names_control_pair(int *ret_ours, int *ret_theirs, struct err *err);

/* Keeper side: the pair of the gate; `ret_theirs` becomes descriptor 4. */
int names_gate_pair(int *ret_ours, int *ret_theirs, struct err *err);

/* Keeper side: one packet as above (JSON text, `op` included). `fds` is NULL, or a sandbox's descriptors (only with op
 * sandbox). */
int names_send(int control, const char *message, const struct sandbox_fds *fds, struct err *err);
