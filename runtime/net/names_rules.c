/*
 * Four rules without state, written as nf_tables messages (running nft would cost more than the whole sandbox):
 *
 *   chain query  (output, -300)  ip daddr 127.0.0.11 udp|tcp dport 53   → dport := the server's port
 *   chain answer (output, +300)  ip saddr 127.0.0.11 udp|tcp sport HIGH → sport := 53
 *
 * No port 53 is bound, so a program of the container may bind it. The queries change before connection tracking (-200)
 * and the answers after it: a container that tracks connections sees the same port both ways.
 */
#include "net/names_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "sys/netlink.h"

#define TABLE "tscompose_names"
#define IPV4_PROTOCOL_OFFSET 9
#define IPV4_SOURCE_OFFSET 12
#define IPV4_DESTINATION_OFFSET 16
#define SOURCE_PORT_OFFSET 0
#define DESTINATION_PORT_OFFSET 2
#define TCP_CHECKSUM_OFFSET 16
#define UDP_CHECKSUM_OFFSET 6

static void begin(struct nl_batch *batch, uint16_t type, uint16_t flags) {
  struct nfgenmsg fixed = {.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0};
  nl_begin(batch, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | type), flags, &fixed, sizeof(fixed));
}

static void edge(struct nl_batch *batch, uint16_t type) {
  struct nfgenmsg fixed = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
  nl_begin(batch, type, 0, &fixed, sizeof(fixed));
}

static void put_be32(struct nl_batch *batch, uint16_t type, uint32_t value) {
  nl_put_u32(batch, type, htonl(value));
}

struct expression {
  size_t element;
  size_t data;
};

static struct expression open_expression(struct nl_batch *batch, const char *name) {
  struct expression at;
  at.element = nl_nest(batch, NFTA_LIST_ELEM);
  nl_put_text(batch, NFTA_EXPR_NAME, name);
  at.data = nl_nest(batch, NFTA_EXPR_DATA);
  return at;
}

static void close_expression(struct nl_batch *batch, struct expression at) {
  nl_nest_end(batch, at.data);
  nl_nest_end(batch, at.element);
}

static void put_value(struct nl_batch *batch, uint16_t type, const void *value, size_t size) {
  size_t nest = nl_nest(batch, type);
  nl_put(batch, NFTA_DATA_VALUE, value, size);
  nl_nest_end(batch, nest);
}

static void put_place(struct nl_batch *batch, uint32_t base, uint32_t offset, size_t size) {
  put_be32(batch, NFTA_PAYLOAD_BASE, base);
  put_be32(batch, NFTA_PAYLOAD_OFFSET, offset);
  put_be32(batch, NFTA_PAYLOAD_LEN, (uint32_t)size);
}

