import { type Clock, type ProcessIdentity, readTextIfExists, systemClock } from '../../host/index.ts';
import { createKeyedLock } from '../state/index.ts';
import { decideAttachment } from './attach.ts';
import {
  applyFirewall,
  Bridges,
  isAddressed,
  isBridged,
  passOthers,
  routedBridges,
  setRouteLocalnet,
  unpassOthers,
} from './bridges.ts';
import { connectContainer, disconnectContainer } from './change-attachment.ts';
import type { HostFiles, NetworkContext } from './context.ts';
import { checkRemovable, createNetwork, PREDEFINED, removeNetworks, settleDefault } from './create-network.ts';
import { applyEgress, isWatched, removeEgress } from './egress/apply-egress.ts';
import { createNftFirewall } from './firewall/firewall.ts';
import { adviseFirewalld } from './firewall/firewalld.ts';
import { adviseUfw } from './firewall/ufw.ts';
import { runNet } from './host-network.ts';
import type { KeeperPort } from './keeper-port.ts';
import { movePorts, serversOf } from './move-ports.ts';
import { ownHostLines, renderHosts } from './names/hosts.ts';
import { renderResolvConf } from './names/resolver.ts';
import type { NameFiles, NameFilesSpec, NetworkService, Sandbox } from './network.ts';
import { dismantleParents, unstack } from './parents.ts';
import { type AddressPool, checkAddressPools } from './pools.ts';
import { findPortConflicts } from './port-conflicts.ts';
import { becomeReady, holdAgain, publish, withdraw } from './publish.ts';
import { type Attachment, openRecords } from './records.ts';
import { recover } from './recover.ts';
import { RemovalBatch } from './removal-batch.ts';
import { openSandbox, publishLinks, publishNames, publishZones, readHostResolver, usesHostNetwork } from './sandbox.ts';
import { servedPorts, sharedKey } from './shared-ports.ts';
import { NetworkState } from './state.ts';

export interface NetworkServiceOptions {
  readonly keeper: KeeperPort;
  /** At most 7 of `[a-z0-9]`; every kernel object's name starts with it. */
  readonly instance: string;
  /** The daemon's data directory; records live in `networks/` and `endpoints/` below it. */
  readonly dataDirectory: string;
  readonly clock?: Clock;
  /** Path of the nft program; default `/usr/sbin/nft`. */
  readonly nft?: string;
  /** The host's own files; default those in /etc. */
  readonly hostFiles?: HostFiles;
  /** Where subnets are chosen from; a family without one has its default. */
  readonly addressPools?: readonly AddressPool[];
  /** Path of firewalld's command; default `/usr/bin/firewall-cmd`. */
  readonly firewallCmd?: string;
}

/** Makes the service; nothing is read or touched until {@link NetworkService.recover}, which comes first. */
export function createNetworkService(options: NetworkServiceOptions): NetworkService {
  const nft = options.nft ?? '/usr/sbin/nft';
  const addressPools = options.addressPools ?? [];
  checkAddressPools(addressPools);
  const context: NetworkContext = {
    instance: options.instance,
    keeper: options.keeper,
    records: openRecords(options.dataDirectory),
    state: new NetworkState(),
    firewall: createNftFirewall(options.keeper, options.instance, nft),
    clock: options.clock ?? systemClock,
    nft,
    hostFiles: options.hostFiles ?? { resolvConf: '/etc/resolv.conf', hosts: '/etc/hosts' },
    addressPools,
    firewallCmd: options.firewallCmd ?? '/usr/bin/firewall-cmd',
  };
  const bridges = new Bridges(context);
  return { ...networkActs(context, bridges), ...containerActs(context, bridges), ...upkeepActs(context, bridges) };
}

type NetworkActs = Pick<NetworkService, 'create' | 'inspect' | 'list' | 'remove' | 'removeAll' | 'prune'>;
type UpkeepActs = Pick<
  NetworkService,
  'recover' | 'checkFirewall' | 'watchFirewall' | 'checkResolver' | 'advice' | 'dismantle'
>;

/** How long one look at the firewall lasts: so long a process of it may outlive the last container. */
const WATCH_SECONDS = 5;
/** What `net watch-firewall` prints. */
interface WatchAnswer {
  readonly changed: boolean;
  /** Our table is not there at all. */
  readonly lost?: boolean;
  /** Absent from a binary that is older than we. */
  readonly generation?: number;
}
type ContainerActs = Omit<NetworkService, keyof NetworkActs | keyof UpkeepActs>;

