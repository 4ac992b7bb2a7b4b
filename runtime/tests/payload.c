/*
 * What runs inside containers in tests: one static program, verbs in sequence ("env cwd exit 3"). Reports by plain
 * lines.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int copy_file(const char *path) {
  char buffer[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("open %s: %s\n", path, strerror(errno));
    return 1;
  }
  fflush(stdout);
  ssize_t n;
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
    if (write(STDOUT_FILENO, buffer, (size_t)n) != n) {
      return 1;
    }
  }
  close(fd);
  return n < 0;
}

static int do_env(char **args) {
  (void)args;
  for (char **e = environ; *e != NULL; e++) {
    puts(*e);
  }
  return 0;
}

static int do_cwd(char **args) {
  char path[4096];
  (void)args;
  puts(getcwd(path, sizeof(path)) == NULL ? strerror(errno) : path);
  return 0;
}

static int do_id(char **args) {
  gid_t groups[256];
  (void)args;
  int n = getgroups(256, groups);
  printf("uid=%u gid=%u groups=", getuid(), getgid());
  for (int i = 0; i < n; i++) {
    printf("%s%u", i > 0 ? "," : "", groups[i]);
  }
  mode_t mask = umask(0);
  umask(mask);
  printf(" umask=%04o pid=%d sid=%d\n", mask, getpid(), getsid(0));
  return 0;
}

static int do_status(char **args) {
  (void)args;
  return copy_file("/proc/self/status");
}

static int do_mounts(char **args) {
  (void)args;
  return copy_file("/proc/self/mountinfo");
}

static int do_cat(char **args) {
  return copy_file(args[0]);
}

static int do_write(char **args) {
  int fd = open(args[0], O_WRONLY | O_CREAT, 0644);
  if (fd < 0) {
    printf("write %s: %s\n", args[0], strerror(errno));
    return 0;
  }
  ssize_t n = write(fd, args[1], strlen(args[1]));
  printf("write %s: %s\n", args[0], n < 0 ? strerror(errno) : "ok");
  close(fd);
  return 0;
}

static int do_ls(char **args) {
  DIR *dir = opendir(args[0]);
  struct dirent *entry;
  if (dir == NULL) {
    printf("ls %s: %s\n", args[0], strerror(errno));
    return 0;
  }
  while ((entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] != '.') {
      puts(entry->d_name);
    }
  }
  closedir(dir);
  return 0;
}

static int do_stat(char **args) {
  struct stat at;
  if (lstat(args[0], &at) < 0) {
    printf("stat %s: %s\n", args[0], strerror(errno));
    return 0;
  }
  printf("stat %s: mode=%o uid=%u gid=%u rdev=%u:%u size=%lld\n", args[0], at.st_mode, at.st_uid, at.st_gid,
         major(at.st_rdev), minor(at.st_rdev), (long long)at.st_size);
  return 0;
}

/* Open descriptors with what they are; the directory's own is left out. */
static int do_fds(char **args) {
  (void)args;
  for (int fd = 0; fd < 256; fd++) {
    char path[64], target[256];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n >= 0) {
      target[n] = '\0';
      printf("fd %d %s\n", fd, target);
    }
  }
  return 0;
}

static int do_tty(char **args) {
  struct winsize size = {0, 0, 0, 0};
  (void)args;
  (void)ioctl(0, TIOCGWINSZ, &size);
  printf("tty %d %d %d %dx%d fg=%d\n", isatty(0), isatty(1), isatty(2), size.ws_row, size.ws_col,
         tcgetpgrp(0) == getpgrp());
  return 0;
}

static int do_sleep(char **args) {
  fflush(stdout);
  sleep((unsigned)atoi(args[0]));
  return 0;
}

/* Until a signal arrives; the default action counts. */
static int do_pause(char **args) {
  (void)args;
  fflush(stdout);
  for (;;) {
    pause();
  }
  return 0;
}

static volatile sig_atomic_t caught;
static void on_signal(int number) {
  caught = number;
}

/* Waits for a signal of any of the usual kinds and names it. */
static int do_catch(char **args) {
  (void)args;
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  signal(SIGHUP, on_signal);
  signal(SIGUSR1, on_signal);
  puts("ready");
  fflush(stdout);
  while (caught == 0) {
    pause();
  }
  printf("caught %d\n", (int)caught);
  return 0;
}

static int do_echo(char **args) {
  puts(args[0]);
  return 0;
}

static int do_stdin(char **args) {
  char buffer[4096];
  ssize_t n;
  (void)args;
  fflush(stdout);
  while ((n = read(0, buffer, sizeof(buffer))) > 0) {
    if (write(1, buffer, (size_t)n) != n) {
      return 1;
    }
  }
  return 0;
}

static int do_exit(char **args) {
  fflush(stdout);
  exit(atoi(args[0]));
}

static int do_raise(char **args) {
  fflush(stdout);
  signal(atoi(args[0]), SIG_DFL);
  kill(getpid(), atoi(args[0]));
  return 1;
}

static int do_mknod(char **args) {
  dev_t number = makedev((unsigned)atoi(args[1]), (unsigned)atoi(args[2]));
  printf("mknod: %s\n", mknod(args[0], S_IFBLK | 0600, number) < 0 ? strerror(errno) : "ok");
  int fd = open(args[0], O_RDONLY);
  printf("open: %s\n", fd < 0 ? strerror(errno) : "ok");
  return 0;
}

static int do_mount(char **args) {
  printf("mount: %s\n", mount("none", args[0], "tmpfs", 0, NULL) < 0 ? strerror(errno) : "ok");
  return 0;
}

static int do_mkdir(char **args) {
  printf("mkdir: %s\n", mkdir(args[0], 0755) < 0 ? strerror(errno) : "ok");
  return 0;
}

