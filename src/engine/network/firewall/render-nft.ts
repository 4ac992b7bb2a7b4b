import { type Element, type Ruleset, SETS, type SetName } from './ruleset.ts';

/** Sets in a fixed order. */
const SET_NAMES = Object.keys(SETS) as SetName[];

/**
 * The rules, the same for every instance; what varies lies in the sets.
 *
 * guard (before connection tracking): nothing from outside reaches the host's loopback or a container's own address, nor comes
 * with the source of one (but of those the outside routes to, and where an interface is trusted). No bridge sends with a source
 * that is not its own (where the gateway is behind the bridge, others' packets may cross it, to nowhere else), and no container
 * plays router; containers whose address is not hidden get answers from outside, and what is no answer is dropped in passing
 * (unless the network is open to the outside). publish: published ports, only for addresses of this
 * host (::1 is left to a proxy: the kernel routes nothing from there). leaving: loopback
 * and hairpin connections come back through us; containers go out under the host's address, or the one their network names. passing: bridges are closed to each
 * other except for published ports, those of routed networks at the container's own address, which answers pings too; internal ones
 * are closed, trusted interfaces of the host reach published ports at the container's own address too; where containers are kept apart, their published ports are no way round it (with bridge netfilter on, the bridge would
 * drop such packets by itself). entering: internal containers do not reach the host.
 * What others have on a bridge that they made (adopted) passes as if we were not there: their own rules are for it, and what our
 * containers send is checked at their links.
 *
 * Every packet of the host passes guard, passing and entering, so each path through them looks up as little as it can: what stays
 * inside a network, or answers the host, is known by one look (inside); a packet from outside to a published port is in two sets of
 * networks or in none; rules of one side or family are in chains of their own.
 * Protocol 58 is ICMPv6: by name nft would look it up in /etc/protocols, which small systems do not have.
 */
const CHAINS = `	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname "lo" accept
		ip saddr . ip daddr . iifname @inside accept
		ip daddr 127.0.0.0/8 drop
		ip saddr 127.0.0.0/8 drop
		iifname @bridges goto from_bridge
		meta nfproto ipv6 goto from_outside6
		ip saddr @subnets ip saddr != @routed ip saddr . iifname != @trusted drop
		ip daddr != @subnets accept
		ip daddr @answered fib daddr type unicast accept
		ip daddr . iifname != @trusted drop
	}
	chain from_outside6 {
		ip6 saddr @subnets6 ip6 saddr != @routed6 ip6 saddr . iifname != @trusted6 drop
		ip6 daddr != @subnets6 accept
		ip6 daddr @answered6 fib daddr type unicast accept
		ip6 daddr . iifname != @trusted6 drop
	}
	chain from_bridge {
		meta nfproto ipv6 goto from_bridge6
		ip saddr . iifname != @members iifname != @elsewhere iifname != @adopted drop
		ip daddr != @subnets accept
		ip daddr . iifname @members accept
		ip daddr @answered fib daddr type unicast accept
		ip daddr . iifname != @trusted drop
	}
	chain from_bridge6 {
		iifname != @adopted icmpv6 type { nd-router-advert, nd-redirect } drop
		ip6 saddr fe80::/10 ip6 daddr { fe80::/10, ff00::/8 } accept
		ip6 saddr :: meta l4proto 58 accept
		ip6 saddr . ip6 daddr . iifname @inside6 accept
		ip6 saddr . iifname != @members6 iifname != @adopted drop
		ip6 daddr != @subnets6 accept
		ip6 daddr . iifname @members6 accept
		ip6 daddr @answered6 fib daddr type unicast accept
		ip6 daddr . iifname != @trusted6 drop
	}
	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @at_address
		dnat ip to meta l4proto . th dport map @everywhere
		ip6 daddr ::1 return
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @at_address6
		dnat ip6 to meta l4proto . th dport map @everywhere6
	}
	chain arriving {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump publish
	}
	chain own {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain leaving {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		oifname @bridges ip saddr . oifname @members ct status dnat masquerade
		ip saddr . oifname @members accept
		snat ip to ip saddr map @sources
		ip saddr @masqueraded masquerade
		oifname @bridges ip6 saddr . oifname @members6 ct status dnat masquerade
		ip6 saddr . oifname @members6 accept
		snat ip6 to ip6 saddr map @sources6
		ip6 saddr @masqueraded6 masquerade
	}
	chain passing {
		type filter hook forward priority filter; policy accept;
		iifname @bridges jump out_of_bridge
		oifname @bridges jump into_bridge
	}
	chain out_of_bridge {
		iifname . oifname vmap @within
		iifname @adopted ip saddr . iifname != @members return
		iifname @adopted ip6 saddr . iifname != @members6 return
		iifname @elsewhere ip saddr . iifname != @members drop
		ct state vmap { invalid : drop, established : accept, related : accept }
		ip6 saddr . iifname != @members6 drop
		iifname @internal drop
	}
	chain into_bridge {
		ct state established,related accept
		oifname @adopted ip daddr . oifname != @members return
		oifname @adopted ip6 daddr . oifname != @members6 return
		oifname @internal drop
		ct status dnat accept
		ip daddr . meta l4proto . th dport @reached accept
		ip6 daddr . meta l4proto . th dport @reached6 accept
		ip daddr . iifname @trusted ip daddr . meta l4proto . th dport @direct accept
		ip6 daddr . iifname @trusted6 ip6 daddr . meta l4proto . th dport @direct6 accept
		ip daddr @routed icmp type echo-request accept
		ip6 daddr @routed6 icmpv6 type echo-request accept
		iifname != @bridges ip daddr @open accept
		iifname != @bridges ip6 daddr @open6 accept
		drop
	}
	chain entering {
		type filter hook input priority filter; policy accept;
		iifname vmap @inward
	}
	chain from_elsewhere {
		ip saddr . iifname != @members drop
	}
	chain from_internal {
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		drop
	}
`;

