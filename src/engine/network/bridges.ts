import { createKeyedLock } from '../state/index.ts';
import { adoptBridge, isAdopted, leaveBridge } from './adopt-bridge.ts';
import type { NetworkContext } from './context.ts';
import { passDocker, unpassDocker } from './firewall/docker-user.ts';
import { passFirewalld, unpassFirewalld } from './firewall/firewalld.ts';
import { buildRuleset } from './firewall/ruleset.ts';
import { addBridgeIf, enableForwarding, type ForeignNetwork, hostInterfacePrefix, runNet } from './host-network.ts';
import { macOf } from './ipam.ts';
import type { NetworkRecord } from './network.ts';
import { checkStillFree } from './used-subnets.ts';

/** A network that has a bridge. */
export type BridgedNetwork = NetworkRecord & Required<Pick<NetworkRecord, 'bridge'>>;

/** Whether containers have links and addresses on it: all but `host` and `none`. */
export function isAddressed(network: NetworkRecord): boolean {
  return network.pool !== undefined || network.pool6 !== undefined;
}

export function isBridged(network: NetworkRecord): network is BridgedNetwork {
  return network.bridge !== undefined && isAddressed(network);
}

/** Brings the kernel's table to the present state. */
export function applyFirewall(context: NetworkContext): Promise<void> {
  return context.firewall.apply(buildRuleset(context.state.firewallState(context.instance)));
}

/** Bridges whose containers are reached at their own addresses, by some or by all. */
export function routedBridges(context: NetworkContext): readonly string[] {
  return [...context.state.networks.values()].flatMap(({ bridge, internal, routed, unprotected, trusted }) =>
    bridge && !internal && (routed ?? unprotected ?? trusted) ? [bridge] : [],
  );
}

const others = createKeyedLock();

/** Lets our packets through the firewalls of others, where there are any and as long as our own table judges them. */
export function passOthers(context: NetworkContext): Promise<void> {
  return others.run(context.instance, async () => {
    if (!context.firewall.isApplied()) return;
    const names = context.state.bridgeNames();
    await Promise.all([passDocker(context, names), passFirewalld(context, names, routedBridges(context))]);
  });
}

/** The inverse. */
export function unpassOthers(context: NetworkContext): Promise<void> {
  return others.run(context.instance, async () => {
    await Promise.all([unpassDocker(context), unpassFirewalld(context, context.state.bridgeNames())]);
  });
}

/** Whether loopback addresses may travel over these bridges (published ports on 127.0.0.1). */
export async function setRouteLocalnet(
  context: NetworkContext,
  bridges: readonly string[],
  on: boolean,
): Promise<void> {
  if (bridges.length === 0) return;
  const value = on ? '1' : '0';
  await runNet(
    context.keeper,
    'sysctl',
    Object.fromEntries(bridges.map((name) => [`net/ipv4/conf/${name}/route_localnet`, value])),
  );
}

/** The bridges of an instance: which are known to be up, and whether the firewall stands in front of them. */
export class Bridges {
  readonly #context: NetworkContext;
  readonly #made = new Map<string, Promise<void>>();
  readonly #guarded = new Map<string, Promise<void>>();
  #hostReady: Promise<unknown> | undefined;
  #passed: Promise<void> | undefined;
  #ipv6Ready: Promise<unknown> | undefined;

  constructor(context: NetworkContext) {
    this.#context = context;
  }

