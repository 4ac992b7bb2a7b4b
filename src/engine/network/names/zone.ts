import { shortId } from '../../../core/index.ts';

/** A container as a zone sees it. */
export interface ZoneMember {
  readonly containerId: string;
  readonly containerName: string;
  readonly aliases: readonly string[];
  /** Of both families. */
  readonly addresses: readonly string[];
}

/**
 * The names of one network: container name first (reverse questions answer the first name of an address), then aliases and
 * short id, each also with the network's name behind a dot. A name several containers share answers with all of them.
 */
export function buildZone(networkName: string, members: readonly ZoneMember[]): Record<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  const add = (name: string, address: string): void => {
    const key = name.toLowerCase().replace(/\.$/, '');
    if (key === '' || key.length > 253) return;
    const addresses = hosts.get(key) ?? [];
    if (!addresses.includes(address)) addresses.push(address);
    hosts.set(key, addresses);
  };
  for (const member of members) {
    const addAll = (name: string): void => {
      for (const address of member.addresses) add(name, address);
    };
    const names = [member.containerName, ...member.aliases, shortId(member.containerId)];
    // Docker answers reverse questions with the name inside the network.
    addAll(`${member.containerName}.${networkName}`);
    for (const name of names) addAll(name);
    for (const name of names) addAll(`${name}.${networkName}`);
  }
  return Object.fromEntries(hosts);
}
