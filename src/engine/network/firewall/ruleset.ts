import { isIPv4 } from 'node:net';
import type { BoundPort, NetworkRecord, Protocol } from '../network.ts';

/** A published port as the firewall sees it. */
export interface PublishedPort {
  readonly protocol: Protocol;
  /** `0.0.0.0` for every address of the host, or one of them. */
  readonly hostIp: string;
  readonly hostPort: number;
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
  same: { kind: 'set', type: 'ifname . ifname', interval: false },
  members: { kind: 'set', type: 'ipv4_addr . ifname', interval: true },
  subnets: { kind: 'set', type: 'ipv4_addr', interval: true },
  masqueraded: { kind: 'set', type: 'ipv4_addr', interval: true },
  everywhere: { kind: 'map', type: 'inet_proto . inet_service : ipv4_addr . inet_service', interval: false },
  at_address: {
    kind: 'map',
    type: 'ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
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

function portElement(port: PublishedPort): Element {
  const key = `${port.protocol} . ${port.hostPort}`;
  return {
    key: port.hostIp === '0.0.0.0' ? key : `${port.hostIp} . ${key}`,
    value: `${port.address} . ${port.containerPort}`,
  };
}

/** Decides the table. Sorted, so that equal states give equal text. */
export function buildRuleset(state: FirewallState): Ruleset {
  const bridged = state.networks
    .flatMap((network) =>
      network.bridge && network.pool ? [{ ...network, bridge: network.bridge, pool: network.pool }] : [],
    )
    .sort((a, b) => (a.bridge < b.bridge ? -1 : 1));
  const ports = state.published
    .map((port) => ({ every: port.hostIp === '0.0.0.0', element: portElement(port) }))
    .sort((a, b) => (a.element.key < b.element.key ? -1 : 1));
  const quoted = (name: string) => `"${name}"`;
  return {
    table: state.instance,
    elements: {
      bridges: bridged.map((network) => ({ key: quoted(network.bridge) })),
      internal: bridged.filter((network) => network.internal).map((network) => ({ key: quoted(network.bridge) })),
      same: bridged.map((network) => ({ key: `${quoted(network.bridge)} . ${quoted(network.bridge)}` })),
      members: bridged.map((network) => ({ key: `${network.pool.subnet} . ${quoted(network.bridge)}` })),
      subnets: bridged.map((network) => ({ key: network.pool.subnet })),
      masqueraded: bridged
        .filter((network) => network.masquerade && !network.internal)
        .map((network) => ({ key: network.pool.subnet })),
      everywhere: ports.filter((port) => port.every).map((port) => port.element),
      at_address: ports.filter((port) => !port.every).map((port) => port.element),
    },
  };
}

/** The published ports of one container's endpoint that the kernel rewrites; IPv6 ones go through a proxy instead. */
export function publishedPorts(bound: readonly BoundPort[], address: string): readonly PublishedPort[] {
  return bound.flatMap((port) => (isIPv4(port.hostIp) ? [{ ...port, address }] : []));
}