/** Networks come and go one after the other: names and subnets are chosen from what is there. */
function networkActs(context: NetworkContext, bridges: Bridges): NetworkActs {
  const { state } = context;
  const lock = createKeyedLock();
  const removeAll = (idsOrNames: readonly string[]): Promise<void> =>
    lock.run('networks', () =>
      removeNetworks(context, bridges, [...new Set(idsOrNames.map((name) => state.find(name)))]),
    );
  const batch = new RemovalBatch<string>({
    check: (idOrName) => checkRemovable(context, state.find(idOrName)),
    // Whoever asks until the networks come free goes along.
    remove: (taken) =>
      lock.run('networks', () =>
        removeNetworks(context, bridges, [...new Set(taken().map((idOrName) => state.find(idOrName)))]),
      ),
  });
  return {
    create: (spec) => lock.run('networks', () => createNetwork(context, bridges, spec)),
    inspect: (idOrName) => state.view(state.find(idOrName)),
    list: () => [...state.networks.values()].map((network) => state.view(network)),
    remove: (idOrName) => batch.add(idOrName),
    removeAll,
    prune: (wanted = () => true) =>
      lock.run('networks', async () => {
        const unused = [...state.networks.values()].filter(
          (network) =>
            !(PREDEFINED as readonly string[]).includes(network.name) &&
            state.membersOf(network.id).length === 0 &&
            wanted(network),
        );
        await removeNetworks(context, bridges, unused);
        return unused.map((network) => network.name);
      }),
  };
}

function containerActs(context: NetworkContext, bridges: Bridges): ContainerActs {
  const { state, records, keeper } = context;
  const closeSandbox = async (containerId: string): Promise<void> => {
    await withdraw(context, containerId);
    if (!state.sandboxes.has(containerId)) return;
    await unstack(context, containerId);
    await keeper.removeSandbox(containerId);
    state.sandboxes.delete(containerId);
  };
  return {
    async prepare(spec) {
      await closeSandbox(spec.containerId);
      if (spec.endpoints.some(({ network }) => network === 'bridge')) await settleDefault(context, bridges);
      const attachment = decideAttachment(context, spec);
      await records.saveAttachment(attachment);
      return attachment.endpoints;
    },
    isPrepared: (containerId) => state.attachments.has(containerId),
    openSandbox: (containerId) => openSandbox(context, bridges, containerId),
    publish: (containerId, ports, replaces) => publish(context, containerId, ports, replaces),
    findPortConflicts: (ports, except) => findPortConflicts(context, ports, except),
    withdraw: (containerId) => withdraw(context, containerId),
    closeSandbox,
    async release(containerId) {
      await closeSandbox(containerId);
      const attachment = state.attachments.get(containerId);
      const watched = attachment !== undefined && isWatched(context, attachment);
      state.attachments.delete(containerId);
      if (watched) await applyEgress(context);
      await records.removeAttachment(containerId);
    },
    async rename(containerId, name) {
      const before = state.attachment(containerId);
      const attachment = { ...before, name };
      state.attachments.set(containerId, attachment);
      await records.saveAttachment(attachment);
      if (!attachment.active) return;
      await publishZones(context, attachment);
      await publishLinks(context, before);
    },
    async setReadiness(containerId, readiness) {
      const before = state.attachment(containerId);
      if ((before.readiness ?? 'ready') === readiness) return;
      const attachment = await becomeReady(context, before, readiness);
      if (attachment.active) await publishZones(context, attachment);
    },
    async stepAside(containerId) {
      const attachment = state.attachments.get(containerId);
      if (attachment?.bound.some((port) => sharedKey(state.attachments, attachment, port) !== undefined))
        await becomeReady(context, attachment, 'unhealthy');
    },
    adopt: (containerId, process) => adopt(context, bridges, containerId, process),
    connect: (network, containerId, containerName, spec) =>
      connectContainer(context, bridges, { network, containerId, containerName }, spec),
    disconnect: (network, containerId) => disconnectContainer(context, network, containerId),
    endpoints: (containerId) => state.attachments.get(containerId)?.endpoints ?? [],
    boundPorts(containerId) {
      const attachment = state.attachments.get(containerId);
      return attachment ? servedPorts(state.attachments, attachment) : [];
    },
    nameFiles: (containerId, spec) => nameFiles(context, containerId, spec),
    async liveNames(containerId, spec) {
      const attachment = state.attachment(containerId);
      return {
        resolvConf: await resolvConfOf(context, attachment),
        ownHosts: ownHostLines(spec, attachment.endpoints),
      };
    },
  };
}

