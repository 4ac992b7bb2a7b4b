#include <errno.h>
#include <string.h>

#include "spec/plan.h"

static const struct {
  const char *name;
  int resource;
} limits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},         {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_STACK", RLIMIT_STACK},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
};

static int read_rlimits(struct arena *arena, const struct json *object, struct plan_process *process, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "rlimits", &array, &count, err);
  if (r <= 0) {
    return r;
  }
  process->rlimits = arena_get(arena, (count + 1) * sizeof(*process->rlimits));
  if (process->rlimits == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    struct plan_rlimit *limit = &process->rlimits[i];
    uint64_t soft = 0, hard = 0;
    json_item(&array, i, &item);
    r = json_need_string(&item, "type", &limit->name, err);
    if (r < 0 || json_u64_at(&item, "soft", &soft, err) < 0 || json_u64_at(&item, "hard", &hard, err) < 0) {
      return -EINVAL;
    }
    size_t at = 0;
    while (at < array_length(limits) && strcmp(limits[at].name, limit->name) != 0) {
      at++;
    }
    if (at == array_length(limits)) {
      return err_set(err, EINVAL, "%s.type: unknown limit %s", item.path, limit->name);
    }
    for (size_t before = 0; before < i; before++) {
      if (process->rlimits[before].resource == limits[at].resource) {
        return err_set(err, EINVAL, "%s.type: %s is given twice", item.path, limit->name);
      }
    }
    if (soft > hard) {
      return err_set(err, EINVAL, "%s: soft limit above the hard limit", item.path);
    }
    limit->resource = limits[at].resource;
    limit->limit = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
  }
  process->rlimit_count = count;
  return 0;
}

static int read_set(const struct json *object, const char *key, const char **unknown, uint64_t *ret_set,
                    struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, key, &array, &count, err);
  if (r < 0) {
    return r;
  }
  uint64_t set = 0;
  for (size_t i = 0; i < count; i++) {
    struct json item;
    const char *name = NULL;
    json_item(&array, i, &item);
    r = json_as_string(&item, &name, err);
    if (r < 0) {
      return r;
    }
    /* Names this kernel generation does not have are left out with a warning, as the specification asks. */
    int number = capability_number(name);
    if (number >= 0) {
      set |= UINT64_C(1) << number;
    } else {
      *unknown = name;
    }
  }
  *ret_set = set;
  return 0;
}

static int read_capabilities(const struct json *object, struct plan_capabilities *capabilities, struct err *err) {
  struct json sets;
  int r = json_object_at(object, "capabilities", &sets, err);
  if (r <= 0) {
    return r;
  }
  capabilities->given = true;
  if (read_set(&sets, "bounding", &capabilities->unknown, &capabilities->bounding, err) < 0 ||
      read_set(&sets, "effective", &capabilities->unknown, &capabilities->effective, err) < 0 ||
      read_set(&sets, "permitted", &capabilities->unknown, &capabilities->permitted, err) < 0 ||
      read_set(&sets, "inheritable", &capabilities->unknown, &capabilities->inheritable, err) < 0 ||
      read_set(&sets, "ambient", &capabilities->unknown, &capabilities->ambient, err) < 0) {
    return -EINVAL;
  }
  if ((capabilities->effective & ~capabilities->permitted) != 0) {
    return err_set(err, EINVAL, "%s: effective holds what permitted does not", sets.path);
  }
  if ((capabilities->ambient & ~(capabilities->permitted & capabilities->inheritable)) != 0) {
    return err_set(err, EINVAL, "%s: ambient holds what permitted and inheritable do not", sets.path);
  }
  return 0;
}

