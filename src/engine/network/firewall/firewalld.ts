import { bridgePatterns } from './bridge-patterns.ts';
import { compareRules, type GuestChain, type GuestTools, nftChain, type PassRule, settle } from './guest-chain.ts';

/**
 * firewalld rejects what is forwarded from interfaces of no zone, whatever our table says. Our bridges are bound to its zone
 * `trusted`, by one name that stands for all of them; a reload of firewalld forgets that. Only its nftables backend is seen.
 *
 * What it forwards is judged by the zone it comes from, though, translated addresses apart: where containers are reached at their
 * own, a rule of ours in its chain leaves the judgement to our table.
 */
interface Firewalld extends GuestTools {
  readonly firewallCmd: string;
}

/** The policy that the advice makes; firewalld allows 18 characters. */
const POLICY = 'tscompose-routed';

function forwardChain(tools: GuestTools): GuestChain {
  return nftChain(tools, 'inet', 'firewalld', 'filter_FORWARD');
}

function outRules(bridges: readonly string[]): readonly PassRule[] {
  return bridges.map((name) => ({ side: 'out', name }));
}

/** What nft lists of its table; undefined when it does not run. */
async function listTable({ keeper, nft }: GuestTools): Promise<string | undefined> {
  const result = await keeper.run({ file: nft, args: ['-t', 'list', 'table', 'inet', 'firewalld'] });
  return result.status === 0 ? result.stdout : undefined;
}

function isBound(listing: string, name: string): boolean {
  return listing.includes(`iifname "${name.replace(/\+$/, '*')}" goto filter_IN_trusted`);
}

/**
 * Binds what is not bound yet, where firewalld runs. Its own refusal is left to it: the interface may be in another zone by hand.
 * `routed` are the bridges whose containers are reached at their own addresses.
 */
export async function passFirewalld(
  tools: Firewalld,
  bridges: readonly string[],
  routed: readonly string[],
): Promise<void> {
  const listing = await listTable(tools);
  if (listing === undefined) return;
  for (const name of bridgePatterns(tools.instance, bridges)) {
    if (isBound(listing, name)) continue;
    await tools.keeper.run({ file: tools.firewallCmd, args: ['--zone=trusted', `--add-interface=${name}`] });
  }
  await settle(forwardChain(tools), outRules(routed));
}

/** The inverse. */
export async function unpassFirewalld(tools: Firewalld, bridges: readonly string[]): Promise<void> {
  const listing = await listTable(tools);
  if (listing === undefined) return;
  for (const name of bridgePatterns(tools.instance, bridges)) {
    if (!isBound(listing, name)) continue;
    await tools.keeper.run({ file: tools.firewallCmd, args: ['--zone=trusted', `--remove-interface=${name}`] });
  }
  await settle(forwardChain(tools), []);
}

/** Since version 2.1 firewalld may own its table, and keep others out: then the lines to type, while they are needed. */
export async function adviseFirewalld(tools: GuestTools, routed: readonly string[]): Promise<string | undefined> {
  const found = routed.length > 0 ? await forwardChain(tools).list() : undefined;
  if (found === undefined || compareRules(found, outRules(routed)).add.length === 0) return undefined;
  if ((await listTable(tools))?.includes(POLICY)) return undefined;
  const command = 'firewall-cmd --permanent';
  return `firewalld rejects what is sent to containers' own addresses (gateway modes routed and nat-unprotected, trusted interfaces); allow it with: ${command} --new-policy ${POLICY} && ${command} --policy ${POLICY} --set-target ACCEPT && ${command} --policy ${POLICY} --add-ingress-zone ANY && ${command} --policy ${POLICY} --add-egress-zone trusted && firewall-cmd --reload`;
}
