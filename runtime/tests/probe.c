/*
 * Asks a seccomp filter, from inside and from outside:
 *
 *   probe table                     in a container: what its filter says to every call number of three ABIs
 *   probe ask ABI NUMBER [ARG…]     the same for one call
 *   probe call NUMBER [ARG…]        really makes the call, says its errno
 *   probe listen SOCKET COUNT ERRNO on the host: takes a listener over SOCKET, answers COUNT notifications
 *   probe without NUMBER[,…] PROGRAM [ARG…]   executes PROGRAM where these calls are ENOSYS
 *
 * Nothing that a filter allows is carried out by `table` and `ask`: a second filter, on top, catches calls whose sixth
 * argument is a mark, and they wait for us to answer them.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int main(void) {
  fputs("probe: for x86_64 only\n", stderr);
  return 2;
}
#else

#define MARK 0x5eccab1e
#define ALLOWED 133 /* an errno nothing else gives */
#define X32 0x40000000L

static long call_64(long number, const long *a) {
  long result;
  register long r10 __asm__("r10") = a[3];
  register long r8 __asm__("r8") = a[4];
  register long r9 __asm__("r9") = MARK;
  /* The mark must not stay there for the calls that follow. */
  __asm__ volatile("syscall\n\txor %%r9d, %%r9d"
                   : "=a"(result), "+r"(r9)
                   : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory", "cc");
  return result;
}

static long call_32(long number, const long *a) {
  long result;
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %%rbp\n\tmov %[mark], %%ebp\n\tint $0x80\n\tpop %%rbp\n\t"
                   "lea 128(%%rsp), %%rsp"
                   : "=a"(result)
                   : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]), [mark] "i"(MARK)
                   : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
  return (int)result;
}