/** A running container of a lost keeper: its namespace, names and ports are held again. */
async function adopt(
  context: NetworkContext,
  bridges: Bridges,
  containerId: string,
  process: ProcessIdentity,
): Promise<Sandbox> {
  const attachment = context.state.former.get(containerId) ?? context.state.attachment(containerId);
  if (usesHostNetwork(context, attachment)) return { path: null, endpoints: attachment.endpoints };
  const networks = attachment.endpoints.flatMap((endpoint) => context.state.networks.get(endpoint.networkId) ?? []);
  for (const network of networks.filter(isBridged)) await bridges.guard(network);
  const hasNames = networks.some(isAddressed);
  const { path } = await context.keeper.adoptSandbox(containerId, process, hasNames);
  context.state.sandboxes.set(containerId, path);
  const before = serversOf(context.state, attachment.bound);
  const adopted = { ...attachment, bound: await holdAgain(context, attachment) };
  context.state.attachments.set(containerId, adopted);
  context.state.former.delete(containerId);
  await context.records.saveAttachment(adopted);
  await publishNames(context, adopted);
  if (adopted.active) await publishZones(context, adopted);
  if (adopted.bound.length > 0) await movePorts(context, attachment.bound, before);
  return { path, endpoints: adopted.endpoints };
}

async function nameFiles(context: NetworkContext, containerId: string, spec: NameFilesSpec): Promise<NameFiles> {
  const { state } = context;
  const attachment = state.attachment(containerId);
  const { endpoints } = attachment;
  const onHost = usesHostNetwork(context, attachment);
  const gateways = [state.mainEndpoint(endpoints)?.gateway, state.mainEndpoint6(endpoints)?.gateway6];
  const reached = gateways.flatMap((gateway) => gateway || []);
  // Without a way out the name leads, as with Docker, to where the host would be and does not answer.
  const nowhere = [state.byName('bridge')?.pool?.gateway ?? '127.0.0.1'];
  const hostAddresses = onHost ? ['127.0.0.1'] : reached.length > 0 ? reached : nowhere;
  const base = onHost ? ((await readTextIfExists(context.hostFiles.hosts)) ?? '') : undefined;
  return {
    resolvConf: await resolvConfOf(context, attachment),
    hosts: renderHosts(spec, endpoints, hostAddresses, base),
  };
}

async function resolvConfOf(context: NetworkContext, attachment: Attachment): Promise<string> {
  const ownNames = attachment.endpoints.some((endpoint) => endpoint.interface !== '');
  return renderResolvConf(attachment.dns, await readHostResolver(context), ownNames);
}

function upkeepActs(context: NetworkContext, bridges: Bridges): UpkeepActs {
  const lock = createKeyedLock();
  // As text: what it means is decided where it is used.
  let resolver = '';
  /** The last change of any firewall that was looked at. */
  let generation = 0;
  let lost = false;
  const readResolver = async () => JSON.stringify(await readHostResolver(context));
  return {
    async recover(isKnown) {
      resolver = await readResolver();
      return recover(context, bridges, isKnown);
    },
    async checkResolver() {
      const now = await readResolver();
      if (now === resolver) return false;
      for (const containerId of context.state.sandboxes.keys()) {
        const attachment = context.state.attachments.get(containerId);
        if (attachment) await publishNames(context, attachment);
      }
      resolver = now;
      return true;
    },
    checkFirewall: () =>
      lock.run('firewall', () => {
        const known = lost;
        lost = false;
        return checkFirewall(context, bridges, known);
      }),
    async watchFirewall() {
      if (!context.firewall.isApplied()) return 'idle';
      const request = { table: context.instance, seconds: WATCH_SECONDS, generation };
      // Our own binary's answer.
      const answer = (await runNet(context.keeper, 'watch-firewall', request)) as WatchAnswer;
      generation = answer.generation ?? 0;
      lost = answer.lost ?? false;
      return answer.changed ? 'changed' : 'quiet';
    },
    async advice() {
      const lines = await Promise.all([adviseUfw(context), adviseFirewalld(context, routedBridges(context))]);
      return lines.flatMap((line) => line ?? []);
    },
    // Not beside a check, which would put back what has just gone.
    dismantle: () => lock.run('firewall', () => dismantle(context, bridges)),
  };
}

/** A table that is known to be lost is not looked for again: until it is back, our bridges are open. */
async function checkFirewall(context: NetworkContext, bridges: Bridges, isLost: boolean): Promise<boolean> {
  if (!context.firewall.isApplied()) return false;
  if (!isLost && (await context.firewall.isLoaded())) {
    await passOthers(context);
    return false;
  }
  const names = [...context.state.networks.values()].filter(isBridged).map((network) => network.bridge);
  const standing = names.filter((name) => bridges.isGuarded(name));
  // A bridge that is gone too must not keep the others open.
  await setRouteLocalnet(context, standing, false).catch(() => undefined);
  context.firewall.forget();
  await applyFirewall(context);
  await applyEgress(context);
  await setRouteLocalnet(context, standing, true);
  await passOthers(context);
  return true;
}

async function dismantle(context: NetworkContext, bridges: Bridges): Promise<void> {
  await bridges.remove([...context.state.networks.values()].filter(isBridged));
  await dismantleParents(context);
  if (context.firewall.isApplied() || (await context.firewall.isLoaded())) await context.firewall.remove();
  await unpassOthers(context);
  await removeEgress(context);
  bridges.forget();
}
