import { describe, expect, it } from 'vitest';
import { parseEgress, parseEgressLabel } from './egress.ts';
import { renderEgress, renderEgressRemoval } from './render-egress.ts';
import { renderSenders } from './render-senders.ts';

describe('the egress label', () => {
  it('is a JSON list of entries', () => {
    expect(parseEgressLabel('["api.example.com:443","10.0.0.0/8"]')).toHaveLength(2);
    expect(parseEgressLabel('[]')).toEqual([]);
  });
  it.each(['', 'x', '{}', '[1]', '["a b"]', JSON.stringify(Array(257).fill('a.org'))])('refuses %s', (text) => {
    expect(() => parseEgressLabel(text)).toThrow(expect.objectContaining({ code: 'network/invalid' }));
  });
});

it('takes a subnet by its first address', () => {
  expect(parseEgress('10.1.2.3/8:22')).toEqual({ kind: 'subnet', subnet: '10.0.0.0/8', family: 4, port: 22 });
  expect(parseEgress('2001:db8::1/32')).toMatchObject({ subnet: '2001:db8::/32', family: 6 });
});

const ID = 'a'.repeat(64);
const SCRIPT = `add table inet tsc_egress
add set inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa_any4 { type ipv4_addr; flags timeout; }
add set inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa_port4 { type ipv4_addr . inet_service; flags timeout; }
add set inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa_any6 { type ipv6_addr; flags timeout; }
add set inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa_port6 { type ipv6_addr . inet_service; flags timeout; }
add chain inet tsc_egress refuse
add chain inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa
add chain inet tsc_egress passing { type filter hook forward priority filter - 1; policy accept; }
add chain inet tsc_egress entering { type filter hook input priority filter - 1; policy accept; }
flush chain inet tsc_egress refuse
flush chain inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa
flush chain inet tsc_egress passing
flush chain inet tsc_egress entering
flush chain inet tsc_egress c_gone
add rule inet tsc_egress refuse counter reject with icmpx type admin-prohibited
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa ip daddr 10.0.0.0/8 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa ip6 daddr 2001:db8::/32 meta l4proto { tcp, udp } th dport 443 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa ip daddr @c_aaaaaaaaaaaaaaaaaaaa_any4 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa meta l4proto { tcp, udp } ip daddr . th dport @c_aaaaaaaaaaaaaaaaaaaa_port4 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa ip6 daddr @c_aaaaaaaaaaaaaaaaaaaa_any6 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa meta l4proto { tcp, udp } ip6 daddr . th dport @c_aaaaaaaaaaaaaaaaaaaa_port6 accept
add rule inet tsc_egress c_aaaaaaaaaaaaaaaaaaaa goto refuse
add rule inet tsc_egress passing ct state established,related accept
add rule inet tsc_egress passing iifname "tsc-1" oifname "tsc-1" accept
add rule inet tsc_egress passing ip saddr . iifname vmap { 172.20.1.2 . "tsc-1" : goto c_aaaaaaaaaaaaaaaaaaaa }
add rule inet tsc_egress passing ip6 saddr . iifname vmap { fd00:1::2 . "tsc-1" : goto c_aaaaaaaaaaaaaaaaaaaa }
add rule inet tsc_egress entering ct state established,related accept
add rule inet tsc_egress entering icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
add rule inet tsc_egress entering ip saddr . iifname vmap { 172.20.1.2 . "tsc-1" : goto c_aaaaaaaaaaaaaaaaaaaa }
add rule inet tsc_egress entering ip6 saddr . iifname vmap { fd00:1::2 . "tsc-1" : goto c_aaaaaaaaaaaaaaaaaaaa }
delete chain inet tsc_egress c_gone
delete set inet tsc_egress c_gone_any4
delete set inet tsc_egress c_gone_port4
delete set inet tsc_egress c_gone_any6
delete set inet tsc_egress c_gone_port6
`;

it('renders the table that judges', () => {
  const endpoint = {
    bridge: 'tsc-1',
    hostInterface: 'tscv1',
    mac: '02:42:ac:14:01:02',
    addresses4: ['172.20.1.2'],
    addresses6: ['fd00:1::2'],
  };
  const rules = ['10.0.0.0/8', '[2001:db8::]/32:443', 'api.example.com'].map(parseEgress);
  expect(renderEgress('tsc', [{ containerId: ID, rules, endpoints: [endpoint] }], ['c_gone'])).toBe(SCRIPT);
  expect(renderEgressRemoval('tsc')).toContain('delete table bridge tsc_egress');
});

it('renders what each port may send under', () => {
  const port = {
    hostInterface: 'tscv1',
    mac: '02:42:ac:14:01:02',
    addresses4: ['172.20.1.2', '169.254.3.4'],
    addresses6: ['fd00:1::2'],
  };
  expect(renderSenders('tsc_egress', [port])).toBe(`table bridge tsc_egress
delete table bridge tsc_egress
table bridge tsc_egress {
	chain p0 {
		ether saddr != 02:42:ac:14:01:02 drop
		ether type { vlan, 8021ad } drop
		arp saddr ether != 02:42:ac:14:01:02 drop
		arp saddr ip != { 172.20.1.2, 169.254.3.4, 0.0.0.0 } drop
		ip saddr != { 172.20.1.2, 169.254.3.4, 0.0.0.0 } drop
		ip6 saddr != { fd00:1::2, fe80::42:acff:fe14:102, :: } drop
		icmpv6 type { nd-router-advert, nd-redirect } drop
		icmpv6 type nd-neighbor-advert @th,64,128 != { 0xfd000001000000000000000000000002, 0xfe800000000000000042acfffe140102 } drop
	}
	chain leaving {
		type filter hook prerouting priority -300; policy accept;
		iifname vmap { "tscv1" : jump p0 }
	}
}
`);
});
