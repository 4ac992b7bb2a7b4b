#include "fuzz/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fuzz/fuzz.h"

static char home[64];
static struct stat neighbour;

static void remove_home(void) {
  (void)file_remove_tree(AT_FDCWD, home, NULL);
}

static void make_home(void) {
  (void)snprintf(home, sizeof(home), "%s/tsc-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  must(mkdtemp(home) != NULL);
  (void)atexit(remove_home);
  int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(fd >= 0 && file_write_atomic(fd, "neighbour", "secret", 6, 0600, 0, NULL) == 0);
  must(fstatat(fd, "neighbour", &neighbour, 0) == 0);
  close(fd);
}

void scratch_open(struct scratch *scratch, const char *name) {
  if (home[0] == '\0') {
    make_home();
  }
  (void)umask(0);
  (void)snprintf(scratch->path, sizeof(scratch->path), "%.40s/%.20s", home, name);
  scratch->home = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  scratch->root = (struct tree)TREE_INIT;
  must(scratch->home >= 0 && mkdirat(scratch->home, name, 0755) == 0);
  must(tree_open_directory(scratch->path, &scratch->root, NULL) == 0);
}

void scratch_reset(struct scratch *scratch) {
  struct stat now;
  must(fstatat(scratch->home, "neighbour", &now, AT_SYMLINK_NOFOLLOW) == 0);
  must(now.st_nlink == 1 && now.st_size == 6 && now.st_mode == neighbour.st_mode && now.st_uid == neighbour.st_uid);
  must(now.st_ctim.tv_sec == neighbour.st_ctim.tv_sec && now.st_ctim.tv_nsec == neighbour.st_ctim.tv_nsec);
  const char *name = strrchr(scratch->path, '/') + 1;
  tree_close(&scratch->root);
  must(file_remove_tree(scratch->home, name, NULL) == 0 && mkdirat(scratch->home, name, 0755) == 0);
  must(tree_open_directory(scratch->path, &scratch->root, NULL) == 0);
}
