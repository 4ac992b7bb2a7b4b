#include "sys/nft_set.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/netlink.h"

struct nft_batch {
  struct nl_batch messages;
};

static void frame(struct nft_batch *batch, uint16_t type) {
  struct nfgenmsg fixed = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
  nl_begin(&batch->messages, type, 0, &fixed, sizeof(fixed));
}

int nft_batch_new(struct nft_batch **ret_batch, struct err *err) {
  struct nft_batch *batch = calloc(1, sizeof(*batch));
  if (batch == NULL) {
    return err_oom(err);
  }
  frame(batch, NFNL_MSG_BATCH_BEGIN);
  *ret_batch = batch;
  return 0;
}

void nft_batch_free(struct nft_batch **batch) {
  if (*batch != NULL) {
    nl_batch_free(&(*batch)->messages);
    free(*batch);
    *batch = NULL;
  }
}

struct element {
  const struct nft_set *set;
  const void *key;
  size_t size;
  uint64_t milliseconds; /* 0: none said */
};

static void put_element(struct nft_batch *batch, uint16_t verb, uint16_t flags, const struct element *element) {
  struct nl_batch *messages = &batch->messages;
  struct nfgenmsg fixed = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
  nl_begin(messages, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | verb), flags | NLM_F_ACK, &fixed, sizeof(fixed));
  nl_put_text(messages, NFTA_SET_ELEM_LIST_TABLE, element->set->table);
  nl_put_text(messages, NFTA_SET_ELEM_LIST_SET, element->set->set);
  size_t list = nl_nest(messages, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED);
  size_t item = nl_nest(messages, NFTA_LIST_ELEM | NLA_F_NESTED);
  size_t key = nl_nest(messages, NFTA_SET_ELEM_KEY | NLA_F_NESTED);
  nl_put(messages, NFTA_DATA_VALUE, element->key, element->size);
  nl_nest_end(messages, key);
  if (element->milliseconds > 0) {
    uint64_t timeout = htobe64(element->milliseconds);
    nl_put(messages, NFTA_SET_ELEM_TIMEOUT, &timeout, sizeof(timeout));
  }
  nl_nest_end(messages, item);
  nl_nest_end(messages, list);
}

void nft_batch_add(struct nft_batch *batch, const struct nft_set *set, const void *key, size_t size,
                   uint64_t milliseconds) {
  struct element element = {.set = set, .key = key, .size = size, .milliseconds = milliseconds};
  struct element bare = {.set = set, .key = key, .size = size};
  /* Kernels before 6.12 leave the time of an element that is there as it is; what was added first can be deleted. */
  put_element(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &element);
  put_element(batch, NFT_MSG_DELSETELEM, 0, &bare);
  put_element(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &element);
}

int nft_batch_commit(struct nft_batch *batch, struct err *err) {
  cleanup_close int nl = -1;
  frame(batch, NFNL_MSG_BATCH_END);
  int r = nl_open(NETLINK_NETFILTER, &nl, err);
  r = r < 0 ? r : nl_talk(nl, &batch->messages, err);
  return r < 0 ? err_prefix(err, "cannot add to a set of the firewall") : 0;
}
