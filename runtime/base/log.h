/* Diagnostics of a verb. Only main of a verb and long-lived loops log; everything else returns its error. */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* `fd` stays the caller's; text: "level: message", JSON: {"level","msg","time"} a line (the OCI runtimes' form). */
void log_open(int fd, int json, enum log_level lowest);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
