/* An archive, compressed or not, unpacked into a directory, with and without the overlay form; then settled above a
 * layer that has links and directories. Nothing outside may change. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"
#include "fuzz/seal.h"
#include "layer/apply.h"
#include "layer/fixup.h"

static struct scratch layer;
static struct scratch lower;

static void make_lower(void) {
  int root = lower.root.root;
  scratch_open(&lower, "lower");
  root = lower.root.root;
  must(mkdirat(root, "d", 01777) == 0 && mkdirat(root, "usr", 0755) == 0 && symlinkat("usr", root, "l") == 0);
  must(symlinkat("/", root, "up") == 0 && symlinkat("loop", root, "loop") == 0);
  must(file_write_atomic(root, "usr/f", "below", 5, 0644, 0, NULL) == 0);
}

static void settle(int pending) {
  char records[65536];
  ssize_t size = pread(pending, records, sizeof(records), 0);
  struct err err = ERR_INIT;
  if (size > 0) {
    (void)fixup_run(&layer.root, &lower.root, records, (size_t)size, &err);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (layer.path[0] == '\0') {
    scratch_open(&layer, "layer");
    make_lower();
  }
  if (size == 0) {
    return 0;
  }
  cleanup_close int archive = memfd_create("archive", MFD_CLOEXEC);
  cleanup_close int pending = memfd_create("pending", MFD_CLOEXEC);
  must(archive >= 0 && pending >= 0 && write(archive, data + 1, size - 1) == (ssize_t)(size - 1));
  must(lseek(archive, 0, SEEK_SET) == 0);
  struct limits limits = {.bytes = 1 << 20, .content = 1 << 20, .entries = 200, .ratio = 400, .ratio_from = 1 << 18};
  struct owner owner = {12, 34};
  bool overlay = (data[0] & 1) != 0;
  struct apply_options options = {
      .prefix = data[0] & 2 ? "usr/share" : "",
      .overlay = overlay,
      .plain_names = (data[0] & 4) != 0,
      .owner = data[0] & 8 ? &owner : NULL,
      .no_overwrite_dir_non_dir = (data[0] & 16) != 0,
      .pending = overlay ? pending : -1,
  };
  cleanup_source struct source *source = NULL;
  struct apply_report report = {0};
  struct err err = ERR_INIT;
  char digest[DIGEST_TEXT_SIZE];
  int r = source_open(archive, true, &limits, &source, &err);
  if (r == 0 && (data[0] & 32) != 0) {
    r = source_read_ahead(source, &err);
  }
  r = r < 0 ? r : apply_run(&layer.root, source, &options, &report, &err);
  r = r < 0 ? r : source_finish(source, digest, &err);
  must(r == 0 || (err.code == -r && err.text[0] != '\0'));
  if (r == 0 && overlay) {
    settle(pending);
  }
  scratch_reset(&layer);
  return 0;
}

/* The first byte chooses the options. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, capacity);
  bool compressed = size > 2 && (data[1] == 0x1f || data[1] == 0x28);
  if (seed % 16 != 0 && size > 0 && !compressed) {
    seal_headers(data + 1, size - 1);
  }
  return size;
}
