#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "cgroup/v1/controllers.h"

/* Which name the weight has depends on the scheduler the kernel was built with; neither: the kernel cannot do it. */
static int need_file(int r, const char *key, struct err *err) {
  return r == -ENOENT ? err_set(err, ENOTSUP, "linux.resources.blockIO.%s: this kernel has no such setting", key) : r;
}

static int weights(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = cgroup_write_number(to, "blkio.weight", from->block_weight, err);
  r = r == -ENOENT ? cgroup_write_number(to, "blkio.bfq.weight", from->block_weight, err) : r;
  r = need_file(r, "weight", err);
  r = r < 0 ? r
            : need_file(cgroup_write_number(to, "blkio.leaf_weight", from->block_leaf_weight, err), "leafWeight", err);
  return r;
}

static int device_weight(const struct cgroup_writer *to, const struct plan_block_weight *weight, struct err *err) {
  char key[32], text[64], none[40];
  snprintf(key, sizeof(key), "%u:%u", major(weight->number), minor(weight->number));
  snprintf(none, sizeof(none), "%s 0", key);
  int r = 0;
  if (weight->weight != PLAN_UNSET) {
    snprintf(text, sizeof(text), "%s %lld", key, (long long)weight->weight);
    r = cgroup_write_keyed(to, "blkio.weight_device", key, text, none, err);
    r = r == -ENOENT ? cgroup_write_keyed(to, "blkio.bfq.weight_device", key, text, none, err) : r;
    r = need_file(r, "weightDevice", err);
  }
  if (r == 0 && weight->leaf_weight != PLAN_UNSET) {
    snprintf(text, sizeof(text), "%s %lld", key, (long long)weight->leaf_weight);
    r = need_file(cgroup_write_keyed(to, "blkio.leaf_weight_device", key, text, none, err), "weightDevice: leafWeight",
                  err);
  }
  return r;
}

int cgroup_v1_blkio(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = weights(to, from, err);
  for (size_t i = 0; r == 0 && i < from->block_weight_count; i++) {
    r = device_weight(to, &from->block_weights[i], err);
  }
  for (size_t i = 0; r == 0 && i < from->block_limit_count; i++) {
    const struct plan_block_limit *limit = &from->block_limits[i];
    char key[32], text[64], none[40];
    snprintf(key, sizeof(key), "%u:%u", major(limit->number), minor(limit->number));
    snprintf(text, sizeof(text), "%s %llu", key, (unsigned long long)limit->rate);
    snprintf(none, sizeof(none), "%s 0", key);
    r = cgroup_write_keyed(to, limit->v1_file, key, text, none, err);
  }
  return r;
}
