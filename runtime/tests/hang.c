/*
 * A file system whose every file, by any name, hangs: who reads it waits in the kernel, beyond the reach of SIGKILL,
 * until SIGUSR1 makes this program answer; for tests:
 *
 *   hang DIRECTORY     mounts it there, says "mounted", and "held" for each; the end of standard input is the end of it
 *
 * Speaks the kernel's FUSE protocol by itself: nothing has to be installed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FIRST_FILE 2
#define WAITING_MAX 64

static uint64_t waiting[WAITING_MAX];
static size_t waiting_count;

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t size) {
  struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + size), .error = -error, .unique = unique};
  struct iovec parts[] = {{&head, sizeof(head)}, {(void *)data, size}};
  ssize_t n = writev(fuse, parts, size == 0 ? 1 : 2);
  (void)n; /* Nobody may be waiting for it any more. */
}

static struct fuse_attr attributes(uint64_t node) {
  return (struct fuse_attr){
      .ino = node, .mode = node >= FIRST_FILE ? S_IFREG | 0444 : S_IFDIR | 0755, .nlink = 1, .size = 4096};
}

static void begin(int fuse, const struct fuse_in_header *in) {
  struct fuse_init_out out;
  memset(&out, 0, sizeof(out));
  out.major = FUSE_KERNEL_VERSION;
  out.minor = 31;
  out.max_write = 4096;
  out.max_background = out.congestion_threshold = 16;
  answer(fuse, in->unique, 0, &out, sizeof(out));
}

/* A file of its own each time. */
static void look_up(int fuse, const struct fuse_in_header *in) {
  static uint64_t next = FIRST_FILE;
  struct fuse_entry_out out;
  memset(&out, 0, sizeof(out));
  out.nodeid = next++;
  out.attr = attributes(out.nodeid);
  answer(fuse, in->unique, 0, &out, sizeof(out));
}

static void hold(int fuse, const struct fuse_in_header *in) {
  if (waiting_count == WAITING_MAX) {
    answer(fuse, in->unique, EIO, NULL, 0);
    return;
  }
  waiting[waiting_count++] = in->unique;
  puts("held");
  fflush(stdout);
}

static void serve(int fuse, const struct fuse_in_header *in) {
  struct fuse_attr_out out;
  struct fuse_open_out opened;
  switch (in->opcode) {
  case FUSE_INIT:
    begin(fuse, in);
    break;
  case FUSE_LOOKUP:
    look_up(fuse, in);
    break;
  case FUSE_GETATTR:
    memset(&out, 0, sizeof(out));
    out.attr = attributes(in->nodeid);
    answer(fuse, in->unique, 0, &out, sizeof(out));
    break;
  case FUSE_OPEN:
  case FUSE_OPENDIR:
    memset(&opened, 0, sizeof(opened));
    opened.open_flags = FOPEN_DIRECT_IO;
    answer(fuse, in->unique, 0, &opened, sizeof(opened));
    break;
  case FUSE_READ:
    hold(fuse, in);
    break;
  case FUSE_READDIR:
  case FUSE_RELEASE:
  case FUSE_RELEASEDIR:
  case FUSE_FLUSH:
    answer(fuse, in->unique, 0, NULL, 0);
    break;
  case FUSE_FORGET:
  case FUSE_BATCH_FORGET:
  case FUSE_INTERRUPT: /* The very point: it is not heard. */
    break;
  default:
    answer(fuse, in->unique, ENOSYS, NULL, 0);
  }
}

static void release(int fuse) {
  for (size_t i = 0; i < waiting_count; i++) {
    answer(fuse, waiting[i], EIO, NULL, 0);
  }
  waiting_count = 0;
}

int main(int argc, char **argv) {
  static char request[1 << 16] __attribute__((aligned(8)));
  char options[128];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
  int signals = signalfd(-1, &set, SFD_CLOEXEC);
  int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (argc != 2 || fuse < 0 || signals < 0) {
    perror("hang: /dev/fuse");
    return 2;
  }
  snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fuse);
  if (mount("hang", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
    perror("hang: mount");
    return 2;
  }
  puts("mounted");
  fflush(stdout);
  for (;;) {
    struct pollfd entries[] = {
        {.fd = fuse, .events = POLLIN}, {.fd = signals, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (poll(entries, 3, -1) < 0) {
      continue;
    }
    struct signalfd_siginfo info;
    if (entries[1].revents != 0 && read(signals, &info, sizeof(info)) > 0) {
      release(fuse);
    }
    if (entries[2].revents != 0 || (entries[1].revents != 0 && info.ssi_signo == SIGTERM)) {
      break;
    }
    ssize_t n = entries[0].revents == 0 ? 0 : read(fuse, request, sizeof(request));
    if (n >= (ssize_t)sizeof(struct fuse_in_header)) {
      serve(fuse, (const struct fuse_in_header *)request);
    } else if (n < 0 && errno == ENODEV) {
      return 0;
    }
  }
  release(fuse);
  (void)umount2(argv[1], MNT_DETACH);
  return 0;
}
