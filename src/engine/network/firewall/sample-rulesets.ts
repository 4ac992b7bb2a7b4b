import type { NetworkRecord } from '../network.ts';
import { buildRuleset, type PublishedPort } from './ruleset.ts';

// What the tests of this room decide about.

/** A bridge network by its number. */
export function network(number: number, rest: Partial<NetworkRecord> = {}): NetworkRecord {
  return {
    id: String(number).repeat(64) as NetworkRecord['id'],
    name: `n${number}`,
    created: '',
    driver: 'bridge',
    internal: false,
    attachable: false,
    labels: {},
    options: {},
    pool: { subnet: `172.20.${number}.0/24`, gateway: `172.20.${number}.1`, auxiliary: {} },
    bridge: `tsc-${number}`,
    chosenPool: true,
    mtu: 1500,
    masquerade: true,
    isDefault: false,
    ...rest,
  };
}

/** A published port of the first network's first container. */
export const port = (hostPort: number, hostIp = '0.0.0.0', address = '172.20.1.2'): PublishedPort => ({
  protocol: 'tcp',
  hostIp,
  hostPort,
  address,
  containerPort: 80,
});

/** The ruleset of networks and ports. */
export const build = (networks: NetworkRecord[], published: PublishedPort[] = []) =>
  buildRuleset({ instance: 'tsc', networks, published });
