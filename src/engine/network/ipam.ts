import { TscError } from '../../core/index.ts';
import type { Pool } from './network.ts';
import { hostAddress, isUsable } from './pools.ts';
import { addressAt, contains, formatAddress, knownSubnet, parseAddress, sizeOf } from './subnet.ts';

/** What an allocation is decided from. */
export interface Allocation {
  readonly networkName: string;
  readonly pool: Pool;
  /** Present and true: nobody has the gateway's address, it is one like the others. */
  readonly withoutGateway?: boolean;
  /** Addresses of endpoints on the network. */
  readonly taken: ReadonlySet<string>;
  /** The address handed out last: the search goes on behind it, so a freed address rests. */
  readonly last?: string;
}

/** A free address. Throws network/exhausted. */
export function allocateAddress(allocation: Allocation): string {
  const { pool, taken } = allocation;
  const subnet = knownSubnet(pool.subnet);
  const range = knownSubnet(pool.ipRange ?? pool.subnet);
  const reserved = new Set([...(allocation.withoutGateway ? [] : [pool.gateway]), ...Object.values(pool.auxiliary)]);
  const size = sizeOf(range);
  const last = allocation.last === undefined ? undefined : parseAddress(allocation.last);
  const start = last && contains(range, last) ? last.value - range.base + 1n : 0n;
  for (let offset = 0n; offset < size; offset++) {
    const address = addressAt(range, (start + offset) % size);
    const text = formatAddress(address);
    if (isUsable(subnet, address) && !reserved.has(text) && !taken.has(text)) return text;
  }
  throw new TscError(
    'network/exhausted',
    `no free address is left in network ${allocation.networkName} (${pool.ipRange ?? pool.subnet})`,
    {
      hint: 'remove containers from the network or make one with a larger subnet',
    },
  );
}

/** An address the caller insists on. Throws network/invalid, network/conflict. */
export function claimAddress(allocation: Allocation, wanted: string): string {
  const subnet = knownSubnet(allocation.pool.subnet);
  const text = formatAddress(hostAddress(subnet, wanted, `address for network ${allocation.networkName}:`));
  if (text === allocation.pool.gateway && !allocation.withoutGateway)
    throw new TscError('network/conflict', `address ${text} is the gateway of network ${allocation.networkName}`);
  if (allocation.taken.has(text))
    throw new TscError('network/conflict', `address ${text} is already used on network ${allocation.networkName}`);
  return text;
}

/** The hardware address that belongs to an address, by its last 32 bits: stable, so neighbours' caches stay true. */
export function macOf(address: string): string {
  const last = (parseAddress(address)?.value ?? 0n) & 0xffffffffn;
  const octets = last.toString(16).padStart(8, '0').match(/../g) ?? [];
  return ['02', '42', ...octets].join(':');
}

/** Checks and normalises a hardware address. Throws network/invalid. */
export function parseMac(text: string): string {
  if (!/^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/.test(text))
    throw new TscError('network/invalid', `${JSON.stringify(text)} is not a MAC address`);
  const mac = text.toLowerCase().replaceAll('-', ':');
  if (Number.parseInt(mac.slice(0, 2), 16) % 2 === 1)
    throw new TscError('network/invalid', `MAC address ${mac} is a multicast address`);
  return mac;
}
