import { isIPv6 } from 'node:net';
import type { BoundPort, NetworkRecord, Protocol } from '../network.ts';
import { contains, knownSubnet, parseAddress } from '../subnet.ts';

/** A published port as the firewall sees it. */
export interface PublishedPort {
  readonly protocol: Protocol;
  /** `0.0.0.0` or `::` for every address of the host, or one of them. */
  readonly hostIp: string;
  /** 0: open at the container's address instead. */
  readonly hostPort: number;
  /** The container's, of the same family. */
  readonly address: string;
  readonly containerPort: number;
}

/** What the table is decided from. */
export interface FirewallState {
  readonly instance: string;
  readonly networks: readonly NetworkRecord[];
  readonly published: readonly PublishedPort[];
}

/**
 * Sets and maps of the table; a change of networks or ports is a change of their elements, never of the rules.
 * Types in nft's words.
 */
export const SETS = {
  bridges: { kind: 'set', type: 'ifname', interval: false },
  internal: { kind: 'set', type: 'ifname', interval: false },
  elsewhere: { kind: 'set', type: 'ifname', interval: false },
  adopted: { kind: 'set', type: 'ifname', interval: false },
  within: { kind: 'map', type: 'ifname . ifname : verdict', interval: false },
  inward: { kind: 'map', type: 'ifname : verdict', interval: false },
  inside: { kind: 'set', type: 'ipv4_addr . ipv4_addr . ifname', interval: true },
  members: { kind: 'set', type: 'ipv4_addr . ifname', interval: true },
  subnets: { kind: 'set', type: 'ipv4_addr', interval: true },
  masqueraded: { kind: 'set', type: 'ipv4_addr', interval: true },
  answered: { kind: 'set', type: 'ipv4_addr', interval: true },
  open: { kind: 'set', type: 'ipv4_addr', interval: true },
  routed: { kind: 'set', type: 'ipv4_addr', interval: true },
  reached: { kind: 'set', type: 'ipv4_addr . inet_proto . inet_service', interval: false },
  trusted: { kind: 'set', type: 'ipv4_addr . ifname', interval: true },
  direct: { kind: 'set', type: 'ipv4_addr . inet_proto . inet_service', interval: false },
  inside6: { kind: 'set', type: 'ipv6_addr . ipv6_addr . ifname', interval: true },
  members6: { kind: 'set', type: 'ipv6_addr . ifname', interval: true },
  subnets6: { kind: 'set', type: 'ipv6_addr', interval: true },
  masqueraded6: { kind: 'set', type: 'ipv6_addr', interval: true },
  answered6: { kind: 'set', type: 'ipv6_addr', interval: true },
  open6: { kind: 'set', type: 'ipv6_addr', interval: true },
  routed6: { kind: 'set', type: 'ipv6_addr', interval: true },
  reached6: { kind: 'set', type: 'ipv6_addr . inet_proto . inet_service', interval: false },
  trusted6: { kind: 'set', type: 'ipv6_addr . ifname', interval: true },
  direct6: { kind: 'set', type: 'ipv6_addr . inet_proto . inet_service', interval: false },
  everywhere: { kind: 'map', type: 'inet_proto . inet_service : ipv4_addr . inet_service', interval: false },
  at_address: {
    kind: 'map',
    type: 'ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
    interval: false,
  },
  everywhere6: { kind: 'map', type: 'inet_proto . inet_service : ipv6_addr . inet_service', interval: false },
  sources: { kind: 'map', type: 'ipv4_addr : ipv4_addr', interval: true },
  sources6: { kind: 'map', type: 'ipv6_addr : ipv6_addr', interval: true },
  at_address6: {
    kind: 'map',
    type: 'ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service',
    interval: false,
  },
} as const;

export type SetName = keyof typeof SETS;

/** One element: its key, and for maps what the key leads to. All text is made by us from checked values (N13). */
export interface Element {
  readonly key: string;
  readonly value?: string;
}

/** The whole table of one instance as a value. */
export interface Ruleset {
  readonly table: string;
  readonly elements: Readonly<Record<SetName, readonly Element[]>>;
}

const EVERYWHERE: readonly string[] = ['0.0.0.0', '::'];

/** A port at the container's own address. */
function ownElement(port: PublishedPort): Element {
  return { key: `${port.address} . ${port.protocol} . ${port.containerPort}` };
}

function portElement(port: PublishedPort): Element {
  if (port.hostPort === 0) return ownElement(port);
  const key = `${port.protocol} . ${port.hostPort}`;
  return {
    key: EVERYWHERE.includes(port.hostIp) ? key : `${port.hostIp} . ${key}`,
    value: `${port.address} . ${port.containerPort}`,
  };
}