static int read_user(struct arena *arena, const struct json *object, struct plan_process *process, struct err *err) {
  struct json user;
  int r = json_object_at(object, "user", &user, err);
  if (r <= 0) {
    return r;
  }
  /* 2^32-1 means "unchanged" to the kernel: never a user. */
  long long uid = 0, gid = 0, mask = 0;
  if (json_long_at(&user, "uid", 0, UINT32_MAX - 1, &uid, err) < 0 ||
      json_long_at(&user, "gid", 0, UINT32_MAX - 1, &gid, err) < 0) {
    return -EINVAL;
  }
  r = json_long_at(&user, "umask", 0, 0777, &mask, err);
  if (r < 0) {
    return r;
  }
  process->umask_given = r > 0;
  process->umask = (mode_t)mask;
  process->uid = (uid_t)uid;
  process->gid = (gid_t)gid;
  struct json array;
  size_t count = 0;
  r = json_array_at(&user, "additionalGids", &array, &count, err);
  if (r < 0) {
    return r;
  }
  process->groups = arena_get(arena, (count + 1) * sizeof(gid_t));
  if (process->groups == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = json_as_long(&item, 0, UINT32_MAX - 1, &gid, err);
    if (r < 0) {
      return r;
    }
    process->groups[process->group_count++] = (gid_t)gid;
  }
  return 0;
}

static int read_console(const struct json *object, struct plan_process *process, struct err *err) {
  struct json size;
  int r = json_object_at(object, "consoleSize", &size, err);
  if (r <= 0) {
    return r;
  }
  int rows = 0, columns = 0;
  if (json_int_at(&size, "height", 0, 65535, &rows, err) < 0 ||
      json_int_at(&size, "width", 0, 65535, &columns, err) < 0) {
    return -EINVAL;
  }
  process->rows = (unsigned short)rows;
  process->columns = (unsigned short)columns;
  return 0;
}

int plan_add_environment(struct arena *arena, struct plan_text_list *env, const char *const *more, size_t more_count,
                         struct err *err) {
  const char **items = arena_get(arena, (env->count + more_count + 1) * sizeof(char *));
  if (items == NULL) {
    return err_oom(err);
  }
  size_t count = env->count;
  if (count > 0) {
    memcpy(items, env->items, count * sizeof(char *));
  }
  for (size_t i = 0; i < more_count; i++) {
    size_t length = strcspn(more[i], "=") + 1;
    size_t at = 0;
    while (at < count && strncmp(items[at], more[i], length) != 0) {
      at++;
    }
    items[at] = more[i];
    count += at == count;
  }
  *env = (struct plan_text_list){items, count};
  return 0;
}

int plan_read_process(struct arena *arena, const struct json *object, struct plan_process *ret_process,
                      struct err *err) {
  struct plan_process process;
  memset(&process, 0, sizeof(process));
  process.cwd = "/";
  struct plan_text_list args = {NULL, 0};
  int r = plan_read_texts(arena, object, "args", &args, err);
  if (r < 0) {
    return r;
  }
  if (args.count == 0 || args.items[0][0] == '\0') {
    return err_set(err, EINVAL, "%s.args: no program given", object->path[0] == '\0' ? "process" : object->path);
  }
  process.args = args.items;
  if (plan_read_texts(arena, object, "env", &process.env, err) < 0 ||
      json_bool_at(object, "terminal", &process.terminal, err) < 0 || read_console(object, &process, err) < 0 ||
      json_bool_at(object, "noNewPrivileges", &process.no_new_privileges, err) < 0 ||
      json_string_at(object, "cwd", &process.cwd, err) < 0 ||
      json_string_at(object, "apparmorProfile", &process.apparmor_profile, err) < 0 ||
      json_string_at(object, "selinuxLabel", &process.selinux_label, err) < 0 ||
      read_user(arena, object, &process, err) < 0 || read_rlimits(arena, object, &process, err) < 0) {
    return -EINVAL;
  }
  r = read_capabilities(object, &process.capabilities, err);
  r = r < 0 ? r : plan_read_scheduling(arena, object, &process, err);
  if (r < 0) {
    return r;
  }
  if (process.cwd[0] != '/') {
    return err_set(err, EINVAL, "%s.cwd: '%s' is not an absolute path", object->path, process.cwd);
  }
  r = json_int_at(object, "oomScoreAdj", -1000, 1000, &process.oom_score_adj, err);
  if (r < 0) {
    return r;
  }
  process.oom_score_adj_given = r > 0;
  *ret_process = process;
  return 0;
}
