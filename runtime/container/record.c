/* What is told and kept of a container: the state as the specification has it, state.json. */
#include <string.h>

#include "container/creation.h"

static int add_json(struct str *out, const char *key, const struct json *value) {
  return value->value == NULL ? 0 : str_addf(out, ",\"%s\":%s", key, json_text(value));
}

static int add_cgroups(struct str *out, const struct cgroup *cgroup) {
  int r = str_add(out, ",\"cgroups\":[");
  for (size_t i = 0; r == 0 && i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    r = str_addf(out, "%s{\"v2\":%s,\"controllers\":", i > 0 ? "," : "", place->v2 ? "true" : "false");
    r = r < 0 ? r : json_add_quoted(out, place->controllers);
    r = r < 0 ? r : str_add(out, ",\"directory\":");
    r = r < 0 ? r : json_add_quoted(out, place->directory);
    r = r < 0 ? r : str_add(out, "}");
  }
  return r < 0 ? r : str_add(out, "]");
}

static bool has_own_time(const struct creation *creation) {
  for (size_t i = 0; i < creation->plan.namespace_count; i++) {
    const struct plan_namespace *namespace = &creation->plan.namespaces[i];
    if (strcmp(namespace->name, "time") == 0) {
      return namespace->path == NULL || creation->setup.namespace_fds[i] >= 0;
    }
  }
  return false;
}

int creation_write_parts(struct creation *creation, struct err *err) {
  struct str *head = &creation->state_head;
  struct str *tail = &creation->state_tail;
  int r = str_add(head, "{\"ociVersion\":");
  r = r < 0 ? r : json_add_quoted(head, creation->plan.oci_version);
  r = r < 0 ? r : str_addf(head, ",\"id\":\"%s\"", creation->options->id);
  r = r < 0 ? r : str_add(tail, ",\"bundle\":");
  r = r < 0 ? r : json_add_quoted(tail, creation->bundle);
  r = r < 0 ? r : add_json(tail, "annotations", &creation->plan.annotations);
  r = r < 0 ? r : str_add(tail, "}");
  creation->setup.state_head = head->data;
  creation->setup.state_tail = tail->data;
  return r < 0 ? err_oom(err) : 0;
}

int creation_state_text(const struct creation *creation, const char *status, pid_t pid, struct str *out,
                        struct err *err) {
  int r = str_addf(out, "%s,\"status\":\"%s\",\"pid\":%d%s", creation->state_head.data, status, (int)pid,
                   creation->state_tail.data);
  return r < 0 ? err_oom(err) : 0;
}

int creation_record_text(const struct creation *creation, const char *status, struct str *out, struct err *err) {
  struct json hooks = json_get(&creation->plan.document, "hooks");
  struct json process = json_get(&creation->plan.document, "process");
  int r = creation_state_text(creation, status, creation->pid, out, err);
  if (r < 0) {
    return r;
  }
  out->size--; /* the closing brace */
  r = str_add(out, ",\"rootfs\":");
  r = r < 0 ? r : json_add_quoted(out, creation->rootfs);
  r = r < 0 ? r
            : str_addf(out, ",\"created\":\"%s\",\"start_time\":%llu", creation->created,
                       (unsigned long long)creation->start_time);
  r = r < 0 ? r : add_cgroups(out, &creation->cgroup);
  if (creation->listener_socket >= 0) {
    r = r < 0 ? r : str_add(out, ",\"seccomp\":{\"listenerPath\":");
    r = r < 0 ? r : json_add_quoted(out, creation->listener.path);
    r = r < 0 ? r : str_add(out, ",\"listenerMetadata\":");
    r = r < 0 ? r : json_add_quoted(out, creation->listener.metadata == NULL ? "" : creation->listener.metadata);
    r = r < 0 ? r : str_add(out, "}");
  }
  r = r < 0 ? r : add_json(out, "hooks", &hooks);
  r = r < 0 ? r : add_json(out, "process", &process);
  r = r < 0 || !creation->setup.own_users ? r : str_add(out, ",\"user_namespace\":true");
  r = r < 0 || !setup_joins_mounts(&creation->setup) ? r : str_add(out, ",\"mounts_joined\":true");
  r = r < 0 || !has_own_time(creation) ? r : str_add(out, ",\"time_namespace\":true");
  r = r < 0 || creation->plan.personality == PLAN_UNSET
          ? r
          : str_addf(out, ",\"personality\":%lld", (long long)creation->plan.personality);
  r = r < 0 ? r : str_add(out, "}");
  return r < 0 ? err_oom(err) : 0;
}
