#include <unistd.h>

#include "keeper/state.h"

static int add_sandboxes(const struct keeper *keeper, struct str *out) {
  const char *comma = "";
  for (const struct sandbox *sandbox = keeper->sandboxes; sandbox != NULL; sandbox = sandbox->next) {
    if (sandbox->fds.netns < 0) {
      continue;
    }
    if (str_addf(out, "%s{\"name\":", comma) < 0 || json_add_quoted(out, sandbox->name) < 0 ||
        str_addf(out, ",\"path\":\"/proc/%d/fd/%d\"", getpid(), sandbox->fds.netns) < 0) {
      return -1;
    }
    if ((sandbox->fds.users >= 0 && str_addf(out, ",\"users\":\"/proc/%d/fd/%d\"", getpid(), sandbox->fds.users) < 0) ||
        str_add(out, "}") < 0) {
      return -1;
    }
    comma = ",";
  }
  return 0;
}

static int add_ports(const struct keeper *keeper, struct str *out) {
  for (const struct port *port = keeper->ports; port != NULL; port = port->next) {
    if (str_addf(out, "%s{\"key\":", port == keeper->ports ? "" : ",") < 0 || json_add_quoted(out, port->key) < 0 ||
        str_addf(out, ",\"port\":%d,\"proxy_pid\":%d}", port->number, port->proxy) < 0) {
      return -1;
    }
  }
  return 0;
}

static int add_children(const struct keeper *keeper, struct str *out) {
  for (const struct child *child = keeper->children; child != NULL; child = child->next) {
    if (str_addf(out, "%s{\"pid\":%d,\"start_time\":%llu,\"args\":", child == keeper->children ? "" : ",", child->pid,
                 (unsigned long long)child->start_time) < 0 ||
        str_add(out, child->args) < 0 || str_add(out, "}") < 0) {
      return -1;
    }
  }
  return 0;
}

int list_op(struct keeper *keeper, long long id, const struct json *request, struct str *fields, struct err *err) {
  (void)id, (void)request;
  if (str_add(fields, ",\"instance\":") < 0 || json_add_quoted(fields, keeper->options.instance) < 0 ||
      str_addf(fields, ",\"pid\":%d,\"names_pid\":%d,\"sandboxes\":[", getpid(), keeper->names.pid) < 0 ||
      add_sandboxes(keeper, fields) < 0 || str_add(fields, "],\"ports\":[") < 0 || add_ports(keeper, fields) < 0 ||
      str_add(fields, "],\"children\":[") < 0 || add_children(keeper, fields) < 0 || str_add(fields, "]") < 0) {
    return err_oom(err);
  }
  return 0;
}
