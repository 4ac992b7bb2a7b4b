#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cgroup/cgroup.h"

/* Super options that are not controllers. */
static bool is_plain_option(const char *word) {
  static const char *const plain[] = {"rw",     "ro",      "xattr", "clone_children", "noprefix", "cpuset_v2_mode",
                                      "nosuid", "seclabel"};
  for (size_t i = 0; i < array_length(plain); i++) {
    if (strcmp(plain[i], word) == 0) {
      return true;
    }
  }
  return str_starts(word, "release_agent=") || str_starts(word, "favordynmods") || str_starts(word, "nofavordynmods");
}

/* mountinfo writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from != '\0'; to++) {
    if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' && from[3] != '\0') {
      *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = '\0';
}

static void read_controllers(char *options, struct cgroup_hierarchy *to) {
  char *saved = NULL;
  size_t size = 0;
  to->controllers[0] = '\0';
  for (char *word = strtok_r(options, ",", &saved); word != NULL; word = strtok_r(NULL, ",", &saved)) {
    if (is_plain_option(word)) {
      continue;
    }
    int n = snprintf(to->controllers + size, sizeof(to->controllers) - size, "%s%s", size > 0 ? "," : "", word);
    size += n > 0 ? (size_t)n : 0;
    if (size >= sizeof(to->controllers)) {
      break;
    }
  }
}

/* The same hierarchy mounted twice: the first mount that shows its root wins. */
static struct cgroup_hierarchy *place_for(struct cgroup_layout *layout, const struct cgroup_hierarchy *found) {
  for (size_t i = 0; i < layout->count; i++) {
    struct cgroup_hierarchy *known = &layout->items[i];
    if (known->v2 == found->v2 && strcmp(known->controllers, found->controllers) == 0) {
      bool better = strcmp(known->mount_root, "/") != 0 && strcmp(found->mount_root, "/") == 0;
      return better ? known : NULL;
    }
  }
  return layout->count < CGROUP_HIERARCHIES ? &layout->items[layout->count++] : NULL;
}

static void read_line(char *line, struct cgroup_layout *layout) {
  char *separator = strstr(line, " - cgroup");
  if (separator == NULL) {
    return;
  }
  struct cgroup_hierarchy found;
  char type[16], options[256];
  char root[256], point[128];
  if (sscanf(line, "%*d %*d %*s %255s %127s", root, point) != 2 ||
      sscanf(separator, " - %15s %*s %255s", type, options) != 2) {
    return;
  }
  memset(&found, 0, sizeof(found));
  found.v2 = strcmp(type, "cgroup2") == 0;
  if (!found.v2 && strcmp(type, "cgroup") != 0) {
    return;
  }
  unescape(root);
  unescape(point);
  strcpy(found.mount_root, root);
  strcpy(found.mount_point, point);
  if (!found.v2) {
    read_controllers(options, &found);
    layout->v1_controllers = layout->v1_controllers || !str_starts(found.controllers, "name=");
  }
  struct cgroup_hierarchy *to = place_for(layout, &found);
  if (to != NULL) {
    *to = found;
  }
}

int cgroup_layout_parse(const char *mountinfo, struct cgroup_layout *ret_layout, struct err *err) {
  struct cgroup_layout layout;
  memset(&layout, 0, sizeof(layout));
  cleanup_free char *copy = strdup(mountinfo);
  if (copy == NULL) {
    return err_oom(err);
  }
  char *saved = NULL;
  for (char *line = strtok_r(copy, "\n", &saved); line != NULL; line = strtok_r(NULL, "\n", &saved)) {
    read_line(line, &layout);
  }
  if (layout.count == 0) {
    return err_set(err, ENOENT, "no cgroup file system is mounted; mount cgroup2 at /sys/fs/cgroup");
  }
  *ret_layout = layout;
  return 0;
}

int cgroup_layout_read(struct cgroup_layout *ret_layout, struct err *err) {
  cleanup_free char *text = NULL;
  int r = file_read(AT_FDCWD, "/proc/self/mountinfo", &text, NULL, err);
  return r < 0 ? r : cgroup_layout_parse(text, ret_layout, err);
}

int cgroup_directory(const struct cgroup_hierarchy *hierarchy, const char *path, char *buffer, size_t capacity,
                     struct err *err) {
  const char *root = hierarchy->mount_root;
  size_t length = strlen(root);
  const char *below = path;
  /* Inside a container without a cgroup namespace only our own subtree is visible at the mount point. */
  if (strcmp(root, "/") != 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0')) {
    below = path + length;
  }
  int n = snprintf(buffer, capacity, "%s%s", hierarchy->mount_point, below);
  return n < 0 || (size_t)n >= capacity ? err_code(err, ENAMETOOLONG, "cgroup path %s", path) : 0;
}