/** The subnets of one family with what is said of them. */
function poolElements(networks: readonly (NetworkRecord & { readonly bridge: string })[], key: 'pool' | 'pool6') {
  const pools = networks.flatMap((network) => {
    const pool = network[key];
    return pool ? [{ ...network, subnet: pool.subnet }] : [];
  });
  const isRouted = (network: NetworkRecord) => network.routed?.includes(key === 'pool' ? 4 : 6) ?? false;
  const isOpen = (network: NetworkRecord) => network.unprotected?.includes(key === 'pool' ? 4 : 6) ?? false;
  return {
    inside: pools.map(({ subnet, bridge }) => ({ key: `${subnet} . ${subnet} . "${bridge}"` })),
    members: pools.map(({ subnet, bridge }) => ({ key: `${subnet} . "${bridge}"` })),
    subnets: pools.map(({ subnet }) => ({ key: subnet })),
    masqueraded: pools
      .filter((network) => network.masquerade && !isRouted(network) && !network.internal)
      .map(({ subnet }) => ({ key: subnet })),
    answered: pools
      .filter((network) => (!network.masquerade || isRouted(network) || isOpen(network)) && !network.internal)
      .map(({ subnet }) => ({ key: subnet })),
    routed: pools.filter((network) => isRouted(network) && !network.internal).map(({ subnet }) => ({ key: subnet })),
    open: pools.filter((network) => isOpen(network) && !network.internal).map(({ subnet }) => ({ key: subnet })),
    sources: pools.flatMap((network) => {
      const address = network.sources?.find((each) => isIPv6(each) === (key === 'pool6'));
      const isHidden = network.masquerade && !isRouted(network) && !network.internal;
      return address && isHidden ? [{ key: network.subnet, value: address }] : [];
    }),
    trusted: pools.flatMap(({ subnet, trusted, internal }) =>
      internal ? [] : (trusted ?? []).map((name) => ({ key: `${subnet} . "${name}"` })),
    ),
  };
}

/** Published ports of the networks of one family that trust interfaces of the host; the same port once, whatever it is published on. */
function directPorts(
  networks: readonly NetworkRecord[],
  published: readonly PublishedPort[],
  key: 'pool' | 'pool6',
): readonly Element[] {
  const subnets = networks.flatMap((network) => {
    const pool = network[key];
    return pool && network.trusted && !network.internal ? [knownSubnet(pool.subnet)] : [];
  });
  if (subnets.length === 0) return [];
  const keys = published.flatMap((port) => {
    const address = parseAddress(port.address);
    return address && subnets.some((subnet) => contains(subnet, address)) ? [ownElement(port).key] : [];
  });
  return [...new Set(keys)].sort().map((each) => ({ key: each }));
}

/** What is said of bridges, whatever their families. */
function bridgeElements(bridged: readonly (NetworkRecord & { readonly bridge: string })[]) {
  const isElsewhere = (network: NetworkRecord) => network.gatewayElsewhere && !network.adopted;
  const keyOf = ({ bridge }: { readonly bridge: string }): Element => ({ key: `"${bridge}"` });
  return {
    bridges: bridged.map(keyOf),
    internal: bridged.filter((network) => network.internal).map(keyOf),
    elsewhere: bridged.filter(isElsewhere).map(keyOf),
    adopted: bridged.filter((network) => network.adopted).map(keyOf),
    within: bridged.map((network) => ({
      key: `"${network.bridge}" . "${network.bridge}"`,
      value: network.apart ? 'drop' : 'accept',
    })),
    inward: bridged
      .filter((network) => network.internal || isElsewhere(network))
      .map((network) => ({
        ...keyOf(network),
        value: network.internal ? 'goto from_internal' : 'goto from_elsewhere',
      })),
  };
}

/** Decides the table. Sorted, so that equal states give equal text. */
export function buildRuleset(state: FirewallState): Ruleset {
  const bridged = state.networks
    .flatMap((network) => (network.bridge ? [{ ...network, bridge: network.bridge }] : []))
    .sort((a, b) => (a.bridge < b.bridge ? -1 : 1));
  const ports = state.published
    .map((port) => ({
      every: EVERYWHERE.includes(port.hostIp),
      reached: port.hostPort === 0,
      six: isIPv6(port.hostIp),
      element: portElement(port),
    }))
    .sort((a, b) => (a.element.key < b.element.key ? -1 : 1));
  const portElements = (every: boolean, six: boolean) =>
    ports.filter((port) => !port.reached && port.every === every && port.six === six).map((port) => port.element);
  // Two addresses of one family may open the same port of a container.
  const reachedElements = (six: boolean) => [
    ...new Map(
      ports.filter((port) => port.reached && port.six === six).map(({ element }) => [element.key, element]),
    ).values(),
  ];
  const directElements = (key: 'pool' | 'pool6') => directPorts(bridged, state.published, key);
  const four = poolElements(bridged, 'pool');
  const six = poolElements(bridged, 'pool6');
  return {
    table: state.instance,
    elements: {
      ...bridgeElements(bridged),
      inside: four.inside,
      members: four.members,
      subnets: four.subnets,
      masqueraded: four.masqueraded,
      answered: four.answered,
      open: four.open,
      routed: four.routed,
      reached: reachedElements(false),
      trusted: four.trusted,
      direct: directElements('pool'),
      inside6: six.inside,
      members6: six.members,
      subnets6: six.subnets,
      masqueraded6: six.masqueraded,
      answered6: six.answered,
      open6: six.open,
      routed6: six.routed,
      reached6: reachedElements(true),
      trusted6: six.trusted,
      direct6: directElements('pool6'),
      everywhere: portElements(true, false),
      at_address: portElements(false, false),
      everywhere6: portElements(true, true),
      sources: four.sources,
      sources6: six.sources,
      at_address6: portElements(false, true),
    },
  };
}

/** The published ports of one container that the kernel rewrites; for ::1, or without an address of the family, a proxy does. */
export function publishedPorts(
  bound: readonly BoundPort[],
  target: { readonly ipv4: string | undefined; readonly ipv6: string | undefined },
): readonly PublishedPort[] {
  return bound.flatMap((port) => {
    const address = isIPv6(port.hostIp) ? target.ipv6 : target.ipv4;
    return address === undefined || (port.hostIp === '::1' && port.hostPort > 0) ? [] : [{ ...port, address }];
  });
}
