import { TscError } from '../../core/index.ts';
import type { NetworkContext } from './context.ts';
import { hostInterfacePrefix, readHostNetwork, runNet } from './host-network.ts';
import type { Adoption, NetworkRecord, NetworkSpec, Pool, PoolSpec } from './network.ts';
import { familyOf } from './pools.ts';
import { contains, formatAddress, parseAddress, parseSubnet } from './subnet.ts';

/** A bridge of the host that we did not make, as it is before a network uses it. */
export interface ForeignBridge {
  /** With prefix lengths. */
  readonly addresses: readonly string[];
}

/** The bridge of somebody else that has this name; undefined when nothing has it, or a bridge of ours. Throws network/conflict. */
export async function findForeignBridge(context: NetworkContext, name: string): Promise<ForeignBridge | undefined> {
  const host = await readHostNetwork(context.keeper);
  const link = host.links.find((each) => each.name === name);
  if (!link || (link.bridge && link.ours)) return undefined;
  if (!link.bridge)
    throw new TscError('network/conflict', `interface ${name} of this host is not a bridge`, {
      hint: 'name a bridge, or one that is to be made, with com.docker.network.bridge.name',
    });
  return {
    addresses: host.addresses.filter((each) => each.interface === name).map(({ address }) => address),
  };
}

/** Throws network/unsupported: who else is on the bridge would have to be cut off. */
export function checkAdoptable(spec: NetworkSpec, bridge: string): void {
  if (spec.internal)
    throw new TscError(
      'network/unsupported',
      `network ${spec.name} is internal, and bridge ${bridge} was not made by tscompose: what others have on it would be a way out`,
      { hint: 'leave com.docker.network.bridge.name out, or name a bridge that is not there yet' },
    );
}

/** What the bridge has in a subnet is the gateway there, unless another one is given. Pure. */
export function withOwnGateways(spec: NetworkSpec, { addresses }: ForeignBridge): NetworkSpec {
  const gatewayIn = (pool: PoolSpec): string | undefined => {
    const subnet = pool.subnet === undefined ? undefined : parseSubnet(pool.subnet);
    if (!subnet || pool.gateway) return undefined;
    const own = addresses.flatMap((text) => parseAddress(text.split('/')[0] ?? '') ?? []);
    const inside = own.find((address) => address.family === familyOf(pool) && contains(subnet, address));
    return inside && formatAddress(inside);
  };
  const pools = spec.pools?.map((pool) => {
    const gateway = gatewayIn(pool);
    return gateway === undefined ? pool : { ...pool, gateway };
  });
  return { ...spec, ...(pools && { pools }) };
}

/** What is to be undone when the network goes: it is on record before anything is changed. */
export async function planAdoption(
  context: NetworkContext,
  {
    bridge,
    pool6,
    addresses,
  }: { readonly bridge: string; readonly pool6?: Pool; readonly addresses: readonly string[] },
  before: ForeignBridge,
): Promise<Adoption> {
  const names = [`net/ipv4/conf/${bridge}/route_localnet`, ...(pool6 ? [`net/ipv6/conf/${bridge}/disable_ipv6`] : [])];
  const hosts = before.addresses.map((address) => address.split('/')[0]);
  return {
    addresses: addresses.filter((address) => !hosts.includes(address.split('/')[0])),
    // Our own binary's answer.
    sysctls: (await runNet(context.keeper, 'sysctl-read', { names })) as Adoption['sysctls'],
  };
}

type Adopted = NetworkRecord & Required<Pick<NetworkRecord, 'bridge' | 'adopted'>>;

export function isAdopted(network: NetworkRecord): network is Adopted {
  return network.bridge !== undefined && network.adopted !== undefined;
}

/** The bridge carries the network beside what is its own. Throws network/conflict when it is gone. */
export async function adoptBridge(context: NetworkContext, network: Adopted): Promise<void> {
  const { bridge, adopted, pool6 } = network;
  if (pool6) await runNet(context.keeper, 'sysctl', { [`net/ipv6/conf/${bridge}/disable_ipv6`]: '0' });
  try {
    await runNet(context.keeper, 'bridge-adopt', { name: bridge, addresses: adopted.addresses });
  } catch (error) {
    await leaveBridge(context, network);
    throw error;
  }
}

/** The inverse, also for a bridge that is gone: ours go, all else stays as it is. */
export async function leaveBridge(context: NetworkContext, { bridge, adopted }: Adopted): Promise<void> {
  const ends = hostInterfacePrefix(context.instance);
  const request = { name: bridge, addresses: adopted.addresses, ends };
  const { present } = (await runNet(context.keeper, 'bridge-leave', request)) as { readonly present: boolean };
  if (present && Object.keys(adopted.sysctls).length > 0) await runNet(context.keeper, 'sysctl', adopted.sysctls);
}
