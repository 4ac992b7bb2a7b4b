#include <errno.h>
#include <string.h>

#include "spec/plan.h"

static int read_device_rule(const struct json *item, struct plan_device_rule *rule, struct err *err) {
  const char *type = "a";
  const char *access = "rwm";
  long long major = -1, minor = -1;
  if (json_bool_at(item, "allow", &rule->allow, err) < 0 || json_string_at(item, "type", &type, err) < 0 ||
      json_string_at(item, "access", &access, err) < 0 ||
      json_long_at(item, "major", -1, UINT32_MAX, &major, err) < 0 ||
      json_long_at(item, "minor", -1, UINT32_MAX, &minor, err) < 0) {
    return -EINVAL;
  }
  if (strlen(type) > 1 || strchr("abcu", type[0]) == NULL) {
    return err_set(err, EINVAL, "%s.type: expected a, b, c or u, got '%s'", item->path, type);
  }
  if (access[0] == '\0' || strspn(access, "rwm") != strlen(access)) {
    return err_set(err, EINVAL, "%s.access: expected letters of rwm, got '%s'", item->path, access);
  }
  rule->type = type[0] == '\0' ? 'a' : type[0] == 'u' ? 'c' : type[0];
  rule->major = major;
  rule->minor = minor;
  rule->read = strchr(access, 'r') != NULL;
  rule->write = strchr(access, 'w') != NULL;
  rule->make = strchr(access, 'm') != NULL;
  return 0;
}

/* What every container has: making nodes is harmless, opening them is what counts. */
static const struct plan_device_rule always[] = {
    {true, 'c', -1, -1, false, false, true}, {true, 'b', -1, -1, false, false, true},
    {true, 'c', 1, 3, true, true, true},     {true, 'c', 1, 5, true, true, true},
    {true, 'c', 1, 7, true, true, true},     {true, 'c', 1, 8, true, true, true},
    {true, 'c', 1, 9, true, true, true},     {true, 'c', 5, 0, true, true, true},
    {true, 'c', 5, 1, true, true, true},     {true, 'c', 5, 2, true, true, true},
    {true, 'c', 136, -1, true, true, true},
};

/* Everything is denied first, whatever the list says or does not say: a missing leading "deny" must not mean "all
 * allowed". */
int plan_read_device_rules(struct plan *plan, const struct json *object, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "devices", &array, &count, err);
  if (r < 0) {
    return r;
  }
  struct plan_device_rule *rules = arena_get(&plan->arena, (count + 1 + array_length(always)) * sizeof(*rules));
  if (rules == NULL) {
    return err_oom(err);
  }
  size_t n = 0;
  rules[n++] = (struct plan_device_rule){false, 'a', -1, -1, true, true, true};
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_device_rule(&item, &rules[n], err);
    if (r < 0) {
      return r;
    }
    /* Naming neither number nor kind while allowing part of the access would be widened by v1 to everything. */
    if (rules[n].type == 'a' &&
        (rules[n].major >= 0 || rules[n].minor >= 0 || !(rules[n].read && rules[n].write && rules[n].make))) {
      return err_set(err, EINVAL, "%s: type a takes neither numbers nor part of rwm", item.path);
    }
    n++;
  }
  bool everything = rules[n - 1].type == 'a' && rules[n - 1].allow;
  for (size_t i = 0; !everything && i < array_length(always); i++) {
    rules[n++] = always[i];
  }
  plan->resources.devices = rules;
  plan->resources.device_count = n;
  return 0;
}