function elementText(element: Element): string {
  return element.value === undefined ? element.key : `${element.key} : ${element.value}`;
}

function renderSet(name: SetName, elements: readonly Element[]): string {
  const { kind, type, interval } = SETS[name];
  const lines = [`	${kind} ${name} {`, `		type ${type}`];
  if (interval) lines.push('		flags interval');
  if (elements.length > 0) lines.push(`		elements = { ${elements.map(elementText).join(', ')} }`);
  return `${lines.join('\n')}\n	}\n`;
}

/** Replaces the whole table in one transaction. */
export function renderTable(ruleset: Ruleset): string {
  const name = `table inet ${ruleset.table}`;
  const sets = SET_NAMES.map((set) => renderSet(set, ruleset.elements[set])).join('');
  // Named first so that the delete never fails.
  return `${name}\ndelete ${name}\n${name} {\n${sets}${CHAINS}}\n`;
}

/** `chain guard 13` and so on: how many lines each chain has in a listing. */
function countRules(listing: string): string {
  const counts: string[] = [];
  for (const [, name, body = ''] of listing.matchAll(/^\tchain (\w+) \{\n((?:\t\t.*\n)*)/gm))
    counts.push(`${name} ${body.split('\n').length}`);
  return counts.toSorted().join();
}

const RULE_COUNTS = countRules(CHAINS);

/** Whether what nft lists of our table has every chain with as many rules as were loaded. Pure. */
export function hasAllRules(listing: string): boolean {
  return countRules(listing) === RULE_COUNTS;
}

/** Takes the table away; an absent one is fine. */
export function renderRemoval(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/**
 * The element changes that lead from one state of the table to another, as one transaction; empty when nothing changed.
 * Deletes come before adds: a moved port is a new value under the same key.
 */
export function renderChange(from: Ruleset, to: Ruleset): string {
  const deletes: string[] = [];
  const adds: string[] = [];
  for (const set of SET_NAMES) {
    const before = new Map(from.elements[set].map((element) => [elementText(element), element]));
    const after = new Map(to.elements[set].map((element) => [elementText(element), element]));
    const gone = [...before].filter(([text]) => !after.has(text)).map(([, element]) => element.key);
    const fresh = [...after].filter(([text]) => !before.has(text)).map(([text]) => text);
    if (gone.length > 0) deletes.push(`delete element inet ${to.table} ${set} { ${gone.join(', ')} }\n`);
    if (fresh.length > 0) adds.push(`add element inet ${to.table} ${set} { ${fresh.join(', ')} }\n`);
  }
  return [...deletes, ...adds].join('');
}
