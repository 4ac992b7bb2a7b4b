/*
 * Questions for a name server, a fixed number of them on the way at any time, each from a socket of its own.
 *
 *   ask SERVER NAME IN-FLIGHT SECONDS       prints {"qps":…,"p50":…,"p99":…,"worst":…,"lost":…,"refused":…}, times in
 * µs ask SERVER NAME rate QUESTIONS-PER-SECOND SECONDS    the same, asked at a fixed rate whatever comes back
 *
 * Type A over UDP, port 53. `lost`: no answer within a second. `refused`: a code other than 0, or no address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS_MAX 4096
#define SAMPLES_MAX (8 << 20)
#define PATIENCE 1000000000LL

struct slot {
  int fd;
  uint16_t id;
  long long sent; /* 0: nothing on the way */
};

static struct slot slots[SLOTS_MAX];
static uint32_t *samples;
static size_t sample_count;
static unsigned long lost, refused;
static uint8_t query[300];
static size_t query_size;

static long long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void make_query(const char *name) {
  query[2] = 1;
  query[5] = 1;
  query_size = 12;
  while (*name != '\0' && query_size < sizeof(query) - 70) {
    size_t n = strcspn(name, ".");
    query[query_size++] = (uint8_t)n;
    memcpy(query + query_size, name, n);
    query_size += n;
    name += n + (name[n] == '.');
  }
  query_size += 2;
  query[query_size++] = 1;
  query_size++;
  query[query_size++] = 1;
}

static void ask(struct slot *slot) {
  slot->id++;
  query[0] = (uint8_t)(slot->id >> 8);
  query[1] = (uint8_t)slot->id;
  slot->sent = now();
  if (send(slot->fd, query, query_size, 0) < 0 && errno != ECONNREFUSED && errno != EAGAIN) {
    perror("send");
    exit(1);
  }
}

static bool answered(struct slot *slot) {
  uint8_t answer[4096];
  ssize_t n = recv(slot->fd, answer, sizeof(answer), MSG_DONTWAIT);
  if (n < 12 || slot->sent == 0 || answer[0] != (uint8_t)(slot->id >> 8) || answer[1] != (uint8_t)slot->id) {
    return false;
  }
  refused += (answer[3] & 15) != 0 || answer[7] == 0;
  if (sample_count < SAMPLES_MAX) {
    samples[sample_count++] = (uint32_t)((now() - slot->sent) / 1000);
  }
  slot->sent = 0;
  return true;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static uint32_t part(double share) {
  return sample_count == 0 ? 0 : samples[(size_t)((double)(sample_count - 1) * share)];
}

int main(int argc, char **argv) {
  bool paced = argc == 6 && strcmp(argv[3], "rate") == 0;
  if (argc != (paced ? 6 : 5)) {
    fputs("usage: ask SERVER NAME (IN-FLIGHT | rate PER-SECOND) SECONDS\n", stderr);
    return 2;
  }
  size_t count = paced ? SLOTS_MAX : strtoul(argv[3], NULL, 10);
  double rate = paced ? strtod(argv[4], NULL) : 0;
  long long length = (long long)(strtod(argv[argc - 1], NULL) * 1e9);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
  samples = malloc(SAMPLES_MAX * sizeof(*samples));
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (samples == NULL || epoll < 0 || count == 0 || count > SLOTS_MAX ||
      inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
    return 2;
  }
  if (paced && count > 512) {
    count = 512; /* as many as a crowd of clients has open */
  }
  make_query(argv[2]);
  for (size_t i = 0; i < count; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
    slots[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (slots[i].fd < 0 || connect(slots[i].fd, (struct sockaddr *)&server, sizeof(server)) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, slots[i].fd, &event) < 0) {
      perror("socket");
      return 1;
    }
  }
  long long start = now(), checked = start;
  unsigned long asked = 0;
  for (size_t i = 0; !paced && i < count; i++) {
    ask(&slots[i]);
  }
  for (long long at = start; at < start + length; at = now()) {
    struct epoll_event events[64];
    while (paced && (double)asked < (double)(at - start) / 1e9 * rate) {
      struct slot *slot = &slots[asked++ % count];
      lost += slot->sent != 0;
      ask(slot);
    }
    int n = epoll_wait(epoll, events, 64, paced ? 1 : 100);
    for (int i = 0; i < n; i++) {
      struct slot *slot = &slots[events[i].data.u64];
      if (answered(slot) && !paced) {
        ask(slot);
      }
    }
    if (!paced && at - checked > PATIENCE / 4) {
      checked = at;
      for (size_t i = 0; i < count; i++) {
        if (slots[i].sent != 0 && at - slots[i].sent > PATIENCE) {
          lost++;
          ask(&slots[i]);
        }
      }
    }
  }
  double seconds = (double)(now() - start) / 1e9;
  qsort(samples, sample_count, sizeof(*samples), by_value);
  printf("{\"qps\":%.0f,\"p50\":%u,\"p99\":%u,\"worst\":%u,\"lost\":%lu,\"refused\":%lu}\n",
         (double)sample_count / seconds, part(0.5), part(0.99), part(1), lost, refused);
  return 0;
}
