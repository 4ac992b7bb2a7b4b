#include "spec/plan.h"

#include <stdlib.h>

struct block {
  struct block *previous;
  max_align_t data[];
};

void *arena_get(struct arena *arena, size_t size) {
  struct block *block = calloc(1, sizeof(*block) + size);
  if (block == NULL) {
    return NULL;
  }
  block->previous = arena->last;
  arena->last = block;
  return block->data;
}

void arena_free(struct arena *arena) {
  struct block *block = arena->last;
  while (block != NULL) {
    struct block *previous = block->previous;
    free(block);
    block = previous;
  }
  arena->last = NULL;
}