static void match(struct nl_batch *batch, uint32_t base, uint32_t offset, const void *value, size_t size) {
  struct expression load = open_expression(batch, "payload");
  put_be32(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
  put_place(batch, base, offset, size);
  close_expression(batch, load);
  struct expression compare = open_expression(batch, "cmp");
  put_be32(batch, NFTA_CMP_SREG, NFT_REG_1);
  put_be32(batch, NFTA_CMP_OP, NFT_CMP_EQ);
  put_value(batch, NFTA_CMP_DATA, value, size);
  close_expression(batch, compare);
}

static void set_port(struct nl_batch *batch, uint32_t offset, uint16_t port, uint32_t checksum_offset) {
  struct expression immediate = open_expression(batch, "immediate");
  put_be32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
  put_value(batch, NFTA_IMMEDIATE_DATA, &port, sizeof(port));
  close_expression(batch, immediate);
  struct expression store = open_expression(batch, "payload");
  put_be32(batch, NFTA_PAYLOAD_SREG, NFT_REG_1);
  put_place(batch, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(port));
  put_be32(batch, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
  put_be32(batch, NFTA_PAYLOAD_CSUM_OFFSET, checksum_offset);
  put_be32(batch, NFTA_PAYLOAD_CSUM_FLAGS, 0);
  close_expression(batch, store);
}

struct rewrite {
  const char *chain;
  uint32_t address_offset;
  uint32_t port_offset;
  uint8_t protocol;
  uint16_t from; /* network byte order */
  uint16_t to;
};

static void add_rule(struct nl_batch *batch, const struct rewrite *rewrite) {
  uint32_t server = htonl(0x7f00000b);
  begin(batch, NFT_MSG_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND);
  nl_put_text(batch, NFTA_RULE_TABLE, TABLE);
  nl_put_text(batch, NFTA_RULE_CHAIN, rewrite->chain);
  size_t list = nl_nest(batch, NFTA_RULE_EXPRESSIONS);
  match(batch, NFT_PAYLOAD_NETWORK_HEADER, rewrite->address_offset, &server, sizeof(server));
  match(batch, NFT_PAYLOAD_NETWORK_HEADER, IPV4_PROTOCOL_OFFSET, &rewrite->protocol, 1);
  match(batch, NFT_PAYLOAD_TRANSPORT_HEADER, rewrite->port_offset, &rewrite->from, sizeof(rewrite->from));
  set_port(batch, rewrite->port_offset, rewrite->to,
           rewrite->protocol == IPPROTO_UDP ? UDP_CHECKSUM_OFFSET : TCP_CHECKSUM_OFFSET);
  nl_nest_end(batch, list);
}

static void add_chain(struct nl_batch *batch, const char *name, int32_t priority) {
  begin(batch, NFT_MSG_NEWCHAIN, NLM_F_ACK | NLM_F_CREATE);
  nl_put_text(batch, NFTA_CHAIN_TABLE, TABLE);
  nl_put_text(batch, NFTA_CHAIN_NAME, name);
  size_t hook = nl_nest(batch, NFTA_CHAIN_HOOK);
  put_be32(batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  put_be32(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
  nl_nest_end(batch, hook);
  put_be32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
  nl_put_text(batch, NFTA_CHAIN_TYPE, "filter");
}

static void table(struct nl_batch *batch, uint16_t type, uint16_t flags) {
  begin(batch, type, NLM_F_ACK | flags);
  nl_put_text(batch, NFTA_TABLE_NAME, TABLE);
}

int names_rules_load(uint16_t udp_port, uint16_t tcp_port, bool fresh, struct err *err) {
  const struct rewrite rules[] = {
      {"query", IPV4_DESTINATION_OFFSET, DESTINATION_PORT_OFFSET, IPPROTO_UDP, htons(53), htons(udp_port)},
      {"query", IPV4_DESTINATION_OFFSET, DESTINATION_PORT_OFFSET, IPPROTO_TCP, htons(53), htons(tcp_port)},
      {"answer", IPV4_SOURCE_OFFSET, SOURCE_PORT_OFFSET, IPPROTO_UDP, htons(udp_port), htons(53)},
      {"answer", IPV4_SOURCE_OFFSET, SOURCE_PORT_OFFSET, IPPROTO_TCP, htons(tcp_port), htons(53)},
  };
  cleanup_close int fd = -1;
  int r = nl_open(NETLINK_NETFILTER, &fd, err);
  if (r < 0) {
    return r;
  }
  cleanup_nl_batch struct nl_batch batch = NL_BATCH_INIT;
  edge(&batch, NFNL_MSG_BATCH_BEGIN);
  if (!fresh) {
    /* Replaces what is there. Not done for nothing: the kernel frees the old ones only after a grace period, and
       closing the socket waits for that, some 10 ms. */
    table(&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    table(&batch, NFT_MSG_DELTABLE, 0);
  }
  table(&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
  add_chain(&batch, "query", -300);
  add_chain(&batch, "answer", 300);
  for (size_t i = 0; i < array_length(rules); i++) {
    add_rule(&batch, &rules[i]);
  }
  edge(&batch, NFNL_MSG_BATCH_END);
  r = nl_talk(fd, &batch, err);
  return r < 0 ? err_prefix(err, "cannot load the rules of 127.0.0.11 (nf_tables)") : 0;
}
