/* IPv6 is routed for a whole namespace or not at all. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "net/link.h"
#include "net/verbs.h"

#define CONF "/proc/sys/net/ipv6/conf"

static void close_directory(DIR **directory) {
  if (*directory != NULL) {
    closedir(*directory);
  }
}

/* The first byte of a setting; 0: there is none. */
static char read_setting(const char *interface, const char *key) {
  char path[320], text[16] = "";
  snprintf(path, sizeof(path), CONF "/%s/%s", interface, key);
  return file_read_line(-1, path, text, sizeof(text), NULL) < 0 ? 0 : text[0];
}

int verb_forward_ipv6(const struct json *request, struct str *out, struct err *err) {
  (void)request;
  if (read_setting("all", "forwarding") != '0') {
    return str_add(out, "{\"changed\":false}\n");
  }
  __attribute__((cleanup(close_directory))) DIR *directory = opendir(CONF);
  if (directory == NULL) {
    return err_errno(err, "cannot open " CONF);
  }
  int r = 0;
  for (struct dirent *entry; r >= 0 && (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.' && read_setting(entry->d_name, "accept_ra") == '1') {
      r = sysctl_write_ipv6(entry->d_name, "accept_ra", "2", err);
    }
  }
  r = r < 0 ? r : sysctl_write("net/ipv6/conf/all/forwarding", "1", false, err);
  return r < 0 ? r : str_add(out, "{\"changed\":true}\n");
}
