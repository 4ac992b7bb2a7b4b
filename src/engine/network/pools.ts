import { createHash } from 'node:crypto';
import { TscError } from '../../core/index.ts';
import type { Pool, PoolSpec } from './network.ts';
import {
  type Address,
  addressAt,
  contains,
  type Family,
  formatAddress,
  formatSubnet,
  knownSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
  sizeOf,
} from './subnet.ts';

/** A subnet somebody uses already, with words for whom. */
export interface UsedSubnet {
  readonly subnet: Subnet;
  readonly owner: string;
  /** A host interface's own subnet or a network of ours: any overlap is refused. Otherwise only what lies inside the new subnet. */
  readonly exact: boolean;
}

/** Who chooses: different instances and hosts begin at different places. */
export interface PoolSeed {
  readonly instance: string;
  /** What tells this host from others; never shown. */
  readonly host: string;
  /** Pools the daemon was given; a family without one has its default. */
  readonly pools: readonly AddressPool[];
}

/** A range that subnets of one size are chosen from. */
export interface AddressPool {
  /** CIDR, of either family. */
  readonly base: string;
  /** Prefix length of each subnet. */
  readonly size: number;
}

/**
 * Where IPv4 subnets are chosen from unless told: clear of the first subnets other engines take by themselves (172.17.0.0/16 by
 * Docker, 10.88.0.0/15 by podman). What they really use is found in the routes.
 */
export const DEFAULT_POOLS: readonly AddressPool[] = [
  { base: '172.20.0.0/14', size: 24 },
  { base: '172.24.0.0/13', size: 24 },
  { base: '192.168.128.0/17', size: 24 },
  { base: '10.200.0.0/16', size: 24 },
];

/** Prefix length of a chosen IPv6 subnet of the instance's own prefix. */
const OWN_SIZE6 = 64;

/**
 * Routes up to this length say where packets go and not that the addresses are taken: halves of the default route that a VPN
 * sets. Those up to the second length are shadowed when nothing else is left: many a VPN claims every private address.
 */
const WIDE_ROUTES = { 4: [7, 16], 6: [7, 48] } as const;

function exhausted(family: Family, pools: readonly AddressPool[]): TscError {
  const list = pools.map(({ base, size }) => `${base} (/${size} each)`).join(', ');
  return new TscError(
    'network/exhausted',
    `no free IPv${family} subnet is left for a network: all of ${list} is in use by networks or routes of this host`,
    { hint: 'remove unused networks (network prune), give a subnet, or give tscomposed a --default-address-pool' },
  );
}

function poolOf(subnet: Subnet): Pool {
  return { subnet: formatSubnet(subnet), gateway: formatAddress(addressAt(subnet, 1n)), auxiliary: {} };
}

/** Part of a pool, from its subnet number `first` on. */
interface Stretch {
  readonly range: Subnet;
  readonly size: number;
  readonly first: bigint;
}

function countOf({ range, size }: Omit<Stretch, 'first'>): bigint {
  return 1n << BigInt(size - range.prefix);
}

/** The first subnet of the stretch that nobody uses; `used` by rising address. Whatever is in the way is passed in one step. */
function freeIn({ range, size, first }: Stretch, used: readonly UsedSubnet[]): Subnet | undefined {
  const step = sizeOf(range) / countOf({ range, size });
  let base = range.base + first * step;
  for (const { subnet } of used) {
    if (subnet.family !== range.family || subnet.base + sizeOf(subnet) <= base) continue;
    if (subnet.base >= base + step) break;
    const behind = subnet.base + sizeOf(subnet) - range.base;
    base = range.base + ((behind + step - 1n) / step) * step;
  }
  return base < range.base + sizeOf(range) ? { family: range.family, base, prefix: size } : undefined;
}

/**
 * The pools in the order they are searched. The usual instance begins at the first subnet; others elsewhere, as two that start
 * at once cannot see each other's choice.
 */
