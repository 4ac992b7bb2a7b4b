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
}

/**
 * Where IPv4 pools are chosen from: /24 each, clear of the first subnets other engines take by themselves (172.17.0.0/16 by
 * Docker, 10.88.0.0/15 by podman). What they really use is found in the routes.
 */
const RANGES = ['172.20.0.0/14', '172.24.0.0/13', '192.168.128.0/17', '10.200.0.0/16'];
const CHOSEN_PREFIX = 24;
const STEP = 2n ** BigInt(32 - CHOSEN_PREFIX);
/** Networks of an instance below its IPv6 prefix of 48 bits. */
const IPV6_NETWORKS = 65536n;

let known: readonly Subnet[] | undefined;

function candidates(): readonly Subnet[] {
  known ??= RANGES.map(knownSubnet).flatMap((range) =>
    Array.from({ length: Number(sizeOf(range) / STEP) }, (_, index) => ({
      family: 4 as const,
      base: range.base + BigInt(index) * STEP,
      prefix: CHOSEN_PREFIX,
    })),
  );
  return known;
}

/** The usual instance begins at the first candidate; others elsewhere, as two that start at once cannot see each other's choice. */
function firstCandidate(instance: string, count: number): number {
  if (instance === 'tsc') return 0;
  let hash = 0;
  for (const character of instance) hash = (hash * 31 + character.charCodeAt(0)) % 1_000_003;
  return hash % count;
}

function exhausted(): TscError {
  return new TscError('network/exhausted', 'no free subnet is left for a network', {
    hint: 'remove unused networks (network prune) or give a subnet',
  });
}

function isFree(used: readonly UsedSubnet[], subnet: Subnet): boolean {
  return !used.some((other) => overlaps(other.subnet, subnet));
}

function poolOf(subnet: Subnet): Pool {
  return { subnet: formatSubnet(subnet), gateway: formatAddress(addressAt(subnet, 1n)), auxiliary: {} };
}

/** A free /24. Throws network/exhausted. */
export function choosePool(used: readonly UsedSubnet[], seed: PoolSeed): Pool {
  const all = candidates();
  const first = firstCandidate(seed.instance, all.length);
  const free = [...all.slice(first), ...all.slice(0, first)].find((subnet) => isFree(used, subnet));
  if (!free) throw exhausted();
  return poolOf(free);
}

/** The prefix of 48 bits (RFC 4193) that an instance on a host always has: its networks look alike after a reinstallation. */
export function localPrefix(seed: PoolSeed): Subnet {
  const digest = createHash('sha256').update(`tscompose ipv6\n${seed.host}\n${seed.instance}`).digest('hex');
  return { family: 6, base: BigInt(`0xfd${digest.slice(0, 10)}`) << 80n, prefix: 48 };
}

/** A free /64 of the instance's own prefix. Throws network/exhausted. */
export function choosePool6(used: readonly UsedSubnet[], seed: PoolSeed): Pool {
  const prefix = localPrefix(seed);
  // A route to all of the prefix leaves nothing free, and none of the rest matters.
  const near = used.filter((other) => overlaps(other.subnet, prefix));
  for (let index = 0n; index < IPV6_NETWORKS; index++) {
    const subnet: Subnet = { family: 6, base: prefix.base + (index << 64n), prefix: 64 };
    const taken = near.find((other) => overlaps(other.subnet, subnet));
    if (!taken) return poolOf(subnet);
    if (taken.subnet.prefix <= prefix.prefix) break;
  }
  throw exhausted();
}

/** Shortest and longest prefix a caller may ask for. */
const PREFIXES = { 4: [8, 30], 6: [16, 126] } as const;

/** Ranges that are no place for a network: multicast, loopback, link-local, mapped IPv4. */
const IPV6_SPECIAL = ['ff00::/8', 'fe80::/10', '::/8'];

function invalid(message: string): TscError {
  return new TscError('network/invalid', message);
}

/** Not the network's own address and, over IPv4, not its broadcast address. */
export function isUsable(subnet: Subnet, address: Address): boolean {
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

function readSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) throw invalid(`subnet ${JSON.stringify(text)} is not CIDR (example: 172.28.0.0/16)`);
  const [shortest, longest] = PREFIXES[subnet.family];
  if (subnet.prefix > longest || subnet.prefix < shortest)
    throw invalid(`subnet ${text} must have a prefix length from ${shortest} to ${longest}`);
  const special = IPV6_SPECIAL.find((range) => overlaps(knownSubnet(range), subnet));
  if (special) throw invalid(`subnet ${text} lies in ${special}, which is not for networks`);
  return subnet;
}

function conflictsWith(subnet: Subnet, other: UsedSubnet): boolean {
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
  const gateway = spec.gateway ? hostAddress(subnet, spec.gateway, 'gateway') : addressAt(subnet, 1n);
  const auxiliary = Object.fromEntries(
    Object.entries(spec.auxiliary ?? {}).map(([name, text]) => [
      name,
      formatAddress(hostAddress(subnet, text, `auxiliary address ${name}`)),
    ]),
  );
  const pool = { subnet: formatSubnet(subnet), gateway: formatAddress(gateway), auxiliary };
  return spec.ipRange ? { ...pool, ipRange: readRange(subnet, spec.ipRange) } : pool;
}

function readRange(subnet: Subnet, text: string): string {
  const range = parseSubnet(text);
  if (!range || range.prefix < subnet.prefix || !contains(subnet, addressAt(range, 0n)))
    throw invalid(`address range ${JSON.stringify(text)} is not part of subnet ${formatSubnet(subnet)}`);
  return formatSubnet(range);
}
