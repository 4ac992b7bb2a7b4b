#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "cgroup/v2/controllers.h"

/* io.bfq.weight counts as the specification does, io.weight from 1 to 10000. */
static long long wide_weight(int64_t weight) {
  return (long long)(1 + (weight - 10) * 9999 / 990);
}

static int need_file(int r, const char *key, struct err *err) {
  return r == -ENOENT ? err_set(err, ENOTSUP, "linux.resources.blockIO.%s: this kernel has no such setting", key) : r;
}

static int device_weight(const struct cgroup_writer *to, const struct plan_block_weight *weight, struct err *err) {
  char key[32], text[64], none[40];
  if (weight->leaf_weight != PLAN_UNSET) {
    return err_set(err, ENOTSUP, "linux.resources.blockIO.weightDevice: cgroup v2 has no leafWeight");
  }
  if (weight->weight == PLAN_UNSET) {
    return 0;
  }
  snprintf(key, sizeof(key), "%u:%u", major(weight->number), minor(weight->number));
  snprintf(none, sizeof(none), "%s default", key);
  snprintf(text, sizeof(text), "%s %lld", key, (long long)weight->weight);
  int r = cgroup_write_keyed(to, "io.bfq.weight", key, text, none, err);
  if (r == -ENOENT) {
    snprintf(text, sizeof(text), "%s %lld", key, wide_weight(weight->weight));
    r = cgroup_write_keyed(to, "io.weight", key, text, none, err);
  }
  return need_file(r, "weightDevice", err);
}

static int weights(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  if (from->block_leaf_weight != PLAN_UNSET) {
    return err_set(err, ENOTSUP, "linux.resources.blockIO.leafWeight: cgroup v2 has no such setting");
  }
  int r = cgroup_write_number(to, "io.bfq.weight", from->block_weight, err);
  if (r == -ENOENT) {
    char text[32];
    snprintf(text, sizeof(text), "default %lld", wide_weight(from->block_weight));
    r = need_file(cgroup_write(to, "io.weight", text, err), "weight", err);
  }
  for (size_t i = 0; r == 0 && i < from->block_weight_count; i++) {
    r = device_weight(to, &from->block_weights[i], err);
  }
  return r;
}

int cgroup_v2_io(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = weights(to, from, err);
  for (size_t i = 0; r == 0 && i < from->block_limit_count; i++) {
    const struct plan_block_limit *limit = &from->block_limits[i];
    char key[32], text[96], none[96];
    snprintf(key, sizeof(key), "%u:%u", major(limit->number), minor(limit->number));
    snprintf(none, sizeof(none), "%s rbps=max wbps=max riops=max wiops=max", key);
    if (limit->rate == 0) {
      snprintf(text, sizeof(text), "%s %s=max", key, limit->v2_key);
    } else {
      snprintf(text, sizeof(text), "%s %s=%llu", key, limit->v2_key, (unsigned long long)limit->rate);
    }
    r = cgroup_write_keyed(to, "io.max", key, text, none, err);
  }
  return r;
}