static int load(const struct sock_filter *filters, size_t count, unsigned flags) {
  struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)filters};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return -1;
  }
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int catch_marked(void) {
  const struct sock_filter filters[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return load(filters, sizeof(filters) / sizeof(filters[0]), SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

static int answer(int listener, int error, struct seccomp_notif *ret_request) {
  struct seccomp_notif request;
  struct seccomp_notif_resp response;
  memset(&request, 0, sizeof(request));
  memset(&response, 0, sizeof(response));
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
    return -1;
  }
  response.id = request.id;
  response.error = -error;
  if (ret_request != NULL) {
    *ret_request = request;
  }
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* errno of one call; ALLOWED; 1000 + signal. */
static int ask(int listener, int abi, long number, const long *args) {
  int ends[2], result = 0, status = 0;
  if (pipe(ends) < 0) {
    return -1;
  }
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    long r = abi == 32 ? call_32(number, args) : call_64(abi == 96 ? number | X32 : number, args);
    result = r < 0 ? (int)-r : 0;
    ssize_t n = write(ends[1], &result, sizeof(result));
    _exit(n == sizeof(result) ? 0 : 1);
  }
  close(ends[1]);
  struct pollfd entries[2] = {{.fd = listener, .events = POLLIN}, {.fd = ends[0], .events = POLLIN}};
  while (poll(entries, 2, -1) > 0 && entries[1].revents == 0) {
    if (answer(listener, ALLOWED, NULL) < 0 && errno != ENOENT) {
      break;
    }
  }
  if (read(ends[0], &result, sizeof(result)) != sizeof(result)) {
    result = -1;
  }
  close(ends[0]);
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : result;
}

static void print_verdict(int verdict) {
  if (verdict == ALLOWED) {
    puts("allow");
  } else if (verdict > 1000) {
    printf("killed by %d\n", verdict - 1000);
  } else if (verdict == EPERM || verdict == ENOSYS) {
    puts(verdict == EPERM ? "EPERM" : "ENOSYS");
  } else {
    printf("errno %d\n", verdict);
  }
}

static int do_table(void) {
  static const struct {
    const char *name;
    int abi;
    long last;
  } abis[] = {{"x86_64", 64, 475}, {"i386", 32, 475}, {"x32", 96, 550}};
  static const long none[6] = {0};
  int listener = catch_marked();
  if (listener < 0) {
    perror("probe: listener");
    return 1;
  }
  for (size_t i = 0; i < sizeof(abis) / sizeof(abis[0]); i++) {
    for (long number = 0; number <= abis[i].last; number++) {
      /* The kernel lets these two pass by every filter: a trap instruction makes them, nothing else can. */
      if (abis[i].abi == 64 && (number == 335 || number == 336)) {
        continue;
      }
      printf("%s %ld ", abis[i].name, number);
      print_verdict(ask(listener, abis[i].abi, number, none));
    }
  }
  return 0;
}

static void read_args(char **words, long args[6]) {
  for (int i = 0; i < 6; i++) {
    args[i] = 0;
  }
  for (int i = 0; i < 6 && words[i] != NULL; i++) {
    args[i] = (long)strtoull(words[i], NULL, 0);
  }
}

static int do_ask(char **words) {
  long args[6];
  int listener = catch_marked();
  read_args(words + 2, args);
  print_verdict(ask(listener,
                    strcmp(words[0], "i386") == 0  ? 32
                    : strcmp(words[0], "x32") == 0 ? 96
                                                   : 64,
                    atol(words[1]), args));
  return 0;
}

static int do_call(char **words) {
  long args[6];
  read_args(words + 1, args);
  long r = syscall(atol(words[0]), args[0], args[1], args[2], args[3], args[4], args[5]);
  printf("call %s: %s\n", words[0], r < 0 ? strerror(errno) : "ok");
  return 0;
}

static int take_listener(const char *path, int *ret_listener) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  static char text[1 << 20];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  /* Whoever sees the name can connect: it is given once somebody listens. */
  snprintf(address.sun_path, sizeof(address.sun_path), "%s~", path);
  if (bind(socket_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(socket_fd, 1) < 0 ||
      rename(address.sun_path, path) < 0) {
    perror("probe: listen");
    return 1;
  }
  int peer = accept(socket_fd, NULL, NULL);
  struct iovec iov = {text, sizeof(text) - 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  ssize_t n = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
  if (n <= 0 || CMSG_FIRSTHDR(&message) == NULL) {
    fputs("probe: no descriptor came\n", stderr);
    return 1;
  }
  memcpy(ret_listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  printf("%.*s\n", (int)n, text);
  fflush(stdout);
  return 0;
}

static int do_listen(char **words) {
  int listener = -1, error = atoi(words[2]);
  if (take_listener(words[0], &listener) != 0) {
    return 1;
  }
  for (int i = atoi(words[1]); i > 0; i--) {
    struct seccomp_notif request;
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    if (poll(&entry, 1, -1) == 1 && (entry.revents & POLLIN) == 0) {
      puts("the last process is gone");
      return 0;
    }
    if (answer(listener, error, &request) < 0) {
      perror("probe: answer");
      return 1;
    }
    printf("notified %d by %u\n", request.data.nr, request.pid);
    fflush(stdout);
  }
  return 0;
}

static int do_without(char **words) {
  struct sock_filter filters[64];
  size_t count = 0;
  filters[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (char *word = strtok(words[0], ","); word != NULL && count + 3 < 64; word = strtok(NULL, ",")) {
    filters[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(word), 0, 1);
    filters[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  }
  filters[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  /* By root's right, without no_new_privs: that would be inherited. */
  struct sock_fprog program = {(unsigned short)count, filters};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
    perror("probe: filter");
    return 1;
  }
  execv(words[1], words + 1);
  perror(words[1]);
  return 127;
}

static const struct {
  const char *name;
  int least;
  int (*run)(char **words);
} verbs[] = {{"ask", 2, do_ask}, {"call", 1, do_call}, {"listen", 3, do_listen}, {"without", 2, do_without}};

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "table") == 0) {
    return do_table();
  }
  for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
    if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 >= verbs[i].least) {
      return verbs[i].run(argv + 2);
    }
  }
  fputs("probe: bad verb\n", stderr);
  return 2;
}
#endif