  /** The bridge exists. Throws network/conflict when the name, or by now its addresses (unless `checked`), belong to somebody else. */
  make(network: BridgedNetwork, options: { readonly checked?: boolean } = {}): Promise<void> {
    return once(this.#made, network.bridge, async () => {
      if (isAdopted(network)) return adoptBridge(this.#context, network);
      if (!options.checked) await checkStillFree(this.#context, network);
      await runNet(this.#context.keeper, 'bridge-add', bridgeOf(network));
    });
  }

  /** The bridge of a new network exists, if the host is still as it was seen when its subnets were chosen; else nothing was made and the answer is how the host is now. */
  async makeIf(network: BridgedNetwork, seen: ForeignNetwork): Promise<ForeignNetwork | undefined> {
    const { keeper, state } = this.#context;
    const now = await addBridgeIf(keeper, bridgeOf(network), seen, state.bridgeNames());
    if (!now) this.#made.set(network.bridge, Promise.resolve());
    return now;
  }

  /**
   * The bridge exists and may carry containers: the firewall is loaded first, and only then are loopback addresses routed over
   * the bridge (else the host's loopback would be open to neighbours for a moment).
   */
  guard(network: BridgedNetwork): Promise<void> {
    return once(this.#guarded, network.bridge, async () => {
      await this.make(network);
      this.#hostReady ??= enableForwarding(this.#context.keeper);
      await this.#hostReady;
      if (network.pool6 && !network.internal) await this.#forwardIpv6();
      await applyFirewall(this.#context);
      // The name that stands for all bridges does not stand for one that was named, nor for what routed ones need.
      const isNamed = !network.bridge.startsWith(`${this.#context.instance}-`);
      const isApart = isNamed || routedBridges(this.#context).includes(network.bridge);
      if (isApart || !this.#passed) this.#passed = passOthers(this.#context);
      await this.#passed;
      await setRouteLocalnet(this.#context, [network.bridge], true);
    });
  }

  /** The host routes IPv6 from the first network on that has it. */
  async #forwardIpv6(): Promise<void> {
    this.#ipv6Ready ??= runNet(this.#context.keeper, 'forward-ipv6', {});
    try {
      await this.#ipv6Ready;
    } catch (error) {
      this.#ipv6Ready = undefined;
      throw error;
    }
  }

  /** Whether the bridge was made or found in this life of the daemon. */
  isMade(name: string): boolean {
    return this.#made.has(name);
  }

  /** Whether the bridge was made ready for containers in this life of the daemon. */
  isGuarded(name: string): boolean {
    return this.#guarded.has(name);
  }

  /** Takes bridges away in one batch. */
  async remove(networks: readonly BridgedNetwork[]): Promise<void> {
    if (networks.length === 0) return;
    for (const { bridge } of networks) {
      this.#made.delete(bridge);
      this.#guarded.delete(bridge);
    }
    for (const network of networks.filter(isAdopted)) await leaveBridge(this.#context, network);
    const names = networks.filter((network) => !isAdopted(network)).map((network) => network.bridge);
    if (names.length === 0) return;
    await runNet(this.#context.keeper, 'bridge-remove', { names, ends: hostInterfacePrefix(this.#context.instance) });
  }

  /** Nothing is known any more: the next use checks the kernel again. */
  forget(): void {
    this.#made.clear();
    this.#guarded.clear();
    this.#hostReady = undefined;
    this.#passed = undefined;
    this.#ipv6Ready = undefined;
  }
}

/** Whether nobody has the gateway's address: neither the host nor another router of the network. */
export function isWithoutGateway({ internal, withoutGateway }: NetworkRecord, family: 4 | 6): boolean {
  return internal && (withoutGateway?.includes(family) ?? false);
}

/** Where a container may have the gateway's address, it has the hardware address that belongs to it, too. */
function bridgeMac(network: BridgedNetwork): string {
  const { pool, pool6 } = network;
  const mac = macOf(pool?.gateway ?? pool6?.gateway ?? '');
  return isWithoutGateway(network, pool ? 4 : 6) ? mac.replace(/^02:42/, '02:43') : mac;
}

/** A bridge in the words of the native verb. */
function bridgeOf(network: BridgedNetwork) {
  return {
    name: network.bridge,
    addresses: gatewayAddresses(network),
    mtu: network.mtu,
    mac: bridgeMac(network),
  };
}

/** What the bridge carries: the gateways, for the families that have one on the host. */
export function gatewayAddresses(network: Pick<NetworkRecord, 'pool' | 'pool6' | 'withoutGateway'>): readonly string[] {
  const pools = [
    [4, network.pool],
    [6, network.pool6],
  ] as const;
  return pools.flatMap(([family, pool]) =>
    pool && !network.withoutGateway?.includes(family) ? [`${pool.gateway}/${pool.subnet.split('/')[1]}`] : [],
  );
}

/** Runs `work` once per key, also for callers at the same moment; a failure is forgotten. */
function once(memory: Map<string, Promise<void>>, key: string, work: () => Promise<void>): Promise<void> {
  const known = memory.get(key);
  if (known) return known;
  const fresh = work();
  memory.set(key, fresh);
  fresh.catch(() => memory.delete(key));
  return fresh;
}
