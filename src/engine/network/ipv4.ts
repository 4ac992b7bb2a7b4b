import { TscError } from '../../core/index.ts';

/** An IPv4 subnet as numbers; `base` has its host bits clear. */
export interface Subnet {
  readonly base: number;
  readonly prefix: number;
}

const ADDRESS = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** Address as a number, or undefined when the text is none. Octets with leading zeros are refused (octal elsewhere). */
export function parseAddress(text: string): number | undefined {
  const match = ADDRESS.exec(text);
  if (!match) return undefined;
  let value = 0;
  for (const octet of match.slice(1)) {
    if (Number(octet) > 255 || (octet.length > 1 && octet.startsWith('0'))) return undefined;
    value = value * 256 + Number(octet);
  }
  return value;
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

export function sizeOf(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefix);
}

/** The subnet an address with prefix length lies in, or undefined when the text is not CIDR. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address = '', length = '', ...rest] = text.split('/');
  const value = parseAddress(address);
  if (value === undefined || rest.length > 0 || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined;
  const prefix = Number(length);
  const size = 2 ** (32 - prefix);
  return { base: Math.floor(value / size) * size, prefix };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet.base)}/${subnet.prefix}`;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

export function contains(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address < subnet.base + sizeOf(subnet);
}

/** Subnet of a record we wrote ourselves. */
export function knownSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) throw new TscError('network/corrupt', `recorded subnet ${JSON.stringify(text)} is not CIDR`);
  return subnet;
}
