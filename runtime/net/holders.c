/* Who has a socket at a port: for the message of a publication that is refused. Sockets are found in /proc/net, their
 * processes by the descriptors in /proc: neither needs a module, and it is only done when something failed. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "net/link.h"
#include "net/verbs.h"

#define INODES_MAX 64
#define HOLDERS_MAX 8

struct sockets {
  unsigned long long inodes[INODES_MAX];
  size_t count;
};

/* What is looked for; the address as /proc/net writes it. */
struct wanted {
  const char *protocol;
  unsigned port;
  char address[33];
};

static int write_address(const char *text, struct wanted *wanted, struct err *err) {
  struct link_address address;
  int r = link_parse_host(text, &address, err);
  for (size_t i = 0; r >= 0 && i < address.prefix / 32U; i++) {
    uint32_t word;
    memcpy(&word, address.bytes + 4 * i, 4);
    snprintf(wanted->address + 8 * i, 9, "%08X", word);
  }
  return r;
}

static bool is_wildcard(const char *address) {
  return strspn(address, "0") == strlen(address);
}

/* A wildcard stands in the way of its whole family, and that of IPv6 mostly in the way of IPv4. */
static bool collides(const char *local, const struct wanted *wanted) {
  return is_wildcard(local) || str_equal(local, wanted->address) ||
         (is_wildcard(wanted->address) && strlen(local) == strlen(wanted->address));
}

/* One line of /proc/net/{tcp,udp}: local address and port at the second place, state at the fourth, inode at the tenth.
   Of TCP only listening sockets count. */
static void read_line(const char *line, const struct wanted *wanted, struct sockets *sockets) {
  enum { LISTENING = 10 };
  char local[33];
  unsigned port = 0, state = 0;
  unsigned long long inode = 0;
  if (sscanf(line, " %*[0-9]: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*s %*s %llu", local, &port, &state, &inode) != 4 ||
      port != wanted->port || inode == 0 || sockets->count == INODES_MAX ||
      (state != LISTENING && str_equal(wanted->protocol, "tcp")) || !collides(local, wanted)) {
    return;
  }
  sockets->inodes[sockets->count++] = inode;
}

/* /proc/net/sctp/eps has a form of its own: port in decimal at the sixth place, inode at the eighth. */
static void read_sctp_line(const char *line, const struct wanted *wanted, struct sockets *sockets) {
  unsigned port = 0;
  unsigned long long inode = 0;
  if (sscanf(line, " %*s %*s %*s %*s %*s %u %*s %llu", &port, &inode) == 2 && port == wanted->port && inode != 0 &&
      sockets->count < INODES_MAX) {
    sockets->inodes[sockets->count++] = inode;
  }
}

/* A list that is missing (no IPv6, no SCTP) is an empty one. */
static void read_table(const char *path, const struct wanted *wanted, struct sockets *sockets) {
  cleanup_file FILE *file = fopen(path, "re");
  char line[512];
  while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
    if (str_equal(wanted->protocol, "sctp")) {
      read_sctp_line(line, wanted, sockets);
    } else {
      read_line(line, wanted, sockets);
    }
  }
}

static bool is_wanted(const char *link, const struct sockets *sockets) {
  unsigned long long inode = 0;
  if (sscanf(link, "socket:[%llu]", &inode) != 1) {
    return false;
  }
  for (size_t i = 0; i < sockets->count; i++) {
    if (sockets->inodes[i] == inode) {
      return true;
    }
  }
  return false;
}

static bool has_socket(int proc, const char *pid, const struct sockets *sockets) {
  char path[300];
  snprintf(path, sizeof(path), "%s/fd", pid);
  int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    char link[64];
    ssize_t size = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
    if (size > 0) {
      link[size] = '\0';
      if (is_wanted(link, sockets)) {
        return true;
      }
    }
  }
  return false;
}

static int add_holder(int proc, const char *pid, size_t found, struct str *out, struct err *err) {
  /* The file it runs: programs name their threads as they like. The kernel's own have none. */
  char path[300], file[4096], name[64] = "";
  snprintf(path, sizeof(path), "%s/exe", pid);
  ssize_t size = readlinkat(proc, path, file, sizeof(file) - 1);
  file[size > 0 ? size : 0] = '\0';
  const char *slash = strrchr(file, '/');
  if (slash != NULL) {
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(slash + 1, " "), slash + 1);
  } else {
    snprintf(path, sizeof(path), "%s/comm", pid);
    (void)file_read_line(proc, path, name, sizeof(name), NULL);
  }
  return str_addf(out, "%s{\"pid\":%s,\"name\":", found > 0 ? "," : "", pid) < 0 || json_add_quoted(out, name) < 0 ||
                 str_add(out, "}") < 0
             ? err_oom(err)
             : 0;
}

static int read_wanted(const struct json *request, struct wanted *wanted, struct err *err) {
  const char *address = NULL;
  long long port = 0;
  int r = json_need_string(request, "protocol", &wanted->protocol, err);
  r = r < 0 ? r : json_need_string(request, "address", &address, err);
  r = r < 0 ? r : json_need_long(request, "port", 1, 65535, &port, err);
  wanted->port = (unsigned)port;
  r = r < 0 ? r : write_address(address, wanted, err);
  if (r >= 0 && !str_equal(wanted->protocol, "tcp") && !str_equal(wanted->protocol, "udp") &&
      !str_equal(wanted->protocol, "sctp")) {
    return err_set(err, EINVAL, "protocol: %s is not tcp, udp or sctp", wanted->protocol);
  }
  return r < 0 ? r : 0;
}

int verb_port_holders(const struct json *request, struct str *out, struct err *err) {
  struct wanted wanted = {0};
  struct sockets sockets = {.count = 0};
  int r = read_wanted(request, &wanted, err);
  if (r < 0) {
    return r;
  }
  static const char *const tables[] = {"", "6"};
  for (size_t i = 0; i < array_length(tables); i++) {
    char path[64];
    bool sctp = str_equal(wanted.protocol, "sctp");
    snprintf(path, sizeof(path), "/proc/self/net/%s%s", wanted.protocol, sctp ? "/eps" : tables[i]);
    read_table(path, &wanted, &sockets);
  }
  cleanup_dir DIR *proc = opendir("/proc");
  if (proc == NULL) {
    return err_errno(err, "cannot read /proc");
  }
  size_t found = 0;
  r = str_add(out, "{\"holders\":[");
  for (const struct dirent *entry;
       r >= 0 && sockets.count > 0 && found < HOLDERS_MAX && (entry = readdir(proc)) != NULL;) {
    if (isdigit((unsigned char)entry->d_name[0]) && has_socket(dirfd(proc), entry->d_name, &sockets)) {
      r = add_holder(dirfd(proc), entry->d_name, found++, out, err);
    }
  }
  return r < 0 ? r : str_add(out, "]}\n");
}
