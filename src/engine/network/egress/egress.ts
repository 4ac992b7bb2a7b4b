import { TscError } from '../../../core/index.ts';
import { type Family, formatSubnet, parseAddress, parseSubnet } from '../subnet.ts';

/** One thing a limited container may reach outside its networks. */
export type EgressRule =
  | {
      readonly kind: 'name';
      /** Lower case, no dot at the end. */
      readonly name: string;
      /** Every name below it (`*.example.org`), not itself. */
      readonly below: boolean;
      /** 0: any port and protocol; else TCP and UDP. */
      readonly port: number;
    }
  | { readonly kind: 'subnet'; readonly subnet: string; readonly family: Family; readonly port: number };

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const ENTRIES_MAX = 256;
const EXAMPLES = 'examples: api.example.com:443, *.debian.org, 10.0.0.0/8, [2001:db8::]/32:443';

/** Reads a list as a container's label gives it: a JSON list of texts. Throws network/invalid. */
export function parseEgressLabel(text: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw new TscError('network/invalid', 'the egress list of a container is not a JSON list of texts', {
      hint: EXAMPLES,
    });
  if (value.length > ENTRIES_MAX)
    throw new TscError('network/invalid', `${value.length} egress entries, at most ${ENTRIES_MAX} are possible`);
  for (const entry of value) parseEgress(entry);
  return value;
}

/** One entry: `name`, `*.name`, `address`, `subnet`, each with `:port` if only that port is meant. Throws network/invalid. */
export function parseEgress(entry: string): EgressRule {
  const { host, port } = splitPort(entry);
  const bare = host.replace(/^\[(.*?)\]/, '$1');
  const address = parseAddress(bare.split('/')[0] ?? '');
  if (address) {
    const subnet = parseSubnet(bare.includes('/') ? bare : `${bare}/${address.family === 4 ? 32 : 128}`);
    if (!subnet) throw invalid(entry, 'it is not a subnet');
    return { kind: 'subnet', subnet: formatSubnet(subnet), family: subnet.family, port };
  }
  const below = host.startsWith('*.');
  const name = (below ? host.slice(2) : host).toLowerCase().replace(/\.$/, '');
  if (name.length > 253 || !name.split('.').every((label) => LABEL.test(label)) || /^[\d.]+$/.test(name))
    throw invalid(entry, 'it is neither a name nor an address');
  return { kind: 'name', name, below, port };
}

/** An IPv6 address needs brackets to carry a port; one without brackets has none. */
function splitPort(entry: string): { readonly host: string; readonly port: number } {
  const colons = entry.split(':').length - 1;
  const match = colons === 1 || entry.startsWith('[') ? /^(.*):(\d{1,5})$/.exec(entry) : null;
  if (!match) return { host: entry, port: 0 };
  const port = Number(match[2]);
  if (port < 1 || port > 65535) throw invalid(entry, `${match[2]} is no port`);
  return { host: match[1] ?? '', port };
}

function invalid(entry: string, why: string): TscError {
  return new TscError('network/invalid', `egress entry ${JSON.stringify(entry.slice(0, 300))}: ${why}`, {
    hint: EXAMPLES,
  });
}
