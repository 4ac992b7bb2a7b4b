/* net/verbs: the short-lived verbs. Each reads its JSON and adds its JSON answer (nothing: `{}`) to `out`. */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

/* {name, addresses, mtu, mac} → {"created":bool}. Refuses (-EEXIST) what is not a bridge of ours. With
   `expected` {digest, links, without}: only while `digest` is the SHA-256 of
   what `dump` {links, without} prints, else makes nothing → {"created":false,"digest":…,"network":…}. */
int verb_bridge_add(const struct json *request, struct str *out, struct err *err);
/* {names, ends} → {"removed":[…]}. Bridges we did not make are left alone; with ours go the links on them whose names
   begin with `ends`. */
int verb_bridge_remove(const struct json *request, struct str *out, struct err *err);
/* {name, addresses} → {}: a bridge of somebody else gets these addresses beside its own and is up. Refuses (-EEXIST)
   what is no bridge or not there. */
int verb_bridge_adopt(const struct json *request, struct str *out, struct err *err);
/* {name, addresses, ends} → {"present":bool}: the addresses go, and the links whose names begin with `ends`; all else
   of the bridge stays. */
int verb_bridge_leave(const struct json *request, struct str *out, struct err *err);
/* {names} → {name: value, …}, without those that are not there. */
int verb_sysctl_read(const struct json *request, struct str *out, struct err *err);
/* {names} → {"removed":[…]}. Bridges are left alone. */
int verb_link_remove(const struct json *request, struct str *out, struct err *err);
/* Routing of IPv6 for the whole namespace, where it is off. Interfaces that take router advertisements go on taking
   them (the kernel would stop: accept_ra 1 becomes 2). → {"changed":bool} */
int verb_forward_ipv6(const struct json *request, struct str *out, struct err *err);
/* {path: value, …}, in order. */
int verb_sysctl(const struct json *request, struct str *out, struct err *err);
/* →
   {"links":[{name,index,up,bridge,ours}],"addresses":[{interface,address}],"routes":[{destination,gateway,interface}]}:
   the whole namespace, since new subnets must stay clear of everything in it. Both families, main table. */
int verb_dump(const struct json *request, struct str *out, struct err *err);
/* {addresses, udp_ports} → {"flushed":n}: forgets tracked connections of these addresses and of UDP to these ports, so
   that the next packet meets today's rules. */
int verb_flush_flows(const struct json *request, struct str *out, struct err *err);
/* {namespace, address, port}: dials TCP from inside and carries standard input and output until both ends closed. */
int verb_connect(const struct json *request, struct str *out, struct err *err);
/* {protocol, address, port} → {"holders":[{pid,name}]}: processes with a socket that stands in the way of another one
   there. Empty when nobody has one, or somebody this namespace does not see. */
int verb_port_holders(const struct json *request, struct str *out, struct err *err);
/* {name} or {name, base, vlan} → {"created":bool}: a dummy, or VLAN `vlan` of `base`, marked and up, where there is no
   interface of that name. */
int verb_parent_add(const struct json *request, struct str *out, struct err *err);
/* {names} → {"removed":[…]}. Only those that carry our mark and are no bridges. */
int verb_parent_remove(const struct json *request, struct str *out, struct err *err);
/* {table, seconds} → {"changed":bool}: waits until others removed something of our inet table or changed a chain that
   we have rules in (DOCKER-USER), or the time is up. Tells at once when the table is not there. */
int verb_watch_firewall(const struct json *request, struct str *out, struct err *err);
