/* sys/nft_set: elements of a set of nf_tables, without the nft program. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Where an element goes: a table of the inet family. */
struct nft_set {
  const char *table;
  const char *set;
};

/* A batch of additions, carried out as one transaction by nft_batch_commit. */
struct nft_batch;

int nft_batch_new(struct nft_batch **ret_batch, struct err *err);
void nft_batch_free(struct nft_batch **batch);
#define cleanup_nft_batch __attribute__((cleanup(nft_batch_free)))

/* The element is there for `milliseconds` from now on, whether it was there before or not. */
void nft_batch_add(struct nft_batch *batch, const struct nft_set *set, const void *key, size_t size,
                   uint64_t milliseconds);
int nft_batch_commit(struct nft_batch *batch, struct err *err);
