import { isIP } from 'node:net';
import { TscError } from '../../../core/index.ts';
import type { Endpoint, NameFilesSpec } from '../network.ts';
import { parseAddress } from '../subnet.ts';

const LOCAL_HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

function splitExtraHost(entry: string): readonly [string, string] {
  // Both `name:address` and `name=address` are written in compose files.
  const at = entry.search(/[:=]/);
  const name = entry.slice(0, at);
  const address = entry.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
  if (at <= 0 || /\s/.test(entry))
    throw new TscError('network/invalid', `extra host ${JSON.stringify(entry)} is not NAME:ADDRESS`);
  return [name, address];
}

function extraLines(entry: string, hostAddresses: readonly string[]): readonly string[] {
  const [name, address] = splitExtraHost(entry);
  if (address === 'host-gateway') return hostAddresses.map((each) => `${each}\t${name}`);
  if (isIP(address) === 0 || (isIP(address) === 4 && parseAddress(address) === undefined))
    throw new TscError('network/invalid', `extra host ${name}: ${JSON.stringify(address)} is not an IP address`);
  return [`${address}\t${name}`];
}

/** Throws network/invalid. */
export function checkExtraHost(entry: string): void {
  extraLines(entry, []);
}

/** The lines with which a container names itself: one for each of its addresses. */
export function ownHostLines(spec: NameFilesSpec, endpoints: readonly Endpoint[]): readonly string[] {
  const full = spec.domainname ? `${spec.hostname}.${spec.domainname}` : spec.hostname;
  const short = full.split('.')[0] ?? '';
  const names = short === full || short === '' ? full : `${full} ${short}`;
  return endpoints.flatMap(({ address, address6 }) =>
    [address, address6].flatMap((each) => (each ? `${each}\t${names}` : [])),
  );
}

/**
 * Text of a container's /etc/hosts: what every one has, what the user added, then itself. `hostAddresses`: the host as
 * this container reaches it; `base` replaces what every one has (host network: the host's own file).
 */
export function renderHosts(
  spec: NameFilesSpec,
  endpoints: readonly Endpoint[],
  hostAddresses: readonly string[],
  base = LOCAL_HOSTS,
): string {
  const extra = (spec.extraHosts ?? []).flatMap((entry) => extraLines(entry, hostAddresses));
  const lines = [...extra, ...ownHostLines(spec, endpoints)].map((line) => `${line}\n`);
  return `${base}${base === '' || base.endsWith('\n') ? '' : '\n'}${lines.join('')}`;
}

/** The file after the container's own lines changed; whatever else was written into it since stays. */
export function amendHosts(text: string, before: readonly string[], after: readonly string[]): string {
  const gone = new Set(before.filter((line) => !after.includes(line)));
  const kept = text.split('\n').filter((line) => !gone.has(line));
  const missing = after.filter((line) => !before.includes(line));
  if (kept.at(-1) === '') kept.pop();
  return [...kept, ...missing, ''].join('\n');
}
