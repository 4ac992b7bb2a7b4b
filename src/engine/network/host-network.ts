import { createHash } from 'node:crypto';
import { TscError } from '../../core/index.ts';
import { readTextIfExists } from '../../host/index.ts';
import type { KeeperPort } from './keeper-port.ts';
import type { UsedSubnet } from './pools.ts';
import { addressAt, contains, parseSubnet, sizeOf } from './subnet.ts';

/** What `net dump` prints. */
export interface HostNetwork {
  readonly links: readonly { readonly name: string; readonly bridge: boolean; readonly ours: boolean }[];
  readonly addresses: readonly { readonly interface: string; readonly address: string }[];
  readonly routes: readonly { readonly destination: string; readonly gateway: string; readonly interface: string }[];
}

/** Exit status of a verb that refuses what is not ours. */
const REFUSED = 3;

/** Addresses and routes of the host without our own, and what tells whether they still are the same. */
export interface ForeignNetwork {
  readonly network: Omit<HostNetwork, 'links'>;
  readonly digest: string;
}

/** Runs a `net` verb and returns what it printed. Throws network/conflict for somebody else's interface, else network/failed. */
export async function runNet(keeper: KeeperPort, verb: string, request: object): Promise<unknown> {
  const text = await printedByNet(keeper, verb, request);
  return text.trim() === '' ? {} : JSON.parse(text);
}

async function printedByNet(keeper: KeeperPort, verb: string, request: object): Promise<string> {
  const result = await keeper.run({ args: ['net', verb, '-'], stdin: JSON.stringify(request) });
  if (result.status !== 0) {
    const code = result.status === REFUSED ? 'network/conflict' : 'network/failed';
    throw new TscError(
      code,
      `cannot change the host's network (${verb}): ${result.stderr.trim() || `status ${result.status}`}`,
    );
  }
  return result.stdout;
}

export async function readHostNetwork(keeper: KeeperPort): Promise<HostNetwork> {
  // Our own binary's answer.
  return (await runNet(keeper, 'dump', {})) as HostNetwork;
}

/** Addresses and routes without those of the interfaces named: what is left is the same whatever we have made. */
export async function readForeignNetwork(keeper: KeeperPort, own: readonly string[]): Promise<ForeignNetwork> {
  const text = await printedByNet(keeper, 'dump', foreignOf(own));
  return { network: JSON.parse(text), digest: createHash('sha256').update(text).digest('hex') };
}

/** What to ask for, to see the host's network without what is our own. */
function foreignOf(own: readonly string[]): object {
  return { links: false, without: own };
}

/**
 * Makes a bridge while the host's addresses and routes are as they were `seen`, which one look in the same process settles.
 * Else makes nothing and returns what they are now.
 */
export async function addBridgeIf(
  keeper: KeeperPort,
  bridge: object,
  seen: ForeignNetwork,
  own: readonly string[],
): Promise<ForeignNetwork | undefined> {
  const expected = { digest: seen.digest, ...foreignOf(own) };
  // Our own binary's answer.
  const answer = (await runNet(keeper, 'bridge-add', { ...bridge, expected })) as Partial<ForeignNetwork>;
  return answer.network && answer.digest ? { network: answer.network, digest: answer.digest } : undefined;
}

/** What the names of all host ends of an instance begin with. */
export function hostInterfacePrefix(instance: string): string {
  return `${instance}v`;
}

/** Subnets in use on the host, without those on the interfaces in `own`. Pure. */
export function usedSubnets(host: Omit<HostNetwork, 'links'>, own: ReadonlySet<string>): readonly UsedSubnet[] {
  const used: UsedSubnet[] = [];
  for (const address of host.addresses) {
    const subnet = parseSubnet(address.address);
    if (subnet && !own.has(address.interface) && address.interface !== 'lo')
      used.push({ subnet, owner: `interface ${address.interface}`, exact: true });
  }
  for (const route of host.routes) {
    const subnet = parseSubnet(route.destination);
    if (!subnet || subnet.prefix === 0 || own.has(route.interface)) continue;
    if (used.some((other) => contains(other.subnet, addressAt(subnet, 0n)) && sizeOf(other.subnet) === sizeOf(subnet)))
      continue;
    used.push({ subnet, owner: `a route through ${route.interface}`, exact: false });
  }
  return used;
}

/** What tells this host from others and stays: never shown, only mixed into what is chosen. */
export async function hostSeed(): Promise<string> {
  return ((await readTextIfExists('/etc/machine-id')) ?? '').trim();
}

/** Whether this host speaks IPv6 at all. */
export async function hasIpv6(): Promise<boolean> {
  return (await readTextIfExists('/proc/net/if_inet6')) !== undefined;
}

/** Routing between interfaces is needed for every bridge; it is switched on only where it is off. Returns whether it was changed. */
export async function enableForwarding(keeper: KeeperPort): Promise<boolean> {
  const now = await readTextIfExists('/proc/sys/net/ipv4/ip_forward');
  if (now?.trim() !== '0') return false;
  await runNet(keeper, 'sysctl', { 'net/ipv4/ip_forward': '1' });
  return true;
}