function stretches(pools: readonly AddressPool[], instance: string): readonly Stretch[] {
  const all = pools.map(({ base, size }) => ({ range: knownSubnet(base), size, first: 0n }));
  if (instance === 'tsc') return all;
  let hash = 0;
  for (const character of instance) hash = (hash * 31 + character.charCodeAt(0)) % 1_000_003;
  let first = BigInt(hash) % all.reduce((sum, stretch) => sum + countOf(stretch), 0n);
  const start = all.findIndex((stretch) => {
    if (first < countOf(stretch)) return true;
    first -= countOf(stretch);
    return false;
  });
  return [...all.slice(start).map((stretch, index) => (index === 0 ? { ...stretch, first } : stretch)), ...all];
}

function choose(family: Family, pools: readonly AddressPool[], used: readonly UsedSubnet[], instance: string): Pool {
  const order = stretches(pools, instance);
  for (const wide of WIDE_ROUTES[family]) {
    const counted = used
      .filter((other) => other.exact || other.subnet.prefix > wide)
      .toSorted((a, b) => (a.subnet.base < b.subnet.base ? -1 : 1));
    for (const stretch of order) {
      const free = freeIn(stretch, counted);
      if (free) return poolOf(free);
    }
  }
  throw exhausted(family, pools);
}

function ofFamily(pools: readonly AddressPool[], family: Family): readonly AddressPool[] {
  return pools.filter(({ base }) => base.includes(':') === (family === 6));
}

/** A free IPv4 subnet. Throws network/exhausted. */
export function choosePool(used: readonly UsedSubnet[], seed: PoolSeed): Pool {
  const own = ofFamily(seed.pools, 4);
  return choose(4, own.length > 0 ? own : DEFAULT_POOLS, used, seed.instance);
}

/** The prefix of 48 bits (RFC 4193) that an instance on a host always has: its networks look alike after a reinstallation. */
export function localPrefix(seed: PoolSeed): Subnet {
  const digest = createHash('sha256').update(`tscompose ipv6\n${seed.host}\n${seed.instance}`).digest('hex');
  return { family: 6, base: BigInt(`0xfd${digest.slice(0, 10)}`) << 80n, prefix: 48 };
}

/** A free IPv6 subnet, of the instance's own prefix unless pools were given. Throws network/exhausted. */
export function choosePool6(used: readonly UsedSubnet[], seed: PoolSeed): Pool {
  const given = ofFamily(seed.pools, 6);
  if (given.length > 0) return choose(6, given, used, seed.instance);
  // The prefix is the instance's own: no other begins in it.
  return choose(6, [{ base: formatSubnet(localPrefix(seed)), size: OWN_SIZE6 }], used, 'tsc');
}

/** Checks pools a daemon was given. Throws network/invalid. */
export function checkAddressPools(pools: readonly AddressPool[]): void {
  pools.forEach(({ base, size }, index) => {
    const subnet = readSubnet(base);
    // What is chosen has room for a gateway and a container.
    const longest = subnet.family === 4 ? 30 : PREFIXES[6][1];
    if (!Number.isInteger(size) || size < subnet.prefix || size > longest)
      throw invalid(`address pool ${base}: size ${size} is not from ${subnet.prefix} to ${longest}`);
    const other = pools.slice(0, index).find((before) => overlaps(knownSubnet(before.base), subnet));
    if (other) throw invalid(`address pools ${other.base} and ${base} overlap`);
  });
}

/** Shortest and longest prefix a caller may ask for. */
const PREFIXES = { 4: [8, 32], 6: [16, 126] } as const;

/** Ranges that are no place for a network: multicast, loopback, link-local, mapped IPv4. */
const IPV6_SPECIAL = ['ff00::/8', 'fe80::/10', '::/8'];

function invalid(message: string): TscError {
  return new TscError('network/invalid', message);
}

/** IPv4 subnets of one address, or of the two ends of a link (RFC 3021): all of them are those of hosts. */
function isPointToPoint({ family, prefix }: Subnet): boolean {
  return family === 4 && prefix >= 31;
}

