import { OBJECT_NAME, TscError } from '../../core/index.ts';
import { newObjectId, timestamp } from '../../host/index.ts';
import { checkAdoptable, findForeignBridge, isAdopted, planAdoption, withOwnGateways } from './adopt-bridge.ts';
import { DEFAULT_MTU, readBridgeOptions, unsupported, withFamilies } from './bridge-options.ts';
import { applyFirewall, type BridgedNetwork, type Bridges, gatewayAddresses, isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { type ForeignNetwork, hasIpv6, readHostNetwork } from './host-network.ts';
import type { NetworkRecord, NetworkSpec, Pool, PoolSpec } from './network.ts';
import { findParentConflict, readParentOptions } from './parent-options.ts';
import { makeParent, removeParents, type StackedNetwork } from './parents.ts';
import { choosePool, choosePool6, familyOf, readPool, type UsedSubnet } from './pools.ts';
import { lookAtHost, seedOf, subnetsInUse, subnetsOfNetworks, takenMeanwhile, withoutThose } from './used-subnets.ts';

/** Names of the networks that are always there. */
export const PREDEFINED = ['bridge', 'host', 'none'] as const;

/** What can be made; `host` and `none` are there once. */
const DRIVERS: readonly string[] = ['bridge', 'macvlan', 'ipvlan'];

function checkDriver(driver: string): void {
  if (driver === 'host' || driver === 'null')
    throw unsupported(
      `there is one network of driver ${driver} only, and it is there already`,
      `use network ${driver === 'host' ? 'host' : 'none'} (in a compose file: external, or network_mode)`,
    );
  if (!DRIVERS.includes(driver))
    throw unsupported(
      `network driver ${JSON.stringify(driver)} is not supported for new networks`,
      `use one of ${DRIVERS.join(', ')}`,
    );
}

function checkSpec(context: NetworkContext, spec: NetworkSpec): void {
  if (!OBJECT_NAME.test(spec.name) || spec.name.length > 255)
    throw new TscError('network/invalid', `invalid network name ${JSON.stringify(spec.name.slice(0, 80))}`);
  if (context.state.byName(spec.name)) throw new TscError('network/conflict', `network ${spec.name} already exists`);
  checkDriver(spec.driver || 'bridge');
  if (spec.ipamDriver && spec.ipamDriver !== 'default')
    throw unsupported(`IPAM driver ${JSON.stringify(spec.ipamDriver)} is not supported`);
  if (Object.keys(spec.ipamOptions ?? {}).length > 0) throw unsupported('IPAM options are not supported');
  for (const family of [4, 6]) {
    if ((spec.pools ?? []).filter((pool) => familyOf(pool) === family).length > 1)
      throw unsupported(`network ${spec.name}: more than one IPv${family} subnet is not supported`);
  }
  if (spec.enableIpv4 === false && !spec.enableIpv6)
    throw new TscError('network/invalid', `network ${spec.name}: IPv4 or IPv6 must be enabled`);
  const four = spec.pools?.find((pool) => familyOf(pool) === 4 && pool.subnet);
  if (four && spec.enableIpv4 === false)
    throw new TscError('network/invalid', `network ${spec.name} has an IPv4 subnet (${four.subnet}) but no IPv4`);
  const six = spec.pools?.find((pool) => familyOf(pool) === 6);
  if (six && !spec.enableIpv6)
    throw new TscError('network/invalid', `network ${spec.name} has an IPv6 subnet (${six.subnet}) but no IPv6`, {
      hint: 'set enable_ipv6 (EnableIPv6, --ipv6), or leave the subnet out',
    });
}

interface Pools {
  readonly pool?: Pool;
  readonly pool6?: Pool;
}

async function choosePools(context: NetworkContext, spec: NetworkSpec, used: readonly UsedSubnet[]): Promise<Pools> {
  const seed = await seedOf(context);
  const specOf = (family: number): PoolSpec | undefined => spec.pools?.find((pool) => familyOf(pool) === family);
  const four = spec.enableIpv4 === false ? {} : { pool: readPool(specOf(4) ?? {}, used, seed) };
  if (!spec.enableIpv6) return four;
  if (!(await hasIpv6()))
    throw unsupported(`network ${spec.name}: this host has no IPv6`, 'leave enable_ipv6 out or load the ipv6 module');
  const six = specOf(6);
  return { ...four, pool6: six ? readPool(six, used, seed) : choosePool6(used, seed) };
}

function newRecord(context: NetworkContext, spec: NetworkSpec): Omit<NetworkRecord, 'driver' | 'mtu' | 'masquerade'> {
  return {
    id: newObjectId(),
    name: spec.name,
    created: timestamp(context.clock),
    internal: spec.internal ?? false,
    attachable: spec.attachable ?? false,
    labels: spec.labels ?? {},
    options: spec.options ?? {},
    chosenPool: !spec.pools?.some((pool) => pool.subnet && familyOf(pool) === 4),
    isDefault: false,
  };
}

async function decideBridged(
  context: NetworkContext,
  spec: NetworkSpec,
  seen: ForeignNetwork,
): Promise<BridgedNetwork> {
  const options = readBridgeOptions(spec);
  const base = newRecord(context, spec);
  const foreign = options.bridge === undefined ? undefined : await findForeignBridge(context, options.bridge);
  if (foreign) checkAdoptable(spec, options.bridge ?? '');
  const used = await subnetsInUse(context, seen.network);
  const pools = foreign
    ? await choosePools(context, withOwnGateways(spec, foreign), withoutThose(used, options.bridge ?? ''))
    : await choosePools(context, spec, used);
  const bridge = options.bridge ?? `${context.instance}-${base.id.slice(0, 7)}`;
  const addresses = gatewayAddresses({ ...options, ...pools });
  const network: BridgedNetwork = {
    ...base,
    driver: 'bridge',
    ...options,
    ...pools,
    // Who shares a bridge with others must not speak for them.
    ...(foreign && {
      adopted: await planAdoption(context, { bridge, addresses, ...pools }, foreign),
      sourceCheck: true,
    }),
    ...(pools.pool?.auxiliary['DefaultGatewayIPv4'] && !base.internal && { gatewayElsewhere: true }),
    bridge,
  };
  if ([...context.state.networks.values()].some((other) => other.bridge === network.bridge))
    throw new TscError('network/conflict', `bridge ${network.bridge} belongs to another network`);
  return network;
}

/** On an interface of the host. A subnet that is given is that interface's own mostly; a chosen one keeps clear of all. */
async function decideStacked(
  context: NetworkContext,
  spec: NetworkSpec,
  driver: 'ipvlan' | 'macvlan',
): Promise<StackedNetwork> {
  const base = newRecord(context, spec);
  const host = await readHostNetwork(context.keeper);
  const options = readParentOptions(driver, spec, {
    exists: (name) => host.links.some((link) => link.name === name),
    dummy: `${context.instance}m${base.id.slice(0, 7)}`,
  });
  const conflict = findParentConflict(driver, options.parent, [...context.state.networks.values()]);
  if (conflict) throw new TscError('network/conflict', `network ${spec.name}: ${conflict}`);
  const isGiven = (family: 4 | 6) => spec.pools?.some((pool) => pool.subnet && familyOf(pool) === family) ?? false;
  const families = spec.enableIpv6 ? ([4, 6] as const) : ([4] as const);
  const used = families.every(isGiven) ? subnetsOfNetworks(context) : await subnetsInUse(context, host);
  return { ...base, driver, ...options, ...(await choosePools(context, spec, used)) };
}

interface Seen {
  readonly network: BridgedNetwork;
  readonly host: ForeignNetwork;
}

/** By what was last seen of the host, which costs no look; a refusal may rest on what is no longer there. */
async function decideBySight(context: NetworkContext, spec: NetworkSpec): Promise<Seen> {
  // A bridge of others may have changed in any way.
  const host = readBridgeOptions(spec).bridge === undefined ? context.state.foreign : undefined;
  if (host) {
    try {
      return { network: await decideBridged(context, spec, host), host };
    } catch {
      // Judged by what is there now.
    }
  }
  const now = await lookAtHost(context);
  return { network: await decideBridged(context, spec, now), host: now };
}

/** Made as it was decided, unless the host has changed since; then decided once more, by what it is now. */
async function createBridged(context: NetworkContext, bridges: Bridges, spec: NetworkSpec): Promise<NetworkRecord> {
  const { network, host } = await decideBySight(context, spec);
  if (isAdopted(network)) return createAdopted(context, bridges, network);
  const changed = await settle(
    context,
    network,
    () => bridges.makeIf(network, host),
    () => bridges.remove([network]),
  );
  if (!changed) return network;
  context.state.foreign = changed;
  await forgetNetwork(context, network);
  const again = await decideBridged(context, spec, changed);
  await settle(
    context,
    again,
    () => bridges.make(again, { checked: true }),
    () => bridges.remove([again]),
  );
  return again;
}

/** How the bridge was before is on record before anything changes. */
async function createAdopted(
  context: NetworkContext,
  bridges: Bridges,
  network: BridgedNetwork,
): Promise<NetworkRecord> {
  context.state.networks.set(network.id, network);
  try {
    await context.records.saveNetwork(network);
    await bridges.make(network);
  } catch (error) {
    await forgetNetwork(context, network);
    throw error;
  }
  return network;
}

async function forgetNetwork(context: NetworkContext, network: NetworkRecord): Promise<void> {
  context.state.networks.delete(network.id);
  await context.records.removeNetworks([network.id]);
}

/**
 * Records a network and makes what it stands on, side by side: a bridge or parent that no record names is taken away by recovery,
 * a recorded one is made when it is needed, if its addresses are still free. Nothing stays on failure.
 */
async function settle<T>(
  context: NetworkContext,
  network: NetworkRecord,
  make: () => Promise<T>,
  unmake: () => Promise<void>,
): Promise<T> {
  context.state.networks.set(network.id, network);
  const [saved, made] = await Promise.allSettled([context.records.saveNetwork(network), make()]);
  if (saved.status === 'fulfilled' && made.status === 'fulfilled') return made.value;
  context.state.networks.delete(network.id);
  if (made.status === 'fulfilled') await unmake();
  await context.records.removeNetworks([network.id]);
  throw saved.status === 'rejected' ? saved.reason : (made as PromiseRejectedResult).reason;
}

/** Makes a network: chosen and recorded, then its bridge or parent. Nothing stays on failure. */
export async function createNetwork(
  context: NetworkContext,
  bridges: Bridges,
  wanted: NetworkSpec,
): Promise<NetworkRecord> {
  const spec = wanted.driver === undefined || wanted.driver === 'bridge' ? withFamilies(wanted) : wanted;
  checkSpec(context, spec);
  const { driver } = spec;
  if (driver !== 'macvlan' && driver !== 'ipvlan') return createBridged(context, bridges, spec);
  const network = await decideStacked(context, spec, driver);
  await settle(
    context,
    network,
    () => makeParent(context, network),
    () => removeParents(context, [network]),
  );
  return network;
}

/** The networks that are always there; made at the first start. The default bridge appears in the kernel when it is used. */
export async function ensurePredefined(context: NetworkContext): Promise<void> {
  for (const name of PREDEFINED) {
    if (context.state.byName(name)) continue;
    const base = { ...newRecord(context, { name }), mtu: DEFAULT_MTU };
    const network: NetworkRecord =
      name === 'bridge'
        ? {
            ...base,
            driver: 'bridge',
            masquerade: true,
            isDefault: true,
            pool: choosePool(await subnetsInUse(context), await seedOf(context)),
            bridge: `${context.instance}-default0`,
          }
        : { ...base, driver: name === 'host' ? 'host' : 'null', masquerade: false };
    context.state.networks.set(network.id, network);
    await context.records.saveNetwork(network);
  }
}

/** The default bridge appears when it is first used: by then its subnet may be somebody else's, and while it has no container it moves. */
export async function settleDefault(context: NetworkContext, bridges: Bridges): Promise<void> {
  const network = context.state.byName('bridge');
  if (!network || !isBridged(network) || bridges.isMade(network.bridge)) return;
  if (context.state.membersOf(network.id).length > 0 || !(await takenMeanwhile(context, network))) return;
  const pool = choosePool(await subnetsInUse(context), await seedOf(context));
  // Somebody may have come meanwhile.
  if (context.state.membersOf(network.id).length > 0) return;
  const moved = { ...network, pool };
  context.state.networks.set(network.id, moved);
  await context.records.saveNetwork(moved);
}

/** Throws network/denied for a predefined network, network/in-use for one with open sandboxes. */
export function checkRemovable(context: NetworkContext, network: NetworkRecord): void {
  if ((PREDEFINED as readonly string[]).includes(network.name))
    throw new TscError('network/denied', `network ${network.name} is predefined and cannot be removed`);
  const members = context.state
    .membersOf(network.id)
    .filter(({ attachment }) => context.state.sandboxes.has(attachment.containerId));
  if (members.length > 0) {
    const names = members.map(({ attachment }) => attachment.name).join(', ');
    throw new TscError('network/in-use', `network ${network.name} has active endpoints: ${names}`, {
      hint: 'stop or disconnect these containers first',
    });
  }
}

/** Checks all, then removes all: firewall, names and bridges in one step each. */
export async function removeNetworks(
  context: NetworkContext,
  bridges: Bridges,
  networks: readonly NetworkRecord[],
): Promise<void> {
  for (const network of networks) checkRemovable(context, network);
  for (const network of networks) context.state.networks.delete(network.id);
  if (context.firewall.isApplied()) await applyFirewall(context);
  await bridges.remove(networks.filter(isBridged));
  await removeParents(context, networks);
  await Promise.all(networks.map((network) => context.keeper.publishZone(network.id, null)));
  await context.records.removeNetworks(networks.map((network) => network.id));
}
