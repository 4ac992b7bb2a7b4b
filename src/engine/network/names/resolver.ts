import { isIP } from 'node:net';
import { TscError } from '../../../core/index.ts';
import type { DnsSettings } from '../network.ts';

/** What a resolv.conf says. */
export interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Reads resolv.conf; the last `search` or `domain` line counts, as in libc. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  const options: string[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const [key, ...words] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (key === 'nameserver' && words[0]) servers.push(words[0]);
    else if (key === 'search' || key === 'domain') search = words.filter((word) => word !== '.');
    else if (key === 'options') options.push(...words);
  }
  return { servers, search, options };
}

/** A server questions are relayed to; `host`: asked from the host's namespace. */
export interface Upstream {
  readonly address: string;
  readonly host: boolean;
}

/** Where our own name server is for a container. */
const OWN_SERVER = '127.0.0.11';

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Where a sandbox's questions go: the container's own servers, or the host's; those on loopback only the host can reach. */
export function chooseUpstreams(dns: DnsSettings | undefined, host: ResolvConf): readonly Upstream[] {
  for (const server of dns?.servers ?? []) {
    if (isIP(server) === 0)
      throw new TscError('network/invalid', `name server ${JSON.stringify(server)} is not an IP address`);
  }
  // Asking ourselves would never end; of the host it is another engine's, around this host.
  const own = (dns?.servers ?? []).filter((server) => server !== OWN_SERVER);
  // A link-local server with a zone (`fe80::1%eth0`) cannot be asked without knowing the host's links.
  const servers = own.length > 0 ? own : host.servers.filter((server) => isIP(server) !== 0 && !server.includes('%'));
  return servers.map((address) => ({
    address,
    host: isIP(address) === 6 || (own.length === 0 && isLoopback(address)),
  }));
}

/** Throws `network/invalid` for what could not stand in a line of resolv.conf. */
export function checkDns({ search = [], options = [] }: DnsSettings): void {
  for (const text of [...search, ...options]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    if (/[\0-\x1f\x7f]/.test(text)) {
      const shown = JSON.stringify(text.slice(0, 100));
      throw new TscError('network/invalid', `DNS search domain or option ${shown} has a control character`);
    }
  }
}

/** Text of a container's /etc/resolv.conf in front of our name server. */
export function renderResolvConf(dns: DnsSettings | undefined, host: ResolvConf, ownNames: boolean): string {
  checkDns(dns ?? {});
  const search = dns?.search?.length ? dns.search.filter((domain) => domain !== '.') : host.search;
  const options = dns?.options?.length ? dns.options : ownNames ? host.options.filter(isPortable) : host.options;
  const servers = ownNames ? [OWN_SERVER] : dns?.servers?.length ? dns.servers : host.servers;
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  // Names of one label are ours to answer: they are asked as they are, before any search domain.
  const all = ownNames && !options.some((option) => option.startsWith('ndots:')) ? [...options, 'ndots:0'] : options;
  if (all.length > 0) lines.push(`options ${all.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** Options of the host that are about its own server are not the container's. */
function isPortable(option: string): boolean {
  return !/^(edns0|trust-ad|use-vc|inet6)$/.test(option) && !option.startsWith('ndots:');
}