/** Not the network's own address and, over IPv4, not its broadcast address. */
export function isUsable(subnet: Subnet, address: Address): boolean {
  if (isPointToPoint(subnet)) return contains(subnet, address);
  if (!contains(subnet, address) || address.value === subnet.base) return false;
  return subnet.family === 6 || address.value !== subnet.base + sizeOf(subnet) - 1n;
}

/** The address in `text`, which has to be one of a host in the subnet. Throws network/invalid. */
export function hostAddress(subnet: Subnet, text: string, what: string): Address {
  const address = parseAddress(text);
  if (address?.family !== subnet.family)
    throw invalid(`${what} ${JSON.stringify(text)} is not an IPv${subnet.family} address`);
  if (!isUsable(subnet, address)) throw invalid(`${what} ${text} is not a host address of ${formatSubnet(subnet)}`);
  return address;
}

/** A block is written by its first address: another one is mostly a slip. */
function checkBase(block: Subnet, text: string, what: string): void {
  if (parseAddress(text.split('/')[0] ?? '')?.value !== block.base)
    throw invalid(`${what} ${text} does not begin at its first address: it should be ${formatSubnet(block)}`);
}

function readSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) throw invalid(`subnet ${JSON.stringify(text)} is not CIDR (example: 172.28.0.0/16)`);
  const [shortest, longest] = PREFIXES[subnet.family];
  if (subnet.prefix > longest || subnet.prefix < shortest)
    throw invalid(`subnet ${text} must have a prefix length from ${shortest} to ${longest}`);
  const special = IPV6_SPECIAL.find((range) => overlaps(knownSubnet(range), subnet));
  if (special) throw invalid(`subnet ${text} lies in ${special}, which is not for networks`);
  checkBase(subnet, text, 'subnet');
  return subnet;
}

/** Whether a new network there would take addresses from somebody. */
export function conflictsWith(subnet: Subnet, other: UsedSubnet): boolean {
  if (!overlaps(subnet, other.subnet)) return false;
  return other.exact || other.subnet.prefix >= subnet.prefix;
}

/** Family of a pool as the caller wrote it; one without a subnet is IPv4. */
export function familyOf(spec: PoolSpec): Family {
  return [spec.subnet, spec.gateway, spec.ipRange].some((text) => text?.includes(':')) ? 6 : 4;
}

/** The pool a caller asked for, completed and checked. Throws network/invalid, network/conflict. */
export function readPool(spec: PoolSpec, used: readonly UsedSubnet[], seed: PoolSeed): Pool {
  if (spec.subnet === undefined || spec.subnet === '') {
    if (spec.gateway || spec.ipRange) throw invalid('a gateway or an address range needs a subnet');
    return choosePool(used, seed);
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
  const gateway = spec.gateway
    ? hostAddress(subnet, spec.gateway, 'gateway')
    : addressAt(subnet, isPointToPoint(subnet) ? 0n : 1n);
  const auxiliary = Object.fromEntries(
    Object.entries(spec.auxiliary ?? {}).map(([name, text]) => {
      const address = hostAddress(subnet, text, `auxiliary address ${name}`);
      if (address.value === gateway.value) throw invalid(`auxiliary address ${name} ${text} is the gateway`);
      return [name, formatAddress(address)];
    }),
  );
  const pool = { subnet: formatSubnet(subnet), gateway: formatAddress(gateway), auxiliary };
  return spec.ipRange ? { ...pool, ipRange: readRange(subnet, spec.ipRange) } : pool;
}

function readRange(subnet: Subnet, text: string): string {
  const range = parseSubnet(text);
  if (!range || range.prefix < subnet.prefix || !contains(subnet, addressAt(range, 0n)))
    throw invalid(`address range ${JSON.stringify(text)} is not part of subnet ${formatSubnet(subnet)}`);
  checkBase(range, text, 'address range');
  return formatSubnet(range);
}
