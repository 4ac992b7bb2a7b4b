import { describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../network.ts';
import { renderChange, renderTable } from './render-nft.ts';
import { type PublishedPort, publishedPorts } from './ruleset.ts';
import { build, network, port } from './sample-rulesets.ts';

describe('the table', () => {
  it('holds networks and ports as elements', () => {
    const text = renderTable(
      build([network(2, { internal: true }), network(1)], [port(8080), port(8081, '127.0.0.1')]),
    );
    expect(text.slice(0, text.indexOf('\tchain guard'))).toBe(`table inet tsc
delete table inet tsc
table inet tsc {
	set bridges {
		type ifname
		elements = { "tsc-1", "tsc-2" }
	}
	set internal {
		type ifname
		elements = { "tsc-2" }
	}
	set elsewhere {
		type ifname
	}
	set adopted {
		type ifname
	}
	map within {
		type ifname . ifname : verdict
		elements = { "tsc-1" . "tsc-1" : accept, "tsc-2" . "tsc-2" : accept }
	}
	map inward {
		type ifname : verdict
		elements = { "tsc-2" : goto from_internal }
	}
	set inside {
		type ipv4_addr . ipv4_addr . ifname
		flags interval
		elements = { 172.20.1.0/24 . 172.20.1.0/24 . "tsc-1", 172.20.2.0/24 . 172.20.2.0/24 . "tsc-2" }
	}
	set members {
		type ipv4_addr . ifname
		flags interval
		elements = { 172.20.1.0/24 . "tsc-1", 172.20.2.0/24 . "tsc-2" }
	}
	set subnets {
		type ipv4_addr
		flags interval
		elements = { 172.20.1.0/24, 172.20.2.0/24 }
	}
	set masqueraded {
		type ipv4_addr
		flags interval
		elements = { 172.20.1.0/24 }
	}
	set answered {
		type ipv4_addr
		flags interval
	}
	set open {
		type ipv4_addr
		flags interval
	}
	set routed {
		type ipv4_addr
		flags interval
	}
	set reached {
		type ipv4_addr . inet_proto . inet_service
	}
	set trusted {
		type ipv4_addr . ifname
		flags interval
	}
	set direct {
		type ipv4_addr . inet_proto . inet_service
	}
	set inside6 {
		type ipv6_addr . ipv6_addr . ifname
		flags interval
	}
	set members6 {
		type ipv6_addr . ifname
		flags interval
	}
	set subnets6 {
		type ipv6_addr
		flags interval
	}
	set masqueraded6 {
		type ipv6_addr
		flags interval
	}
	set answered6 {
		type ipv6_addr
		flags interval
	}
	set open6 {
		type ipv6_addr
		flags interval
	}
	set routed6 {
		type ipv6_addr
		flags interval
	}
	set reached6 {
		type ipv6_addr . inet_proto . inet_service
	}
	set trusted6 {
		type ipv6_addr . ifname
		flags interval
	}
	set direct6 {
		type ipv6_addr . inet_proto . inet_service
	}
	map everywhere {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.20.1.2 . 80 }
	}
	map at_address {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . tcp . 8081 : 172.20.1.2 . 80 }
	}
	map everywhere6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
	}
	map sources {
		type ipv4_addr : ipv4_addr
		flags interval
	}
	map sources6 {
		type ipv6_addr : ipv6_addr
		flags interval
	}
	map at_address6 {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
	}
`);
  });

  it('holds IPv6 beside it, for the networks that have it', () => {
    const six = (number: number) => ({
      pool6: { subnet: `fd00:${number}::/64`, gateway: `fd00:${number}::1`, auxiliary: {} },
    });
    const ports = [port(8080), port(8080, '::', 'fd00:1::2'), port(8081, '2001:db8::1', 'fd00:1::2')];
    const { elements } = build([network(3), network(2, { ...six(2), internal: true }), network(1, six(1))], ports);
    const keys = (set: keyof typeof elements) =>
      elements[set].map(({ key, value }) => (value ? `${key} : ${value}` : key));
    expect(keys('members6')).toEqual(['fd00:1::/64 . "tsc-1"', 'fd00:2::/64 . "tsc-2"']);
    expect(keys('subnets6')).toEqual(['fd00:1::/64', 'fd00:2::/64']);
    expect(keys('masqueraded6')).toEqual(['fd00:1::/64']);
    expect(keys('everywhere')).toEqual(['tcp . 8080 : 172.20.1.2 . 80']);
    expect(keys('everywhere6')).toEqual(['tcp . 8080 : fd00:1::2 . 80']);
    expect(keys('at_address6')).toEqual(['2001:db8::1 . tcp . 8081 : fd00:1::2 . 80']);
  });

  /** What each kind of network and port makes of the table; the rules below the sets are the same for all. */
  const six = { pool6: { subnet: 'fd00:1::/64', gateway: 'fd00:1::1', auxiliary: {} } };
  const reached: PublishedPort = { ...port(0), hostPort: 0 };
  const SCENARIOS: readonly (readonly [string, NetworkRecord[], PublishedPort[]])[] = [
    ['default', [network(1)], []],
    ['published', [network(1)], [port(8080), { ...port(8080), protocol: 'udp' }, { ...port(9000), protocol: 'sctp' }]],
    ['loopback', [network(1)], [port(8081, '127.0.0.1')]],
    ['internal', [network(1, { ...six, internal: true })], []],
    ['icc-off', [network(1, { apart: true })], []],
    [
      'two-networks',
      [network(1), network(2, { masquerade: false })],
      [port(8080), port(8081, '0.0.0.0', '172.20.2.2')],
    ],
    ['ipv6', [network(1, six)], [port(8080), port(8080, '::', 'fd00:1::2'), port(8082, '2001:db8::1', 'fd00:1::2')]],
    ['routed', [network(1, { ...six, routed: [4, 6] })], [reached, { ...reached, hostIp: '::', address: 'fd00:1::2' }]],
    ['unprotected', [network(1, { ...six, unprotected: [6] })], []],
    [
      'trusted',
      [network(1, { ...six, trusted: ['eth1', 'wg0'] }), network(2, { gatewayElsewhere: true, withoutGateway: [4] })],
      [port(8080, '127.0.0.1'), port(8080, '::', 'fd00:1::2'), port(8081, '0.0.0.0', '172.20.2.2')],
    ],
    ['adopted', [network(1, { bridge: 'br0', adopted: { addresses: [], sysctls: {} }, gatewayElsewhere: true })], []],
  ];

  it.each(SCENARIOS)('golden: %s', async (name, networks, ports) => {
    const text = renderTable(build(networks, ports));
    await expect(text).toMatchFileSnapshot(`golden/${name}.nft`);
  });

  it('opens a port of a routed network once, at the container, whatever addresses it was published on', () => {
    const bound = ['0.0.0.0', '192.0.2.1', '::1'].map((hostIp) => ({ ...reached, hostIp }));
    const published = publishedPorts(bound, { ipv4: '172.20.1.2', ipv6: 'fd00:1::2' });
    const { elements } = build([network(1, { ...six, routed: [4, 6] })], [...published]);
    expect(elements.reached).toEqual([{ key: '172.20.1.2 . tcp . 80' }]);
    expect(elements.reached6).toEqual([{ key: 'fd00:1::2 . tcp . 80' }]);
    expect([elements.everywhere, elements.at_address, elements.masqueraded]).toEqual([[], [], []]);
    expect(elements.answered).toEqual([{ key: '172.20.1.0/24' }]);
  });

  it('lets containers out under the address their network names, where it hides them', () => {
    const named = { ...six, sources: ['192.0.2.9', '2001:db8::9'] };
    const { elements } = build([network(1, named), network(2, { sources: ['192.0.2.9'], masquerade: false })]);
    expect(elements.sources).toEqual([{ key: '172.20.1.0/24', value: '192.0.2.9' }]);
    expect(elements.sources6).toEqual([{ key: 'fd00:1::/64', value: '2001:db8::9' }]);
  });

  it('opens published ports of a network to the interfaces it trusts, unless it is internal', () => {
    const ports = [port(8080), port(8081, '127.0.0.1'), port(8080, '0.0.0.0', '172.20.2.2')];
    const { elements } = build([network(1, { trusted: ['eth1'] }), network(2)], ports);
    expect(elements.trusted).toEqual([{ key: '172.20.1.0/24 . "eth1"' }]);
    expect(elements.direct).toEqual([{ key: '172.20.1.2 . tcp . 80' }]);
    const closed = build([network(1, { trusted: ['eth1'], internal: true })], ports).elements;
    expect([closed.trusted, closed.direct]).toEqual([[], []]);
  });

  it('rewrites what the container has an address for, and leaves ::1 to a proxy', () => {
    const bound = ['0.0.0.0', '::', '::1'].map((hostIp) => ({ ...port(80, hostIp), address: '' }));
    const hosts = (target: { ipv4?: string; ipv6?: string }) =>
      publishedPorts(bound, { ipv4: target.ipv4, ipv6: target.ipv6 }).map(({ hostIp, address }) => [hostIp, address]);
    expect(hosts({ ipv4: '172.20.1.2' })).toEqual([['0.0.0.0', '172.20.1.2']]);
    expect(hosts({ ipv4: '172.20.1.2', ipv6: 'fd00::2' })).toEqual([
      ['0.0.0.0', '172.20.1.2'],
      ['::', 'fd00::2'],
    ]);
  });

  it('lets answers in to containers that leave under their own address', () => {
    const { elements } = build([
      network(1, { masquerade: false }),
      network(2),
      network(3, { masquerade: false, internal: true }),
    ]);
    expect(elements.answered).toEqual([{ key: '172.20.1.0/24' }]);
    expect(elements.masqueraded).toEqual([{ key: '172.20.2.0/24' }]);
  });

  it('opens one family of a network to the outside', () => {
    const { elements } = build([network(1, { unprotected: [4] }), network(2, { unprotected: [4], internal: true })]);
    expect(elements.open).toEqual([{ key: '172.20.1.0/24' }]);
    expect(elements.answered).toEqual(elements.open);
    expect(elements.open6).toEqual([]);
  });

  it('closes a network between its own containers', () => {
    const { elements } = build([network(1, { apart: true }), network(2)]);
    expect(elements.within).toEqual([
      { key: '"tsc-1" . "tsc-1"', value: 'drop' },
      { key: '"tsc-2" . "tsc-2"', value: 'accept' },
    ]);
    expect(elements.bridges).toHaveLength(2);
  });

  it('drops routers, foreign sources and foreign destinations of IPv6 before anything else (N02, N08, N09)', () => {
    const text = renderTable(build([]));
    const guard = text.slice(text.indexOf('chain from_bridge6 '), text.indexOf('chain publish'));
    const order = [
      'icmpv6 type { nd-router-advert, nd-redirect } drop',
      'ip6 saddr fe80::/10 ip6 daddr { fe80::/10, ff00::/8 } accept',
      'ip6 saddr . iifname != @members6 iifname != @adopted drop',
      'ip6 daddr != @subnets6 accept',
      'ip6 daddr . iifname @members6 accept',
      'ip6 daddr . iifname != @trusted6 drop',
    ].map((rule) => guard.indexOf(rule));
    expect(order).not.toContain(-1);
    expect(order.toSorted((a, b) => a - b)).toEqual(order);
    expect(text.indexOf('ip6 daddr ::1 return')).toBeLessThan(text.indexOf('dnat ip6'));
  });

  it('drops what comes from outside with the source of a container before it is let go on (N09)', () => {
    const text = renderTable(build([]));
    for (const [chain, six] of [
      ['guard', ''],
      ['from_outside6', '6'],
    ] as const) {
      const outside = text.slice(text.indexOf(`chain ${chain} `));
      const forged = outside.indexOf(
        `ip${six} saddr @subnets${six} ip${six} saddr != @routed${six} ip${six} saddr . iifname != @trusted${six} drop`,
      );
      expect(forged).toBeGreaterThan(0);
      expect(forged).toBeLessThan(outside.indexOf(`ip${six} daddr != @subnets${six} accept`));
    }
  });

  it('drops loopback and foreign destinations before anything else (N01, N02)', () => {
    const text = renderTable(build([]));
    const guard = text.slice(text.indexOf('chain guard'), text.indexOf('chain publish'));
    expect(guard).toMatch(/priority raw/);
    expect(guard.indexOf('iifname "lo" accept')).toBeLessThan(guard.indexOf('ip daddr 127.0.0.0/8 drop'));
    expect(guard.indexOf('ip saddr 127.0.0.0/8 drop')).toBeLessThan(guard.indexOf('goto'));
    const inside = guard.slice(guard.indexOf('chain from_bridge '));
    expect(inside.indexOf('ip daddr . iifname @members accept')).toBeLessThan(
      inside.indexOf('ip daddr . iifname != @trusted drop'),
    );
    // N04: rewriting only for addresses of this host.
    expect(text.match(/jump publish/g)).toHaveLength(2);
    expect(text.match(/fib daddr type local jump publish/g)).toHaveLength(2);
  });

  it('changes by elements: a moved port is a new value under its key', () => {
    const before = build([network(1)], [port(8080)]);
    expect(renderChange(before, before)).toBe('');
    expect(renderChange(before, build([network(1)], [port(8080, '0.0.0.0', '172.20.1.3')]))).toBe(
      'delete element inet tsc everywhere { tcp . 8080 }\nadd element inet tsc everywhere { tcp . 8080 : 172.20.1.3 . 80 }\n',
    );
    expect(renderChange(before, build([network(1)]))).toBe('delete element inet tsc everywhere { tcp . 8080 }\n');
  });
});
