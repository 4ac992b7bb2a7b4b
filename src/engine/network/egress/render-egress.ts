import type { EgressRule } from './egress.ts';
import type { CheckedPort } from './render-senders.ts';

/** A container whose way out is limited, as the firewall sees it. All text is made by us from checked values (N13). */
export interface LimitedContainer {
  readonly containerId: string;
  readonly rules: readonly EgressRule[];
  readonly endpoints: readonly (CheckedPort & { readonly bridge: string })[];
}

/** Name of both tables: one of the inet family that judges, one of the bridge family that keeps senders honest. */
export function egressTable(instance: string): string {
  return `${instance}_egress`;
}

/** Prefix of a container's chain and sets; the keeper puts resolved addresses into `<prefix>_any4`, `_port4`, `_any6`, `_port6`. */
export function egressPrefix(containerId: string): string {
  return `c_${containerId.slice(0, 20)}`;
}

const SET_TYPES = {
  any4: 'ipv4_addr',
  port4: 'ipv4_addr . inet_service',
  any6: 'ipv6_addr',
  port6: 'ipv6_addr . inet_service',
} as const;

/**
 * The script that makes the inet table be this. It may run again and again: chains are written anew, sets stay with what the name
 * server's answers have put there. `gone` are prefixes of containers that are not limited any more.
 *
 * Replies pass, so do packets within one network; what a limited container sends elsewhere, to this host included, must be in its
 * list, or it is told that this is forbidden. The table stands before the instance's own and accepts nothing that one would drop.
 */
export function renderEgress(
  instance: string,
  containers: readonly LimitedContainer[],
  gone: readonly string[],
): string {
  const table = `inet ${egressTable(instance)}`;
  const bridges = [...new Set(containers.flatMap(({ endpoints }) => endpoints.map(({ bridge }) => bridge)))].sort();
  const senders = [4, 6].flatMap((family) => {
    const verdicts = containers.flatMap(({ containerId, endpoints }) =>
      endpoints.flatMap((endpoint) =>
        (family === 4 ? endpoint.addresses4 : endpoint.addresses6).map(
          (address) => `${address} . "${endpoint.bridge}" : goto ${egressPrefix(containerId)}`,
        ),
      ),
    );
    return verdicts.length > 0
      ? [`${family === 4 ? 'ip' : 'ip6'} saddr . iifname vmap { ${verdicts.join(', ')} }`]
      : [];
  });
  const chains: readonly (readonly [string, readonly string[]])[] = [
    ['refuse', ['counter reject with icmpx type admin-prohibited']],
    ...containers.map((container) => [egressPrefix(container.containerId), containerRules(container)] as const),
    [
      'passing',
      [
        'ct state established,related accept',
        ...bridges.map((bridge) => `iifname "${bridge}" oifname "${bridge}" accept`),
        ...senders,
      ],
    ],
    [
      'entering',
      [
        'ct state established,related accept',
        'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept',
        ...senders,
      ],
    ],
  ];
  const sets = containers.flatMap(({ containerId }) =>
    Object.entries(SET_TYPES).map(
      ([kind, type]) => `add set ${table} ${egressPrefix(containerId)}_${kind} { type ${type}; flags timeout; }`,
    ),
  );
  const lines = [
    `add table ${table}`,
    ...sets,
    ...chains.map(([name]) => `add chain ${table} ${name}${HOOKS[name] ?? ''}`),
    ...[...chains.map(([name]) => name), ...gone].map((name) => `flush chain ${table} ${name}`),
    ...chains.flatMap(([name, rules]) => rules.map((rule) => `add rule ${table} ${name} ${rule}`)),
    ...gone.flatMap((prefix) => [
      `delete chain ${table} ${prefix}`,
      ...Object.keys(SET_TYPES).map((kind) => `delete set ${table} ${prefix}_${kind}`),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

const HOOKS: Readonly<Record<string, string>> = {
  passing: ' { type filter hook forward priority filter - 1; policy accept; }',
  entering: ' { type filter hook input priority filter - 1; policy accept; }',
};

function containerRules({ containerId, rules }: LimitedContainer): readonly string[] {
  const prefix = egressPrefix(containerId);
  const subnets = rules.flatMap((rule) => {
    if (rule.kind !== 'subnet') return [];
    const port = rule.port === 0 ? '' : ` meta l4proto { tcp, udp } th dport ${rule.port}`;
    return [`${rule.family === 4 ? 'ip' : 'ip6'} daddr ${rule.subnet}${port} accept`];
  });
  return [
    ...subnets,
    `ip daddr @${prefix}_any4 accept`,
    `meta l4proto { tcp, udp } ip daddr . th dport @${prefix}_port4 accept`,
    `ip6 daddr @${prefix}_any6 accept`,
    `meta l4proto { tcp, udp } ip6 daddr . th dport @${prefix}_port6 accept`,
    'goto refuse',
  ];
}

/** Takes both tables away; absent ones are fine. */
export function renderEgressRemoval(instance: string): string {
  return ['inet', 'bridge']
    .map((family) => `table ${family} ${egressTable(instance)}\ndelete table ${family} ${egressTable(instance)}\n`)
    .join('');
}
