import type { KeeperPort } from '../keeper-port.ts';

/**
 * Docker sets the policy of its FORWARD chain to drop and leaves DOCKER-USER to others: without rules there, packets of our
 * bridges die in its table whatever ours says; with IPv6 on, in its other table too. The chain is only touched when it exists; our rules carry our tag.
 */
const FAMILIES = ['ip', 'ip6'] as const;
type Family = (typeof FAMILIES)[number];

function chainOf(family: Family): readonly string[] {
  return [family, 'filter', 'DOCKER-USER'];
}

function tag(instance: string): string {
  return `tscompose:${instance}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Handles of our rules in `nft -j list chain` output. Pure. */
export function taggedHandles(json: string, instance: string): readonly number[] {
  const parsed: unknown = JSON.parse(json);
  const items = isRecord(parsed) && Array.isArray(parsed['nftables']) ? parsed['nftables'] : [];
  return items.flatMap((item: unknown) => {
    const rule = isRecord(item) ? item['rule'] : undefined;
    return isRecord(rule) && rule['comment'] === tag(instance) && typeof rule['handle'] === 'number'
      ? [rule['handle']]
      : [];
  });
}

/** The rules: what comes from or goes to our bridges is judged by our own table alone. */
export function renderJump(instance: string, family: Family): string {
  const chain = chainOf(family).join(' ');
  return ['iifname', 'oifname']
    .map((side) => `insert rule ${chain} ${side} "${instance}-*" accept comment "${tag(instance)}"\n`)
    .join('');
}

interface Nft {
  readonly keeper: KeeperPort;
  readonly nft: string;
  readonly instance: string;
}

async function handles({ keeper, nft, instance }: Nft, family: Family): Promise<readonly number[] | undefined> {
  const result = await keeper.run({ file: nft, args: ['-j', '-a', 'list', 'chain', ...chainOf(family)] });
  return result.status === 0 ? taggedHandles(result.stdout, instance) : undefined;
}

/** Adds our rules where Docker's chain exists and they are not there. */
export async function passDocker(tools: Nft): Promise<void> {
  await Promise.all(
    FAMILIES.map(async (family) => {
      const present = await handles(tools, family);
      if (present === undefined || present.length > 0) return;
      await tools.keeper.run({ file: tools.nft, args: ['-f', '-'], stdin: renderJump(tools.instance, family) });
    }),
  );
}

/** Removes our rules from Docker's chains, if any. */
export async function unpassDocker(tools: Nft): Promise<void> {
  for (const family of FAMILIES) {
    const present = (await handles(tools, family)) ?? [];
    if (present.length === 0) continue;
    const chain = chainOf(family).join(' ');
    const script = present.map((handle) => `delete rule ${chain} handle ${handle}\n`).join('');
    await tools.keeper.run({ file: tools.nft, args: ['-f', '-'], stdin: script });
  }
}
