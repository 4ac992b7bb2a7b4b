/* What the C library makes of a name: its addresses in order, or the error, on one line. `resolve NAME [4|6]` */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct addrinfo hints, *list = NULL;
  memset(&hints, 0, sizeof(hints));
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = argc < 3 ? AF_UNSPEC : argv[2][0] == '4' ? AF_INET : AF_INET6;
  int r = getaddrinfo(argc < 2 ? "" : argv[1], NULL, &hints, &list);
  if (r != 0) {
    printf("%s", r == EAI_NONAME ? "EAI_NONAME" : r == EAI_AGAIN ? "EAI_AGAIN" : gai_strerror(r));
  }
  for (struct addrinfo *each = list; each != NULL; each = each->ai_next) {
    char text[100] = "";
    getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
    printf("%s%s", each == list ? "" : " ", text);
  }
  puts("");
  return 0;
}
