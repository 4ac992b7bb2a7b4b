import { OBJECT_NAME, TscError } from '../../core/index.ts';
import { newObjectId, timestamp } from '../../host/index.ts';
import { applyFirewall, type BridgedNetwork, type Bridges, isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { readHostNetwork, usedSubnets } from './host-network.ts';
import { choosePool, readPool, type UsedSubnet } from './ipam.ts';
import { knownSubnet } from './ipv4.ts';
import type { NetworkRecord, NetworkSpec, Pool } from './network.ts';

const DEFAULT_MTU = 1500;
/** Names of the networks that are always there. */
export const PREDEFINED = ['bridge', 'host', 'none'] as const;

/** Driver options we act on; others are refused. */
interface BridgeOptions {
  readonly mtu: number;
  readonly masquerade: boolean;
  readonly bridge: string | undefined;
}

function unsupported(what: string, hint?: string): TscError {
  return new TscError('network/unsupported', what, hint ? { hint } : {});
}

function readBoolean(key: string, value: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new TscError('network/invalid', `network option ${key}=${value} is not a boolean`);
}

type OptionReader = (options: BridgeOptions, value: string, key: string) => BridgeOptions;

const OPTION_READERS: Readonly<Record<string, OptionReader>> = {
  'com.docker.network.driver.mtu': (options, value, key) => {
    const mtu = Number(value);
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
      throw new TscError('network/invalid', `network option ${key}=${value} is not from 68 to 65535`);
    return { ...options, mtu };
  },
  'com.docker.network.bridge.name': (options, value) => {
    // The host end of every link is named `<instance>v…`: a bridge must not look like one.
    if (!/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(value))
      throw new TscError('network/invalid', `bridge name ${JSON.stringify(value)} is not an interface name`);
    return { ...options, bridge: value };
  },
  'com.docker.network.bridge.enable_ip_masquerade': (options, value, key) => ({
    ...options,
    masquerade: readBoolean(key, value),
  }),
  'com.docker.network.bridge.enable_icc': (options, value, key) => {
    if (!readBoolean(key, value))
      throw unsupported(
        'closing a network between its own containers (enable_icc=false) is not supported',
        'use separate networks',
      );
    return options;
  },
  'com.docker.network.bridge.default_bridge': (options, value, key) => {
    if (readBoolean(key, value)) throw unsupported('another default bridge is not supported');
    return options;
  },
};

function readOptions(spec: NetworkSpec): BridgeOptions {
  let options: BridgeOptions = { mtu: DEFAULT_MTU, masquerade: true, bridge: undefined };
  for (const [key, value] of Object.entries(spec.options ?? {})) {
    const read = OPTION_READERS[key];
    if (!read) throw unsupported(`network option ${key} is not supported`);
    options = read(options, value, key);
  }
  return options;
}

function checkSpec(context: NetworkContext, spec: NetworkSpec): void {
  if (!OBJECT_NAME.test(spec.name) || spec.name.length > 255)
    throw new TscError('network/invalid', `invalid network name ${JSON.stringify(spec.name.slice(0, 80))}`);
  if (context.state.byName(spec.name)) throw new TscError('network/conflict', `network ${spec.name} already exists`);
  const driver = spec.driver || 'bridge';
  if (driver !== 'bridge')
    throw unsupported(
      `network driver ${JSON.stringify(driver)} is not supported for new networks`,
      'use the bridge driver',
    );
  if (spec.enableIpv6)
    throw unsupported(
      `network ${spec.name}: IPv6 inside containers is not supported`,
      'leave enable_ipv6 out; published ports are reachable over IPv6 without it',
    );
  if (spec.ipamDriver && spec.ipamDriver !== 'default')
    throw unsupported(`IPAM driver ${JSON.stringify(spec.ipamDriver)} is not supported`);
  if (Object.keys(spec.ipamOptions ?? {}).length > 0) throw unsupported('IPAM options are not supported');
  if ((spec.pools ?? []).length > 1) throw unsupported(`network ${spec.name}: more than one subnet is not supported`);
}

async function subnetsInUse(context: NetworkContext): Promise<readonly UsedSubnet[]> {
  const host = await readHostNetwork(context.keeper);
  const ours = [...context.state.networks.values()].filter(isBridged);
  return [
    ...ours.map((network) => ({
      subnet: knownSubnet(network.pool.subnet),
      owner: `network ${network.name}`,
      exact: true,
    })),
    ...usedSubnets(host, new Set(ours.map((network) => network.bridge))),
  ];
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
    chosenPool: !spec.pools?.[0]?.subnet,
    isDefault: false,
  };
}

/** Makes a bridge network: chosen and recorded, then its bridge. Nothing stays on failure. */
export async function createNetwork(
  context: NetworkContext,
  bridges: Bridges,
  spec: NetworkSpec,
): Promise<NetworkRecord> {
  checkSpec(context, spec);
  const options = readOptions(spec);
  const used = await subnetsInUse(context);
  const pool: Pool = readPool(spec.pools?.[0] ?? {}, used, context.instance);
  const base = newRecord(context, spec);
  const network: BridgedNetwork = {
    ...base,
    driver: 'bridge',
    mtu: options.mtu,
    masquerade: options.masquerade,
    pool,
    bridge: options.bridge ?? `${context.instance}-${base.id.slice(0, 7)}`,
  };
  if ([...context.state.networks.values()].some((other) => other.bridge === network.bridge))
    throw new TscError('network/conflict', `bridge ${network.bridge} belongs to another network`);
  context.state.networks.set(network.id, network);
  try {
    await context.records.saveNetwork(network);
    await bridges.make(network);
  } catch (error) {
    context.state.networks.delete(network.id);
    await context.records.removeNetwork(network.id);
    throw error;
  }
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
            pool: choosePool(await subnetsInUse(context), context.instance),
            bridge: `${context.instance}-default0`,
          }
        : { ...base, driver: name === 'host' ? 'host' : 'null', masquerade: false };
    context.state.networks.set(network.id, network);
    await context.records.saveNetwork(network);
  }
}

/** Checks all, then removes all: firewall, names and bridges in one step each. */
export async function removeNetworks(
  context: NetworkContext,
  bridges: Bridges,
  networks: readonly NetworkRecord[],
): Promise<void> {
  for (const network of networks) {
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
  for (const network of networks) context.state.networks.delete(network.id);
  if (context.firewall.isApplied()) await applyFirewall(context);
  await bridges.remove(networks.filter(isBridged));
  for (const network of networks) {
    await context.keeper.publishZone(network.id, null);
    await context.records.removeNetwork(network.id);
  }
}
