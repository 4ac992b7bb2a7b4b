#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "cmd/cmd.h"

static const struct option_spec *find(const struct option_spec *table, const char *argument, const char **ret_value) {
  *ret_value = NULL;
  for (const struct option_spec *option = table; option->name != NULL; option++) {
    if (argument[1] != '-') {
      if (option->letter != 0 && argument[1] == option->letter) {
        *ret_value = argument[2] == '\0' ? NULL : argument + 2;
        return option;
      }
      continue;
    }
    size_t length = strlen(option->name);
    if (strncmp(argument + 2, option->name, length) == 0 &&
        (argument[2 + length] == '\0' || argument[2 + length] == '=')) {
      *ret_value = argument[2 + length] == '=' ? argument + 3 + length : NULL;
      return option;
    }
  }
  return NULL;
}

static int store(const struct option_spec *option, const char *value, struct err *err) {
  long long number = 0;
  switch (option->kind) {
  case OPTION_TEXT:
    *(const char **)option->to = value;
    return 0;
  case OPTION_FLAG:
    *(bool *)option->to = true;
    return 0;
  case OPTION_NUMBER:
    if (str_to_long(value, 0, INT_MAX, &number) < 0) {
      return err_set(err, EINVAL, "--%s: '%s' is not a number", option->name, value);
    }
    *(int *)option->to = (int)number;
    return 0;
  case OPTION_LIST:
    return str_list_add(option->to, value) < 0 ? err_oom(err) : 0;
  case OPTION_REFUSED:
    return err_set(err, ENOTSUP, "option --%s is not supported", option->name);
  }
  return -EINVAL;
}

/* "--flag=false" as callers in Go write it. */
static int store_flag(const struct option_spec *option, const char *value, struct err *err) {
  bool on = value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
  if (!on && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
    return err_set(err, EINVAL, "--%s: '%s' is not true or false", option->name, value);
  }
  if (!on && option->kind == OPTION_REFUSED) {
    return 0;
  }
  int r = store(option, NULL, err);
  if (r == 0) {
    *(bool *)option->to = on;
  }
  return r;
}

/* "-it": flags by letter. */
static int read_cluster(const char *argument, const struct option_spec *table, struct err *err) {
  char single[3] = {'-', 0, 0};
  for (const char *letter = argument + 1; *letter != '\0'; letter++) {
    const char *value = NULL;
    single[1] = *letter;
    const struct option_spec *option = find(table, single, &value);
    if (option == NULL || (option->kind != OPTION_FLAG && option->kind != OPTION_REFUSED)) {
      return err_set(err, EINVAL, "unknown option %s in %s", single, argument);
    }
    int r = store_flag(option, NULL, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

/* The options of a table for whoever asks; those that are refused are none. */
static int help_text(const struct option_spec *table, struct err *err) {
  static const char *const values[] = {
      [OPTION_TEXT] = " VALUE", [OPTION_NUMBER] = " NUMBER", [OPTION_LIST] = " VALUE…"};
  cleanup_str struct str out = STR_INIT;
  int r = str_add(&out, "");
  for (const struct option_spec *option = table; r == 0 && option->name != NULL; option++) {
    if (option->kind != OPTION_REFUSED) {
      const char letter[] = {option->letter == 0 ? ' ' : '-', option->letter == 0 ? ' ' : option->letter, '\0'};
      r = str_addf(&out, "  %s --%s%s\n", letter, option->name,
                   option->kind == OPTION_FLAG ? "" : values[option->kind]);
    }
  }
  return r < 0 ? err_oom(err) : err_set(err, ECANCELED, "%s", out.data);
}

int options_read(int argc, char **argv, const struct option_spec *table, int *ret_next, struct err *err) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    if (strcmp(argv[i], "--") == 0) {
      i++;
      break;
    }
    const char *value = NULL;
    const struct option_spec *option = find(table, argv[i], &value);
    if (option == NULL) {
      bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
      return help ? help_text(table, err) : err_set(err, EINVAL, "unknown option %s", argv[i]);
    }
    int r;
    if (option->kind == OPTION_FLAG || option->kind == OPTION_REFUSED) {
      r = argv[i][1] != '-' ? read_cluster(argv[i], table, err) : store_flag(option, value, err);
    } else if (value == NULL && i + 1 >= argc) {
      r = err_set(err, EINVAL, "option --%s needs a value", option->name);
    } else {
      r = store(option, value == NULL ? argv[++i] : value, err);
    }
    if (r < 0) {
      return r;
    }
  }
  *ret_next = i;
  return 0;
}

int signal_number(const char *text) {
  static const struct {
    const char *name;
    int number;
  } names[] = {
      {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"ILL", SIGILL},   {"TRAP", SIGTRAP},
      {"ABRT", SIGABRT}, {"IOT", SIGABRT},  {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
      {"USR1", SIGUSR1}, {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
      {"TERM", SIGTERM}, {"STKFLT", 16},    {"CHLD", SIGCHLD},     {"CLD", SIGCHLD},  {"CONT", SIGCONT},
      {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},
      {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
      {"IO", SIGIO},     {"POLL", SIGIO},   {"PWR", SIGPWR},       {"SYS", SIGSYS},
  };
  long long number = 0;
  if (str_to_long(text, 0, 64, &number) == 0) {
    return (int)number;
  }
  if (strncasecmp(text, "SIG", 3) == 0) {
    text += 3;
  }
  for (size_t i = 0; i < array_length(names); i++) {
    if (strcasecmp(names[i].name, text) == 0) {
      return names[i].number;
    }
  }
  int offset = 0;
  char rest = 0;
  if (sscanf(text, "RTMIN+%d%c", &offset, &rest) == 1 && offset >= 0 && 34 + offset <= 64) {
    return 34 + offset;
  }
  if (sscanf(text, "RTMAX-%d%c", &offset, &rest) == 1 && offset >= 0 && 64 - offset >= 34) {
    return 64 - offset;
  }
  return strcasecmp(text, "RTMIN") == 0 ? 34 : strcasecmp(text, "RTMAX") == 0 ? 64 : -1;
}
