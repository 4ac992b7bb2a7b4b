#include <errno.h>
#include <sys/sysmacros.h>

#include "spec/plan.h"

static const struct {
  const char *key, *v1_file, *v2_key;
} throttles[] = {
    {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

static int read_number(const struct json *item, dev_t *ret_number, struct err *err) {
  long long major = 0, minor = 0;
  if (json_need_long(item, "major", 0, UINT32_MAX, &major, err) < 0 ||
      json_need_long(item, "minor", 0, UINT32_MAX, &minor, err) < 0) {
    return -EINVAL;
  }
  *ret_number = makedev((unsigned)major, (unsigned)minor);
  return 0;
}

/* 0 is how callers say "not given". */
static int read_weight(const struct json *object, const char *key, int64_t *ret_weight, struct err *err) {
  long long weight = 0;
  if (json_long_at(object, key, 0, 1000, &weight, err) < 0) {
    return -EINVAL;
  }
  if (weight > 0 && weight < 10) {
    return err_set(err, ERANGE, "%s.%s: %lld is not between 10 and 1000", object->path, key, weight);
  }
  *ret_weight = weight == 0 ? PLAN_UNSET : weight;
  return 0;
}

static int read_weights(struct arena *arena, const struct json *block, struct plan_resources *to, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = read_weight(block, "weight", &to->block_weight, err);
  r = r < 0 ? r : read_weight(block, "leafWeight", &to->block_leaf_weight, err);
  r = r < 0 ? r : json_array_at(block, "weightDevice", &array, &count, err);
  if (r < 0 || count == 0) {
    return r < 0 ? r : 0;
  }
  to->block_weights = arena_get(arena, count * sizeof(*to->block_weights));
  if (to->block_weights == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct plan_block_weight *weight = &to->block_weights[i];
    struct json item;
    json_item(&array, i, &item);
    if ((r = read_number(&item, &weight->number, err)) < 0 ||
        (r = read_weight(&item, "weight", &weight->weight, err)) < 0 ||
        (r = read_weight(&item, "leafWeight", &weight->leaf_weight, err)) < 0) {
      return r;
    }
  }
  to->block_weight_count = count;
  return 0;
}

int plan_read_block_io(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err) {
  struct json block;
  struct json arrays[array_length(throttles)];
  size_t counts[array_length(throttles)];
  size_t total = 0;
  int r = json_object_at(object, "blockIO", &block, err);
  if (r <= 0) {
    return r;
  }
  r = read_weights(arena, &block, to, err);
  for (size_t i = 0; r >= 0 && i < array_length(throttles); i++) {
    r = json_array_at(&block, throttles[i].key, &arrays[i], &counts[i], err);
    total += r > 0 ? counts[i] : 0;
  }
  if (r < 0 || total == 0) {
    return r < 0 ? r : 0;
  }
  to->block_limits = arena_get(arena, total * sizeof(*to->block_limits));
  if (to->block_limits == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < array_length(throttles); i++) {
    for (size_t k = 0; k < counts[i]; k++) {
      struct plan_block_limit *limit = &to->block_limits[to->block_limit_count];
      struct json item;
      json_item(&arrays[i], k, &item);
      if ((r = read_number(&item, &limit->number, err)) < 0 ||
          (r = json_u64_at(&item, "rate", &limit->rate, err)) < 0) {
        return r;
      }
      limit->v1_file = throttles[i].v1_file;
      limit->v2_key = throttles[i].v2_key;
      to->block_limit_count++;
    }
  }
  return 0;
}
