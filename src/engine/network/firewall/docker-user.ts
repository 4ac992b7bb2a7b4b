import type { KeeperPort } from '../keeper-port.ts';

/**
 * Docker sets the policy of its FORWARD chain to drop and leaves DOCKER-USER to others: without rules there, packets of our
 * bridges die in its table whatever ours says. The chain is only touched when it exists; our rules carry our tag.
 */
const CHAIN = ['ip', 'filter', 'DOCKER-USER'] as const;

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
export function renderJump(instance: string): string {
  const chain = CHAIN.join(' ');
  return ['iifname', 'oifname']
    .map((side) => `insert rule ${chain} ${side} "${instance}-*" accept comment "${tag(instance)}"\n`)
    .join('');
}

async function handles(keeper: KeeperPort, nft: string, instance: string): Promise<readonly number[] | undefined> {
  const result = await keeper.run({ file: nft, args: ['-j', '-a', 'list', 'chain', ...CHAIN] });
  return result.status === 0 ? taggedHandles(result.stdout, instance) : undefined;
}

/** Adds our rules when Docker's chain exists and they are not there. Returns whether they are there now. */
export async function passDocker(keeper: KeeperPort, nft: string, instance: string): Promise<boolean> {
  const present = await handles(keeper, nft, instance);
  if (present === undefined) return false;
  if (present.length > 0) return true;
  const result = await keeper.run({ file: nft, args: ['-f', '-'], stdin: renderJump(instance) });
  return result.status === 0;
}

/** Removes our rules from Docker's chain, if any. */
export async function unpassDocker(keeper: KeeperPort, nft: string, instance: string): Promise<void> {
  const present = await handles(keeper, nft, instance);
  if (!present || present.length === 0) return;
  const script = present.map((handle) => `delete rule ${CHAIN.join(' ')} handle ${handle}\n`).join('');
  await keeper.run({ file: nft, args: ['-f', '-'], stdin: script });
}
