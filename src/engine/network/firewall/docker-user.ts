import { bridgePatterns } from './bridge-patterns.ts';
import { type GuestChain, type GuestTools, nftChain, type PassRule, settle } from './guest-chain.ts';
import { legacyChain } from './legacy-chain.ts';

/**
 * Docker sets the policy of its FORWARD chain to drop and leaves DOCKER-USER to others: without rules there, packets of our
 * bridges die in its table whatever ours says. There may be one such chain per family, and per kind of table: nftables, or the
 * legacy ones where Docker was started with them. A chain is only touched when it exists.
 */
function chains(tools: GuestTools): readonly GuestChain[] {
  return (['ip', 'ip6'] as const).flatMap((family) => [
    nftChain(tools, family, 'filter', 'DOCKER-USER'),
    legacyChain(tools, family),
  ]);
}

async function settleAll(tools: GuestTools, wanted: readonly PassRule[]): Promise<void> {
  await Promise.all(chains(tools).map((chain) => settle(chain, wanted)));
}

/** Lets our bridges through Docker's chains, where there are any. */
export function passDocker(tools: GuestTools, bridges: readonly string[]): Promise<void> {
  const names = bridgePatterns(tools.instance, bridges);
  return settleAll(
    tools,
    names.flatMap((name) => [
      { side: 'in', name },
      { side: 'out', name },
    ]),
  );
}

/** Removes our rules from Docker's chains, if any. */
export function unpassDocker(tools: GuestTools): Promise<void> {
  return settleAll(tools, []);
}
