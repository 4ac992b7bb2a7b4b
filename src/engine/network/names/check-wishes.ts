import { TscError } from '../../../core/index.ts';
import type { DnsSettings } from '../network.ts';
import { checkExtraHost } from './hosts.ts';
import { chooseUpstreams } from './resolver.ts';

const NO_HOST = { servers: [], search: [], options: [] };

/** What a container wants in its resolv.conf and hosts is told at create, not at its start. Throws network/invalid. */
export function checkNameWishes(dns: DnsSettings, extraHosts: readonly string[]): void {
  chooseUpstreams(dns, NO_HOST);
  const line = [...(dns.search ?? []), ...(dns.options ?? [])].find((text) => /[\r\n\0]/.test(text));
  if (line !== undefined)
    throw new TscError('network/invalid', `${JSON.stringify(line.slice(0, 80))} is no search domain or option of DNS`);
  for (const entry of extraHosts) checkExtraHost(entry);
}
