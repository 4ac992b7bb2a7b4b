import { EGRESS_EXAMPLES, type EgressEntry, parseEgressEntry, TscError } from '../../../core/index.ts';
import { type Family, formatSubnet, parseSubnet } from '../subnet.ts';

/** One thing a limited container may reach outside its networks; port 0: any port and protocol. */
export type EgressRule =
  | Extract<EgressEntry, { readonly kind: 'name' }>
  | { readonly kind: 'subnet'; readonly subnet: string; readonly family: Family; readonly port: number };

const ENTRIES_MAX = 256;

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
      hint: EGRESS_EXAMPLES,
    });
  if (value.length > ENTRIES_MAX)
    throw new TscError('network/invalid', `${value.length} egress entries, at most ${ENTRIES_MAX} are possible`);
  for (const entry of value) parseEgress(entry);
  return value;
}

/** One entry. Throws network/invalid. */
export function parseEgress(entry: string): EgressRule {
  const parsed = parseEgressEntry(entry);
  const subnet =
    typeof parsed !== 'string' && parsed.kind === 'subnet' && parseSubnet(`${parsed.address}/${parsed.prefix}`);
  if (subnet) return { kind: 'subnet', subnet: formatSubnet(subnet), family: subnet.family, port: parsed.port };
  if (typeof parsed !== 'string' && parsed.kind === 'name') return parsed;
  const why = typeof parsed === 'string' ? parsed : 'it is not a subnet';
  throw new TscError('network/invalid', `egress entry ${JSON.stringify(entry.slice(0, 300))}: ${why}`, {
    hint: EGRESS_EXAMPLES,
  });
}
