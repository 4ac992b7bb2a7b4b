import type { KeeperPort } from '../keeper-port.ts';
import { bridgePatterns } from './bridge-patterns.ts';

/**
 * firewalld rejects what is forwarded from interfaces of no zone, whatever our table says. Our bridges are bound to its zone
 * `trusted`, by one name that stands for all of them; a reload of firewalld forgets that. Only its nftables backend is seen.
 */
interface Firewalld {
  readonly keeper: KeeperPort;
  readonly nft: string;
  readonly firewallCmd: string;
  readonly instance: string;
}

/** What nft lists of its table; undefined when it does not run. */
async function listTable({ keeper, nft }: Firewalld): Promise<string | undefined> {
  const result = await keeper.run({ file: nft, args: ['-t', 'list', 'table', 'inet', 'firewalld'] });
  return result.status === 0 ? result.stdout : undefined;
}

function isBound(listing: string, name: string): boolean {
  return listing.includes(`iifname "${name.replace(/\+$/, '*')}" goto filter_IN_trusted`);
}

/** Binds what is not bound yet, where firewalld runs. Its own refusal is left to it: the interface may be in another zone by hand. */
export async function passFirewalld(tools: Firewalld, bridges: readonly string[]): Promise<void> {
  const listing = await listTable(tools);
  if (listing === undefined) return;
  for (const name of bridgePatterns(tools.instance, bridges)) {
    if (isBound(listing, name)) continue;
    await tools.keeper.run({ file: tools.firewallCmd, args: ['--zone=trusted', `--add-interface=${name}`] });
  }
}

/** The inverse. */
export async function unpassFirewalld(tools: Firewalld, bridges: readonly string[]): Promise<void> {
  const listing = await listTable(tools);
  if (listing === undefined) return;
  for (const name of bridgePatterns(tools.instance, bridges)) {
    if (!isBound(listing, name)) continue;
    await tools.keeper.run({ file: tools.firewallCmd, args: ['--zone=trusted', `--remove-interface=${name}`] });
  }
}
