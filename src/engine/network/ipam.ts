import { TscError } from '../../core/index.ts';
import {
  contains,
  formatAddress,
  formatSubnet,
  knownSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
  sizeOf,
} from './ipv4.ts';
import type { Pool, PoolSpec } from './network.ts';

/** A subnet somebody uses already, with words for whom. */
export interface UsedSubnet {
  readonly subnet: Subnet;
  readonly owner: string;
  /** A host interface's own subnet or a network of ours: any overlap is refused. Otherwise only what lies inside the new subnet. */
  readonly exact: boolean;
}

/**
 * Where pools are chosen from: /24 each, clear of the first subnets other engines take by themselves (172.17.0.0/16 by Docker,
 * 10.88.0.0/15 by podman). What they really use is found in the routes.
 */
const RANGES: readonly Subnet[] = ['172.20.0.0/14', '172.24.0.0/13', '192.168.128.0/17', '10.200.0.0/16'].map(
  knownSubnet,
);
const CHOSEN_PREFIX = 24;
const LONGEST_PREFIX = 30;
const SHORTEST_PREFIX = 8;

const STEP = 2 ** (32 - CHOSEN_PREFIX);
const CANDIDATES: readonly Subnet[] = RANGES.flatMap((range) =>
  Array.from({ length: sizeOf(range) / STEP }, (_, index) => ({
    base: range.base + index * STEP,
    prefix: CHOSEN_PREFIX,
  })),
);

/** The usual instance begins at the first candidate; others elsewhere, as two that start at once cannot see each other's choice. */
function firstCandidate(instance: string): number {
  if (instance === 'tsc') return 0;
  let hash = 0;
  for (const character of instance) hash = (hash * 31 + character.charCodeAt(0)) % 1_000_003;
  return hash % CANDIDATES.length;
}

/** A free /24. Throws network/exhausted. */
export function choosePool(used: readonly UsedSubnet[], instance: string): Pool {
  const first = firstCandidate(instance);
  for (const subnet of [...CANDIDATES.slice(first), ...CANDIDATES.slice(0, first)]) {
    if (!used.some((other) => overlaps(other.subnet, subnet)))
      return { subnet: formatSubnet(subnet), gateway: formatAddress(subnet.base + 1), auxiliary: {} };
  }
  throw new TscError('network/exhausted', 'no free subnet is left for a network', {
    hint: 'remove unused networks (network prune) or give a subnet',
  });
}

function invalid(message: string): TscError {
  return new TscError('network/invalid', message);
}

function checkInside(subnet: Subnet, text: string, what: string): number {
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`${what} ${JSON.stringify(text)} is not an IPv4 address`);
  if (!isUsable(subnet, address)) throw invalid(`${what} ${text} is not a host address of ${formatSubnet(subnet)}`);
  return address;
}

/** Not the network's own address and not its broadcast address. */
function isUsable(subnet: Subnet, address: number): boolean {
  return contains(subnet, address) && address !== subnet.base && address !== subnet.base + sizeOf(subnet) - 1;
}

function readSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) {
    if (text.includes(':')) throw new TscError('network/unsupported', `IPv6 subnet ${text} is not supported`);
    throw invalid(`subnet ${JSON.stringify(text)} is not CIDR (example: 172.28.0.0/16)`);
  }
  if (subnet.prefix > LONGEST_PREFIX || subnet.prefix < SHORTEST_PREFIX)
    throw invalid(`subnet ${text} must have a prefix length from ${SHORTEST_PREFIX} to ${LONGEST_PREFIX}`);
  return subnet;
}

function conflictsWith(subnet: Subnet, other: UsedSubnet): boolean {
  if (!overlaps(subnet, other.subnet)) return false;
  return other.exact || other.subnet.prefix >= subnet.prefix;
}

/** The pool a caller asked for, completed and checked. Throws network/invalid, network/conflict. */
export function readPool(spec: PoolSpec, used: readonly UsedSubnet[], instance: string): Pool {
  if (spec.subnet === undefined || spec.subnet === '') {
    if (spec.gateway || spec.ipRange) throw invalid('a gateway or an address range needs a subnet');
    return choosePool(used, instance);
  }
  const subnet = readSubnet(spec.subnet);
  const other = used.find((candidate) => conflictsWith(subnet, candidate));
  if (other) {
    throw new TscError(
      'network/conflict',
      `subnet ${formatSubnet(subnet)} overlaps ${formatSubnet(other.subnet)} of ${other.owner}`,
      {
        hint: 'choose another subnet or leave it out',
      },
    );
  }
  const gateway = spec.gateway ? checkInside(subnet, spec.gateway, 'gateway') : subnet.base + 1;
  const auxiliary = { ...spec.auxiliary };
  for (const [name, address] of Object.entries(auxiliary)) checkInside(subnet, address, `auxiliary address ${name}`);
  const pool = { subnet: formatSubnet(subnet), gateway: formatAddress(gateway), auxiliary };
  return spec.ipRange ? { ...pool, ipRange: readRange(subnet, spec.ipRange) } : pool;
}

function readRange(subnet: Subnet, text: string): string {
  const range = parseSubnet(text);
  if (!range || range.prefix < subnet.prefix || !contains(subnet, range.base))
    throw invalid(`address range ${JSON.stringify(text)} is not part of subnet ${formatSubnet(subnet)}`);
  return formatSubnet(range);
}

/** What an allocation is decided from. */
export interface Allocation {
  readonly networkName: string;
  readonly pool: Pool;
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
  const reserved = new Set([pool.gateway, ...Object.values(pool.auxiliary)]);
  const size = sizeOf(range);
  const last = allocation.last === undefined ? undefined : parseAddress(allocation.last);
  const start = last !== undefined && contains(range, last) ? last - range.base + 1 : 0;
  for (let offset = 0; offset < size; offset++) {
    const address = range.base + ((start + offset) % size);
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
  const text = formatAddress(checkInside(subnet, wanted, `address for network ${allocation.networkName}:`));
  if (text === allocation.pool.gateway)
    throw new TscError('network/conflict', `address ${text} is the gateway of network ${allocation.networkName}`);
  if (allocation.taken.has(text))
    throw new TscError('network/conflict', `address ${text} is already used on network ${allocation.networkName}`);
  return text;
}

/** The hardware address that belongs to an IPv4 address: stable, so neighbours' caches stay true. */
export function macOf(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['02', '42', ...octets].join(':');
}

/** Checks and normalises a hardware address. Throws network/invalid. */
export function parseMac(text: string): string {
  if (!/^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/.test(text))
    throw invalid(`${JSON.stringify(text)} is not a MAC address`);
  const mac = text.toLowerCase().replaceAll('-', ':');
  if (Number.parseInt(mac.slice(0, 2), 16) % 2 === 1) throw invalid(`MAC address ${mac} is a multicast address`);
  return mac;
}
