import { parseAddress } from '../subnet.ts';

/** The host end of a container's link that has to send under its own addresses. All text is made by us from checked values (N13). */
export interface CheckedPort {
  readonly hostInterface: string;
  readonly mac: string;
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
}

/**
 * The table of the bridge family that keeps senders honest (N09): raw sockets could send under the name of a neighbour. It
 * judges before the bridge learns where an address lives; what a port may send is a chain of its own, found in one step, and
 * other ports pass at once. The whole table is replaced: nothing in it is to be kept.
 */
export function renderSenders(table: string, ports: readonly CheckedPort[]): string {
  const name = `bridge ${table}`;
  const chains = ports.map(
    (port, index) =>
      `	chain p${index} {\n${portRules(port)
        .map((rule) => `		${rule}\n`)
        .join('')}	}\n`,
  );
  const verdicts = ports.map(({ hostInterface }, index) => `"${hostInterface}" : jump p${index}`);
  const dispatch = verdicts.length > 0 ? `		iifname vmap { ${verdicts.join(', ')} }\n` : '';
  return `table ${name}
delete table ${name}
table ${name} {
${chains.join('')}	chain leaving {
		type filter hook prerouting priority -300; policy accept;
${dispatch}	}
}
`;
}

function portRules({ mac, addresses4, addresses6 }: CheckedPort): readonly string[] {
  const four = [...addresses4, '0.0.0.0'].join(', ');
  const own6 = [...addresses6, linkLocalOf(mac)];
  return [
    `ether saddr != ${mac} drop`,
    'ether type { vlan, 8021ad } drop',
    `arp saddr ether != ${mac} drop`,
    `arp saddr ip != { ${four} } drop`,
    `ip saddr != { ${four} } drop`,
    `ip6 saddr != { ${[...own6, '::'].join(', ')} } drop`,
    'icmpv6 type { nd-router-advert, nd-redirect } drop',
    // Whose address a neighbour advertisement is about; nft has a word for it from 1.0.9 on.
    `icmpv6 type nd-neighbor-advert @th,64,128 != { ${own6.map(hexadecimal).join(', ')} } drop`,
  ];
}

/** The address the kernel gives a link by its hardware address (RFC 4291, appendix A). */
function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((part) => Number.parseInt(part, 16));
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return `fe80::${groups.map((group) => group.toString(16)).join(':')}`;
}

function hexadecimal(address: string): string {
  return `0x${(parseAddress(address)?.value ?? 0n).toString(16)}`;
}
