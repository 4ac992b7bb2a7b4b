import { isIP } from 'node:net';

/** One thing a container may reach outside its networks; port 0: any port and protocol, else TCP and UDP. */
export type EgressEntry =
  | {
      readonly kind: 'name';
      /** Lower case, no dot at the end. */
      readonly name: string;
      /** Every name below it (`*.example.org`), not itself. */
      readonly below: boolean;
      readonly port: number;
    }
  | { readonly kind: 'subnet'; readonly address: string; readonly prefix: number; readonly port: number };

/** For hints. */
export const EGRESS_EXAMPLES = 'examples: api.example.com:443, *.debian.org, 10.0.0.0/8, [2001:db8::]/32:443';

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** `name`, `*.name`, `address` or `subnet`, each with `:port` when only that port is meant. A text says what is wrong. */
export function parseEgressEntry(entry: string): EgressEntry | string {
  // An IPv6 address needs brackets to carry a port; one without brackets has none.
  const single = entry.split(':').length === 2 || entry.startsWith('[');
  const [, head = entry, digits] = (single && /^(.*):(\d{1,5})$/.exec(entry)) || [];
  const port = Number(digits ?? 0);
  if (digits !== undefined && (port < 1 || port > 65535)) return `${digits} is no port`;
  return parseSubnet(head.replace(/^\[([^\]]*)\]/, '$1'), port) ?? parseName(head, port);
}

/** Undefined when it begins with no address. */
function parseSubnet(text: string, port: number): EgressEntry | string | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (address.includes('%') || rest.length > 0 || prefix < 0 || prefix > bits) return 'it is not a subnet';
  return { kind: 'subnet', address, prefix, port };
}

function parseName(text: string, port: number): EgressEntry | string {
  const below = text.startsWith('*.');
  const name = (below ? text.slice(2) : text).toLowerCase().replace(/\.$/, '');
  const fits = name.length <= 253 && !/^[\d.]+$/.test(name) && name.split('.').every((label) => LABEL.test(label));
  return fits ? { kind: 'name', name, below, port } : 'it is neither a name nor an address';
}