/* A raw call with zero arguments and what it says. */
static int do_syscall(char **args) {
  long r = syscall(atol(args[0]), 0, 0, 0, 0, 0, 0);
  printf("syscall %s: %s\n", args[0], r < 0 ? strerror(errno) : "ok");
  return 0;
}

static int do_rlimit(char **args) {
  struct rlimit limit;
  (void)args;
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("nofile %llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
  return 0;
}

/* A grandchild whose parent dies first: somebody must reap it. */
static int do_orphan(char **args) {
  int ms = atoi(args[0]);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      usleep((useconds_t)ms * 1000);
      _exit(0);
    }
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  return 0;
}

/* A child that ignores everything but SIGKILL and stays. */
static int do_linger(char **args) {
  (void)args;
  fflush(stdout);
  if (fork() == 0) {
    for (int s = 1; s < 32; s++) {
      signal(s, SIG_IGN);
    }
    setsid();
    close(0);
    close(1);
    close(2);
    for (;;) {
      pause();
    }
  }
  return 0;
}

static int do_zombies(char **args) {
  DIR *dir = opendir("/proc");
  struct dirent *entry;
  int count = 0;
  (void)args;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    char path[300], line[512] = "";
    snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
    FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
    if (file != NULL) {
      const char *after = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
      count += after != NULL && after[2] == 'Z';
      fclose(file);
    }
  }
  printf("zombies %d\n", count);
  return 0;
}

static int do_forkbomb(char **args) {
  int most = atoi(args[0]);
  int made = 0;
  while (made < most) {
    pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    if (pid < 0) {
      printf("fork: %s after %d\n", strerror(errno), made);
      break;
    }
    made++;
  }
  printf("forked %d\n", made);
  return 0;
}

static int do_memhog(char **args) {
  size_t megabytes = (size_t)atol(args[0]);
  fflush(stdout);
  for (size_t i = 0; i < megabytes; i++) {
    char *block = malloc(1 << 20);
    if (block == NULL) {
      return 1;
    }
    memset(block, 1, 1 << 20);
  }
  printf("held %zu\n", megabytes);
  return 0;
}

/* A child in the control group at this path that waits for ever. */
static int do_inside(char **args) {
  char file[4096];
  snprintf(file, sizeof(file), "%s/cgroup.procs", args[0]);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open(file, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1) {
      _exit(1);
    }
    for (;;) {
      pause();
    }
  }
  return pid < 0;
}

/* An attacker on a shared directory: swaps two entries as fast as it can, until killed. */
static int do_flip(char **args) {
  puts("flipping");
  fflush(stdout);
  for (;;) {
    (void)renameat2(AT_FDCWD, args[0], AT_FDCWD, args[1], RENAME_EXCHANGE);
  }
  return 0;
}

/* The other end of --console-socket: takes one pty, types `line`, prints all that comes. Run on the host. */
static int do_console(char **args) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char data[64], buffer[4096];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  int pty = -1;
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  /* Whoever sees the name can connect: it is given once somebody listens. */
  snprintf(address.sun_path, sizeof(address.sun_path), "%s~", args[0]);
  if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0 ||
      rename(address.sun_path, args[0]) < 0) {
    perror("console");
    return 1;
  }
  int peer = accept(listener, NULL, NULL);
  struct iovec iov = {data, sizeof(data)};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  if (recvmsg(peer, &message, 0) <= 0 || CMSG_FIRSTHDR(&message) == NULL) {
    fputs("console: no descriptor came\n", stderr);
    return 1;
  }
  memcpy(&pty, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  if (args[1][0] != '\0') {
    dprintf(pty, "%s\n", args[1]);
  }
  ssize_t n;
  while ((n = read(pty, buffer, sizeof(buffer))) > 0) {
    if (write(STDOUT_FILENO, buffer, (size_t)n) != n) {
      return 1;
    }
  }
  return 0;
}

static const struct {
  const char *name;
  int arguments;
  int (*run)(char **args);
} verbs[] = {
    {"true", 0, NULL},        {"env", 0, do_env},         {"cwd", 0, do_cwd},         {"id", 0, do_id},
    {"status", 0, do_status}, {"mounts", 0, do_mounts},   {"cat", 1, do_cat},         {"write", 2, do_write},
    {"ls", 1, do_ls},         {"stat", 1, do_stat},       {"fds", 0, do_fds},         {"tty", 0, do_tty},
    {"sleep", 1, do_sleep},   {"pause", 0, do_pause},     {"catch", 0, do_catch},     {"echo", 1, do_echo},
    {"stdin", 0, do_stdin},   {"exit", 1, do_exit},       {"raise", 1, do_raise},     {"mknod", 3, do_mknod},
    {"mount", 1, do_mount},   {"mkdir", 1, do_mkdir},     {"syscall", 1, do_syscall}, {"rlimit", 0, do_rlimit},
    {"orphan", 1, do_orphan}, {"linger", 0, do_linger},   {"zombies", 0, do_zombies}, {"forkbomb", 1, do_forkbomb},
    {"memhog", 1, do_memhog}, {"console", 2, do_console}, {"flip", 2, do_flip},       {"inside", 1, do_inside},
};

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    size_t v = 0;
    while (v < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verbs[v].name, argv[i]) != 0) {
      v++;
    }
    if (v == sizeof(verbs) / sizeof(verbs[0]) || i + verbs[v].arguments >= argc) {
      fprintf(stderr, "payload: bad verb %s\n", argv[i]);
      return 2;
    }
    int r = verbs[v].run == NULL ? 0 : verbs[v].run(argv + i + 1);
    if (r != 0) {
      return r;
    }
    i += verbs[v].arguments;
  }
  return 0;
}
