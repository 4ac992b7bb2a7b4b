#include "layer/read_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS ((size_t)8)
#define SLOT_SIZE ((size_t)256 << 10)

/* A ring: the producer fills slots from `filled` on, the consumer holds the one at `taken` until it asks for the next.
 */
struct read_ahead {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  tar_read_fn produce;
  void *context;
  char *slots[SLOTS];
  size_t sizes[SLOTS];
  size_t filled; /* ever */
  size_t taken;
  bool holds; /* the consumer works on slot `taken` */
  bool ended;
  bool stop;
  struct err failure;
};

/* A free slot, or NULL when nobody wants more. */
static char *next_slot(struct read_ahead *ahead) {
  (void)pthread_mutex_lock(&ahead->lock);
  while (!ahead->stop && ahead->filled - ahead->taken == SLOTS) {
    (void)pthread_cond_wait(&ahead->changed, &ahead->lock);
  }
  char *slot = ahead->stop ? NULL : ahead->slots[ahead->filled % SLOTS];
  (void)pthread_mutex_unlock(&ahead->lock);
  return slot;
}

static void hand_over(struct read_ahead *ahead, size_t size) {
  (void)pthread_mutex_lock(&ahead->lock);
  ahead->sizes[ahead->filled % SLOTS] = size;
  ahead->filled++;
  (void)pthread_cond_signal(&ahead->changed);
  (void)pthread_mutex_unlock(&ahead->lock);
}

static int fill_slots(struct read_ahead *ahead, struct err *err) {
  const char *data = NULL;
  size_t left = 0;
  for (;;) {
    char *slot = next_slot(ahead);
    size_t size = 0;
    while (slot != NULL && size < SLOT_SIZE) {
      if (left == 0) {
        const void *more = NULL;
        int r = ahead->produce(ahead->context, &more, &left, err);
        data = more;
        if (r < 0 || left == 0) {
          if (size > 0) {
            hand_over(ahead, size);
          }
          return r;
        }
      }
      size_t part = left < SLOT_SIZE - size ? left : SLOT_SIZE - size;
      (void)memcpy(slot + size, data, part);
      size += part;
      data += part;
      left -= part;
    }
    if (slot == NULL) {
      return 0;
    }
    hand_over(ahead, size);
  }
}

static void *run(void *context) {
  struct read_ahead *ahead = context;
  struct err err = ERR_INIT;
  (void)fill_slots(ahead, &err);
  (void)pthread_mutex_lock(&ahead->lock);
  ahead->failure = err;
  ahead->ended = true;
  (void)pthread_cond_signal(&ahead->changed);
  (void)pthread_mutex_unlock(&ahead->lock);
  return NULL;
}

static void free_slots(struct read_ahead *ahead) {
  for (size_t i = 0; i < SLOTS; i++) {
    free(ahead->slots[i]);
  }
  free(ahead);
}

int read_ahead_start(tar_read_fn produce, void *context, struct read_ahead **ret_ahead, struct err *err) {
  struct read_ahead *ahead = calloc(1, sizeof(*ahead));
  if (ahead == NULL) {
    return err_oom(err);
  }
  ahead->produce = produce;
  ahead->context = context;
  for (size_t i = 0; i < SLOTS; i++) {
    ahead->slots[i] = malloc(SLOT_SIZE);
    if (ahead->slots[i] == NULL) {
      free_slots(ahead);
      return err_oom(err);
    }
  }
  (void)pthread_mutex_init(&ahead->lock, NULL);
  (void)pthread_cond_init(&ahead->changed, NULL);
  int code = pthread_create(&ahead->thread, NULL, run, ahead);
  if (code != 0) {
    free_slots(ahead);
    return err_code(err, code, "cannot start a thread");
  }
  *ret_ahead = ahead;
  return 0;
}

int read_ahead_next(struct read_ahead *ahead, const void **ret_data, size_t *ret_size, struct err *err) {
  (void)pthread_mutex_lock(&ahead->lock);
  if (ahead->holds) {
    ahead->taken++;
    ahead->holds = false;
    (void)pthread_cond_signal(&ahead->changed);
  }
  while (ahead->taken == ahead->filled && !ahead->ended) {
    (void)pthread_cond_wait(&ahead->changed, &ahead->lock);
  }
  *ret_size = 0;
  if (ahead->taken < ahead->filled) {
    *ret_data = ahead->slots[ahead->taken % SLOTS];
    *ret_size = ahead->sizes[ahead->taken % SLOTS];
    ahead->holds = true;
  }
  bool failed = *ret_size == 0 && ahead->ended && ahead->failure.code != 0;
  (void)pthread_mutex_unlock(&ahead->lock);
  return failed ? err_set(err, ahead->failure.code, "%s", ahead->failure.text) : 0;
}

void read_ahead_stop(struct read_ahead *ahead) {
  (void)pthread_mutex_lock(&ahead->lock);
  ahead->stop = true;
  (void)pthread_cond_signal(&ahead->changed);
  (void)pthread_mutex_unlock(&ahead->lock);
  (void)pthread_join(ahead->thread, NULL);
  (void)pthread_mutex_destroy(&ahead->lock);
  (void)pthread_cond_destroy(&ahead->changed);
  free_slots(ahead);
}
