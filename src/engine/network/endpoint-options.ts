import { OBJECT_NAME, TscError } from '../../core/index.ts';
import type { Endpoint, Link, NetworkRecord } from './network.ts';
import { contains, formatAddress, knownSubnet, parseAddress } from './subnet.ts';

function invalid(message: string): TscError {
  return new TscError('network/invalid', message);
}

const NAME = 'com.docker.network.endpoint.ifname';
const SYSCTLS = 'com.docker.network.endpoint.sysctls';

/** Names that have another meaning below /proc/sys/net/ipv4/conf than that of an interface. */
const RESERVED = ['lo', 'all', 'default', '.', '..'];

function checkName(name: string, others: readonly Endpoint[]): string {
  if (!/^[a-zA-Z0-9_.-]{1,15}$/.test(name) || RESERVED.includes(name))
    throw invalid(`${JSON.stringify(name)} is not a name for an interface of a container`);
  const other = others.find((endpoint) => endpoint.interface === name);
  if (other)
    throw new TscError('network/conflict', `interface ${name} already leads to network ${other.networkName}`, {
      hint: 'name the interfaces of all networks of the container, or another one',
    });
  return name;
}

/** The lowest free `eth<n>`. */
function freeName(prefix: string, others: readonly Endpoint[]): string {
  for (let index = 0; ; index++) {
    const name = `${prefix}${index}`;
    if (!others.some((endpoint) => endpoint.interface === name)) return name;
  }
}

/** `net.ipv4.conf.IFNAME.log_martians=1,…`: only settings of this one link. */
function readSysctls(text: string, name: string): Record<string, string> {
  const settings = text.split(',').map((item) => {
    // In small letters too: `docker run --network name=…,driver-opt=…` makes all of them small.
    const match = /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh))\.(?:IFNAME|ifname)\.([a-z0-9_]+)=([^\n\0]*)$/.exec(
      item.trim(),
    );
    const [, place = '', key = '', value = ''] = match ?? [];
    if (!match)
      throw invalid(
        `${JSON.stringify(item)} is not a setting of an endpoint (example: net.ipv4.conf.IFNAME.log_martians=1)`,
      );
    return [`${place.replaceAll('.', '/')}/${name}/${key}`, value] as const;
  });
  return Object.fromEntries(settings);
}

/** Interface name and settings of an endpoint, from its driver options. Throws network/unsupported, invalid, conflict. */
export function readEndpointOptions(
  network: NetworkRecord,
  options: Readonly<Record<string, string>>,
  others: readonly Endpoint[],
): Pick<Endpoint, 'interface' | 'sysctls'> {
  const unknown = Object.keys(options).filter((key) => key !== NAME && key !== SYSCTLS);
  if (unknown.length > 0)
    throw new TscError(
      'network/unsupported',
      `driver options of an endpoint (${unknown.join(', ')}) are not supported; ${NAME} and ${SYSCTLS} are`,
    );
  const wanted = options[NAME];
  const name = wanted ? checkName(wanted, others) : freeName(network.interfacePrefix ?? 'eth', others);
  const sysctls = options[SYSCTLS];
  return { interface: name, ...(sysctls && { sysctls: readSysctls(sysctls, name) }) };
}

const LINK_LOCAL = ['169.254.0.0/16', 'fe80::/10'];

/** Link-local addresses with the prefix lengths of their links. Throws network/invalid. */
export function readLinkLocal(network: NetworkRecord, texts: readonly string[]): readonly string[] {
  return texts.map((text) => {
    const address = parseAddress(text);
    if (!address || !LINK_LOCAL.some((range) => contains(knownSubnet(range), address)))
      throw invalid(`${JSON.stringify(text)} is not a link-local address (${LINK_LOCAL.join(', ')})`);
    if (address.family === 6 && !network.pool6)
      throw invalid(`link-local address ${text}: network ${network.name} has no IPv6`);
    return `${formatAddress(address)}/${address.family === 6 ? 64 : 16}`;
  });
}

/** Throws network/invalid. */
export function readLinks(texts: readonly string[]): readonly Link[] {
  return texts.map((text) => {
    const [container = '', alias = container, ...rest] = text.split(':').map((part) => part.replace(/^.*\//, ''));
    if (rest.length > 0 || !OBJECT_NAME.test(container) || !OBJECT_NAME.test(alias))
      throw invalid(`${JSON.stringify(text)} is not a link (CONTAINER or CONTAINER:ALIAS)`);
    return { container, alias };
  });
}
