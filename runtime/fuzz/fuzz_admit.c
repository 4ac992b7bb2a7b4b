/* x-egress in the keeper: what a name server that somebody has taken over may get opened in the firewall. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/state.h"
#include "names/names.h"
#include "sys/nft_set.h"

static size_t added;

void __wrap_nft_batch_add(struct nft_batch *batch, const struct nft_set *set, const void *key, size_t size,
                          uint64_t milliseconds);
void __real_nft_batch_add(struct nft_batch *batch, const struct nft_set *set, const void *key, size_t size,
                          uint64_t milliseconds);
int __wrap_nft_batch_commit(struct nft_batch *batch, struct err *err);

/* Only the sets of the limited sandbox, and no address that leads back to this host, its link or to many. */
void __wrap_nft_batch_add(struct nft_batch *batch, const struct nft_set *set, const void *key, size_t size,
                          uint64_t milliseconds) {
  static const char *const names[] = {"c_1_any4", "c_1_port4", "c_1_any6", "c_1_port6"};
  static const size_t sizes[] = {4, 8, 16, 20};
  const uint8_t *at = key;
  size_t which = 0;
  while (which < 4 && strcmp(set->set, names[which]) != 0) {
    which++;
  }
  must(which < 4 && size == sizes[which] && strcmp(set->table, "t_egress") == 0);
  must(milliseconds >= 1000 && milliseconds <= 86400000);
  if (which < 2) {
    must(at[0] != 0 && at[0] != 127 && at[0] < 224 && !(at[0] == 169 && at[1] == 254));
  } else {
    static const uint8_t zero[15], mapped[12] = {[10] = 0xff, [11] = 0xff};
    must(at[0] != 0xff && !(at[0] == 0xfe && (at[1] & 0xc0) == 0x80));
    must(memcmp(at, mapped, 12) != 0 && !(memcmp(at, zero, 15) == 0 && at[15] < 2));
  }
  added++;
  __real_nft_batch_add(batch, set, key, size, milliseconds);
}

int __wrap_nft_batch_commit(struct nft_batch *batch, struct err *err) {
  (void)err;
  must(batch != NULL && added > 0);
  return 0;
}

static struct json_object *config_of(const char *text) {
  struct json config = {.value = NULL};
  struct err err = ERR_INIT;
  must(json_parse(text, strlen(text), &config, &err) == 0);
  return config.value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int pair[2] = {-1, -1};
  static struct sandbox open = {.name = (char *)"open"}, limited = {.name = (char *)"s", .next = &open};
  static struct keeper keeper = {.sandboxes = &limited};
  char word = 0;
  if (pair[0] < 0) {
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    keeper.daemon.control.fd = -1;
    keeper.names.gate = (struct watch){.fd = pair[0], .owner = &keeper};
    limited.names = config_of("{\"gate_table\":\"t_egress\",\"gate_sets\":\"c_1\",\"limited\":true}");
    open.names = config_of("{\"gate_table\":\"t_egress\",\"gate_sets\":\"c_2\",\"limited\":false}");
  }
  if (size == 0 || send(pair[1], data, size, 0) < 0) {
    return 0;
  }
  added = 0;
  gate_ready(&keeper.names.gate, 0);
  ssize_t n = recv(pair[1], &word, 1, MSG_DONTWAIT);
  must(n < 0 || word == NAMES_GATE_OPEN || word == NAMES_GATE_SHUT);
  return 0;
}
