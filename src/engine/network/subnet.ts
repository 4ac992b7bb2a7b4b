import { isIPv6 } from 'node:net';
import { TscError } from '../../core/index.ts';

export type Family = 4 | 6;

/** An address as a number. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A subnet as numbers; `base` has its host bits clear. */
export interface Subnet {
  readonly family: Family;
  readonly base: bigint;
  readonly prefix: number;
}

const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
const BITS = { 4: 32, 6: 128 } as const;

function parseIpv4(text: string): bigint | undefined {
  const match = IPV4.exec(text);
  if (!match) return undefined;
  let value = 0n;
  for (const octet of match.slice(1)) {
    // Octets with leading zeros are refused: elsewhere they are octal.
    if (Number(octet) > 255 || (octet.length > 1 && octet.startsWith('0'))) return undefined;
    value = value * 256n + BigInt(octet);
  }
  return value;
}

function groupsOf(text: string): readonly bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    const four = group.includes('.') ? parseIpv4(group) : undefined;
    return four === undefined ? [BigInt(`0x${group}`)] : [four / 65536n, four % 65536n];
  });
}

function parseIpv6(text: string): bigint | undefined {
  // A zone (`fe80::1%eth0`) belongs to one host's links.
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head = '', tail] = text.split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const gap = Array<bigint>(8 - before.length - after.length).fill(0n);
  return [...before, ...gap, ...after].reduce((value, group) => value * 65536n + group, 0n);
}

/** The address, or undefined when the text is none. */
export function parseAddress(text: string): Address | undefined {
  const family = text.includes(':') ? 6 : 4;
  const value = family === 6 ? parseIpv6(text) : parseIpv4(text);
  return value === undefined ? undefined : { family, value };
}

function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  ).join(':');
  // The longest run of zeroes, the first of equals, of two groups at least.
  const runs = [...groups.matchAll(/\b0(?::0)+\b/g)];
  const longest = runs.reduce((best, run) => (run[0].length > best.length ? run[0] : best), '');
  if (longest === '') return groups;
  const at = runs.find((run) => run[0] === longest)?.index ?? 0;
  const head = groups.slice(0, at).replace(/:$/, '');
  const tail = groups.slice(at + longest.length).replace(/^:/, '');
  return `${head}::${tail}`;
}

/** The one usual form of an address. */
export function formatAddress({ family, value }: Address): string {
  if (family === 6) return formatIpv6(value);
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
}

export function sizeOf(subnet: Subnet): bigint {
  return 1n << BigInt(BITS[subnet.family] - subnet.prefix);
}

/** The subnet an address with prefix length lies in, or undefined when the text is not CIDR. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address = '', length = '', ...rest] = text.split('/');
  const parsed = parseAddress(address);
  if (!parsed || rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > BITS[parsed.family]) return undefined;
  const subnet = { family: parsed.family, base: 0n, prefix: Number(length) };
  return { ...subnet, base: parsed.value - (parsed.value % sizeOf(subnet)) };
}

/** An address of a subnet by its number. */
export function addressAt(subnet: Subnet, offset: bigint): Address {
  return { family: subnet.family, value: subnet.base + offset };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(addressAt(subnet, 0n))}/${subnet.prefix}`;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.family === b.family && a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

export function contains(subnet: Subnet, address: Address): boolean {
  return (
    subnet.family === address.family && address.value >= subnet.base && address.value < subnet.base + sizeOf(subnet)
  );
}

/** Subnet of a record we wrote ourselves. */
export function knownSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) throw new TscError('network/corrupt', `recorded subnet ${JSON.stringify(text)} is not CIDR`);
  return subnet;
}
