import type { KeeperPort } from '../keeper-port.ts';

/** What is asked of the kernel about ufw. */
interface Look {
  readonly keeper: KeeperPort;
  readonly nft: string;
  readonly instance: string;
}

/**
 * ufw drops what is forwarded unless a rule of the administrator's allows it, and its rules are not ours to write. The line to
 * type, where it stands in the way; undefined where it does not run, or lets our bridges through already.
 */
export async function adviseUfw({ keeper, nft, instance }: Look): Promise<string | undefined> {
  const list = (chain: string) => keeper.run({ file: nft, args: ['list', 'chain', 'ip', 'filter', chain] });
  const [own, forward] = await Promise.all([list('ufw-user-forward'), list('FORWARD')]);
  if (own.status !== 0 || forward.status !== 0 || !forward.stdout.includes('policy drop')) return undefined;
  const isAllowed = (side: string) => own.stdout.includes(`${side} "${instance}-*"`);
  if (isAllowed('iifname') && isAllowed('oifname')) return undefined;
  const bridges = `${instance}-+`;
  return `ufw drops what containers send and published ports receive; allow it with: ufw route allow in on ${bridges} && ufw route allow out on ${bridges}`;
}
