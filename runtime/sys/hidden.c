#include "sys/hidden.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)256 << 10)
/* As far as this program's stack ever gets; below it there is nothing of anybody. */
#define OWN_STACK ((uintptr_t)16 << 20)

static uintptr_t heap_begin;

static uintptr_t page_up(uintptr_t at) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  return (at + page - 1) & ~(page - 1);
}

void hidden_begin(void) {
  /* The C library's own thread data is at the bottom and must stay readable: this piece reaches into the next page, so
     that all others lie in pages behind it. */
  const void *bottom = malloc((size_t)sysconf(_SC_PAGESIZE));
  heap_begin = bottom == NULL ? 0 : page_up((uintptr_t)bottom);
}

void hidden_gather(void) {
  (void)mallopt(M_MMAP_MAX, 0);
}

int area_open(size_t size, struct area *ret_area, struct err *err) {
  size_t whole = page_up(size) + STACK_SIZE;
  char *at = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    return err_errno(err, "cannot get memory for a process");
  }
  *ret_area = (struct area){at, at + whole};
  return 0;
}

void *area_get(struct area *area, size_t size) {
  const size_t unit = _Alignof(max_align_t);
  size = (size + unit - 1) & ~(unit - 1);
  if (size > (size_t)(area->end - area->next) - STACK_SIZE) {
    return NULL;
  }
  char *at = area->next;
  area->next += size;
  return at;
}

int area_copy_text(struct area *area, const char *text, const char **ret_copy, struct err *err) {
  size_t size = text == NULL ? 0 : strlen(text) + 1;
  char *copy = text == NULL ? NULL : area_get(area, size);
  if (copy == NULL && text != NULL) {
    return err_oom(err);
  }
  *ret_copy = copy == NULL ? NULL : memcpy(copy, text, size);
  return 0;
}

int area_copy_list(struct area *area, const char *const *list, const char ***ret_copy, struct err *err) {
  size_t count = 0;
  while (list != NULL && list[count] != NULL) {
    count++;
  }
  const char **copy = list == NULL ? NULL : area_get(area, (count + 1) * sizeof(char *));
  int r = copy == NULL && list != NULL ? err_oom(err) : 0;
  for (size_t i = 0; r == 0 && i < count; i++) {
    r = area_copy_text(area, list[i], &copy[i], err);
  }
  if (r == 0) {
    *ret_copy = copy;
  }
  return r;
}

/* Zeroes for the child; the maker keeps its own. */
static int hide(uintptr_t from, uintptr_t to, struct err *err) {
  /* ENOMEM: part of it is not mapped, the rest was done. */
  if (from < to && madvise((void *)from, to - from, MADV_WIPEONFORK) < 0 && errno != ENOMEM) {
    return err_errno(err, "cannot hide memory");
  }
  return 0;
}

int hidden_prepare(struct err *err) {
  /* The name of the executed file is the last thing on the stack. */
  const char *last = (const char *)(uintptr_t)getauxval(AT_EXECFN);
  uintptr_t top = page_up((uintptr_t)last + strlen(last) + 1);
  int r = heap_begin == 0 ? err_oom(err) : hide(heap_begin, page_up((uintptr_t)sbrk(0)), err);
  return r < 0 ? r : hide(top - OWN_STACK, top, err);
}

pid_t hidden_clone(int flags, const struct area *area, int (*run)(void *argument), void *argument) {
  return clone(run, area->end, HIDDEN_CLONE_FLAGS(flags), argument);
}
