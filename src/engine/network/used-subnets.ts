import { TscError } from '../../core/index.ts';
import type { NetworkContext } from './context.ts';
import {
  type ForeignNetwork,
  type HostNetwork,
  hostSeed,
  readForeignNetwork,
  readHostNetwork,
  usedSubnets,
} from './host-network.ts';
import type { NetworkRecord } from './network.ts';
import { conflictsWith, type PoolSeed, type UsedSubnet } from './pools.ts';
import { formatSubnet, knownSubnet } from './subnet.ts';

export async function seedOf(context: NetworkContext): Promise<PoolSeed> {
  const { state } = context;
  state.hostSeed ??= await hostSeed();
  return { instance: context.instance, host: state.hostSeed, pools: context.addressPools };
}

function subnetsOf(network: NetworkRecord) {
  return [network.pool, network.pool6].flatMap((pool) => (pool ? [knownSubnet(pool.subnet)] : []));
}

/** What the networks of this instance use. */
export function subnetsOfNetworks(context: NetworkContext): readonly UsedSubnet[] {
  return [...context.state.networks.values()].flatMap((network) =>
    subnetsOf(network).map((subnet) => ({ subnet, owner: `network ${network.name}`, exact: true })),
  );
}

/** What networks of ours and the host's interfaces and routes use; `known`: the host as it was just read. */
export async function subnetsInUse(
  context: NetworkContext,
  known?: Omit<HostNetwork, 'links'>,
): Promise<readonly UsedSubnet[]> {
  const host = known ?? (await lookAtHost(context)).network;
  return [...subnetsOfNetworks(context), ...usedSubnets(host, new Set(context.state.bridgeNames()))];
}

/** The host as it is now, but for what is ours; remembered. */
export async function lookAtHost(context: NetworkContext): Promise<ForeignNetwork> {
  const foreign = await readForeignNetwork(context.keeper, context.state.bridgeNames());
  context.state.foreign = foreign;
  return foreign;
}

/** Without what an interface of the host has itself: a network that is to be on it may have just that. Pure. */
export function withoutThose(used: readonly UsedSubnet[], name: string): readonly UsedSubnet[] {
  return used.filter(({ owner }) => owner !== `interface ${name}` && owner !== `a route through ${name}`);
}

/**
 * Who took a network's addresses while its bridge was not there: another engine may have started first after a reboot. Undefined
 * when they are free or the bridge stands.
 */
export async function takenMeanwhile(context: NetworkContext, network: NetworkRecord): Promise<UsedSubnet | undefined> {
  const host = await readHostNetwork(context.keeper);
  if (host.links.some((link) => link.name === network.bridge)) return undefined;
  const used = await subnetsInUse(context, host);
  const others = used.filter(({ owner }) => owner !== `network ${network.name}`);
  return subnetsOf(network).flatMap((subnet) => others.find((other) => conflictsWith(subnet, other)) ?? [])[0];
}

/** Throws network/conflict when somebody took the network's addresses. */
export async function checkStillFree(context: NetworkContext, network: NetworkRecord): Promise<void> {
  const other = await takenMeanwhile(context, network);
  if (!other) return;
  const subnets = subnetsOf(network).map(formatSubnet).join(' and ');
  throw new TscError(
    'network/conflict',
    `network ${network.name} (${subnets}) overlaps ${formatSubnet(other.subnet)}, by now in use by ${other.owner}`,
    { hint: `remove network ${network.name} and make it again (down, then up), or take the other away` },
  );
}
