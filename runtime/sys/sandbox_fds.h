/* sys/sandbox_fds: the descriptors of a network sandbox, made by net and used by names. */
#pragma once

/*
 * What holds a sandbox. A descriptor that was not asked for (names off, no user namespace) is -1. The caller owns them;
 * all are close-on-exec. The name server's descriptors are handed on with names_send() (names/names.h).
 */
struct sandbox_fds {
  int netns;
  /* bound to 127.0.0.11 on a high port inside the sandbox; nft rules there show them as port 53 */
  int names_udp;
  /* listening */
  int names_tcp;
  /* unbound, for questions relayed to upstream servers from inside the sandbox */
  int up_udp[2];
  int up_tcp[2];
  /* the user namespace that owns the network; -1: the host's */
  int users;
};

#define SANDBOX_FDS_NONE                                                                                               \
  { .netns = -1, .names_udp = -1, .names_tcp = -1, .up_udp = {-1, -1}, .up_tcp = {-1, -1}, .users = -1 }
