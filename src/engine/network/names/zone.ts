import { shortId } from '../../../core/index.ts';
import type { Readiness } from '../network.ts';

/** A container as a zone sees it. */
export interface ZoneMember {
  readonly containerId: string;
  readonly containerName: string;
  readonly aliases: readonly string[];
  /** Of both families. */
  readonly addresses: readonly string[];
  readonly readiness: Readiness;
}

const BEST_FIRST: readonly Readiness[] = ['ready', 'starting', 'unhealthy'];

/** Those a name leads to: the ready ones; while there is none those that start; else all, as one may answer all the same. */
function best(members: ReadonlySet<ZoneMember>): readonly ZoneMember[] {
  const all = [...members];
  const level = BEST_FIRST.find((readiness) => all.some((member) => member.readiness === readiness));
  return all.filter((member) => member.readiness === level);
}

/**
 * The names of one network: container name first (reverse questions answer the first name of an address), then aliases and
 * short id, each also with the network's name behind a dot. A name several containers share answers with the best of them.
 */
export function buildZone(networkName: string, members: readonly ZoneMember[]): Record<string, readonly string[]> {
  const holders = new Map<string, Set<ZoneMember>>();
  const add = (name: string, member: ZoneMember): void => {
    const key = name.toLowerCase().replace(/\.$/, '');
    if (key === '' || key.length > 253) return;
    const found = holders.get(key) ?? new Set();
    holders.set(key, found.add(member));
  };
  for (const member of members) {
    const names = [member.containerName, ...member.aliases, shortId(member.containerId)];
    // Docker answers reverse questions with the name inside the network.
    add(`${member.containerName}.${networkName}`, member);
    for (const name of names) add(name, member);
    for (const name of names) add(`${name}.${networkName}`, member);
  }
  return Object.fromEntries(
    [...holders].map(([name, held]) => [name, [...new Set(best(held).flatMap(({ addresses }) => addresses))]]),
  );
}
