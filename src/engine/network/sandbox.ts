import { shortId, TscError } from '../../core/index.ts';
import { readTextIfExists } from '../../host/index.ts';
import { newHostInterface } from './attach.ts';
import { type Bridges, isAddressed, isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { applyEgress, egressNames, isWatched } from './egress/apply-egress.ts';
import type { SandboxConfig, SandboxLink, SandboxNames, SandboxRoute } from './keeper-port.ts';
import { chooseUpstreams, parseResolvConf, type ResolvConf } from './names/resolver.ts';
import { buildZone } from './names/zone.ts';
import type { Endpoint, NetworkRecord, Sandbox } from './network.ts';
import { isStacked, makeParent } from './parents.ts';
import type { Attachment } from './records.ts';

/** The network of an endpoint; it may have been removed while its container was stopped. */
export function networkOf(context: NetworkContext, endpoint: Endpoint): NetworkRecord {
  const network = context.state.networks.get(endpoint.networkId);
  if (!network) {
    throw new TscError(
      'network/not-found',
      `network ${endpoint.networkName} (${endpoint.networkId.slice(0, 12)}) was removed`,
      {
        hint: 'create the container again',
      },
    );
  }
  return network;
}

export function usesHostNetwork(context: NetworkContext, attachment: Attachment): boolean {
  return attachment.endpoints.some((endpoint) => networkOf(context, endpoint).driver === 'host');
}

/** The link of one endpoint in the keeper's words. */
export function linkOf(endpoint: Endpoint, network: NetworkRecord): SandboxLink | undefined {
  const addresses = [
    ...(endpoint.address ? [`${endpoint.address}/${endpoint.prefixLength}`] : []),
    ...(endpoint.address6 ? [`${endpoint.address6}/${endpoint.prefixLength6 ?? 128}`] : []),
    ...(endpoint.linkLocal ?? []),
  ];
  const common = { interface: endpoint.interface, addresses, mtu: network.mtu };
  if (isStacked(network)) {
    const { name, mode, flag } = network.parent;
    const kind = network.driver === 'ipvlan' ? 'ipvlan' : 'macvlan';
    return { parent: name, kind, mode, ...(flag && { flag }), ...(endpoint.mac && { mac: endpoint.mac }), ...common };
  }
  if (!isBridged(network)) return undefined;
  return {
    bridge: network.bridge,
    host_interface: endpoint.hostInterface,
    mac: endpoint.mac,
    ...common,
    ...(network.apart && { isolated: true }),
  };
}

function defaultRoute(
  endpoint: Endpoint | undefined,
  gateway: string | undefined,
  everything: string,
): readonly SandboxRoute[] {
  if (endpoint?.direct) return [{ destination: everything, interface: endpoint.interface }];
  return endpoint && gateway ? [{ destination: 'default', via: gateway, interface: endpoint.interface }] : [];
}

/** The ways out of a sandbox, one of each family; they may lead through different networks. */
export function defaultRoutes(context: NetworkContext, endpoints: readonly Endpoint[]): readonly SandboxRoute[] {
  const main = context.state.mainEndpoint(endpoints);
  const main6 = context.state.mainEndpoint6(endpoints);
  return [...defaultRoute(main, main?.gateway, '0.0.0.0/0'), ...defaultRoute(main6, main6?.gateway6, '::/0')];
}

/** What the keeper builds for a container. Pure but for lookups in the state. */
export function sandboxConfig(context: NetworkContext, attachment: Attachment): SandboxConfig {
  const links = attachment.endpoints.flatMap((endpoint) => linkOf(endpoint, networkOf(context, endpoint)) ?? []);
  return {
    links,
    routes: defaultRoutes(context, attachment.endpoints),
    // As in Docker: any user of a container may bind low ports and send pings.
    sysctls: {
      'net.ipv4.ip_unprivileged_port_start': '0',
      'net.ipv4.ping_group_range': '0 2147483647',
      ...attachment.sysctls,
      ...Object.assign({}, ...attachment.endpoints.map((endpoint) => endpoint.sysctls)),
    },
    names: links.length > 0,
  };
}

/** The host's resolver settings. systemd-resolved's stub keeps the real servers in a file of its own, but the stub works too. */
export async function readHostResolver(context: NetworkContext): Promise<ResolvConf> {
  return parseResolvConf((await readTextIfExists(context.hostFiles.resolvConf)) ?? '');
}

/** What the names of an endpoint lead to. */
function addressesOf(endpoint: Endpoint): readonly string[] {
  return [endpoint.address, endpoint.address6 ?? ''].filter((address) => address !== '');
}

/**
 * Names a container alone has for others, from its links. On the default network, which has no names else, the other's own
 * ones come with it, as in the hosts file of old.
 */
function linkedNames(context: NetworkContext, attachment: Attachment): Record<string, readonly string[]> {
  const names: Record<string, readonly string[]> = {};
  for (const endpoint of attachment.endpoints) {
    const isDefault = networkOf(context, endpoint).isDefault;
    for (const { container, alias } of endpoint.links ?? []) {
      const other = [...context.state.attachments.values()].find(({ name, active }) => active && name === container);
      const shared = other?.endpoints.find(({ networkId }) => networkId === endpoint.networkId);
      if (!other || !shared) continue;
      const own = isDefault ? [other.name, shortId(other.containerId)] : [];
      for (const name of [alias, ...own].map((text) => text.toLowerCase()))
        names[name] = [...new Set([...(names[name] ?? []), ...addressesOf(shared)])];
    }
  }
  return names;
}

/** Tells the sandboxes with links to a container that it came, went or moved. */
export async function publishLinks(context: NetworkContext, target: Attachment): Promise<void> {
  const linked = [...context.state.attachments.values()].filter(
    ({ containerId, endpoints }) =>
      context.state.sandboxes.has(containerId) &&
      endpoints.some(({ links }) => links?.some(({ container }) => container === target.name)),
  );
  await Promise.all(linked.map((attachment) => publishNames(context, attachment)));
}

/** What a sandbox's name server answers and where it asks. */
export function sandboxNames(context: NetworkContext, attachment: Attachment, host: ResolvConf): SandboxNames {
  const networks = attachment.endpoints.map((endpoint) => networkOf(context, endpoint));
  return {
    name: attachment.containerId,
    zones: networks.filter((network) => isAddressed(network) && !network.isDefault).map((network) => network.id),
    extra: linkedNames(context, attachment),
    // The questions of a limited container are asked by the host: the container itself reaches no name server.
    upstreams: chooseUpstreams(attachment.dns, host).map((server) =>
      attachment.egress ? { ...server, host: true } : server,
    ),
    internal: networks.every((network) => network.internal),
    search: attachment.dns?.search ?? host.search,
    ...egressNames(context, attachment),
  };
}

export async function publishNames(context: NetworkContext, attachment: Attachment): Promise<void> {
  if (!attachment.endpoints.some((endpoint) => endpoint.interface !== '')) return;
  await context.keeper.publishNames(sandboxNames(context, attachment, await readHostResolver(context)));
}

/** The zone of a network as its active members make it. */
export async function publishZone(context: NetworkContext, network: NetworkRecord): Promise<void> {
  if (!isAddressed(network) || network.isDefault) return;
  const members = context.state
    .membersOf(network.id)
    .filter(({ attachment }) => attachment.active)
    .map(({ attachment, endpoint }) => ({
      containerId: attachment.containerId,
      containerName: attachment.name,
      aliases: endpoint.aliases,
      addresses: addressesOf(endpoint),
      readiness: attachment.readiness ?? 'ready',
    }));
  await context.keeper.publishZone(network.id, buildZone(network.name, members));
}

export async function publishZones(context: NetworkContext, attachment: Attachment): Promise<void> {
  const networks = attachment.endpoints.flatMap((endpoint) => context.state.networks.get(endpoint.networkId) ?? []);
  await Promise.all([...networks.map((network) => publishZone(context, network)), publishLinks(context, attachment)]);
}

/** Opens a container's sandbox; the open one is returned when there is one. */
export async function openSandbox(context: NetworkContext, bridges: Bridges, containerId: string): Promise<Sandbox> {
  const recorded = context.state.attachment(containerId);
  if (usesHostNetwork(context, recorded)) return { path: null, endpoints: recorded.endpoints };
  const open = context.state.sandboxes.get(containerId);
  if (open !== undefined) return { path: open, endpoints: recorded.endpoints };
  const endpoints = recorded.endpoints.map((endpoint) =>
    endpoint.hostInterface === '' ? endpoint : { ...endpoint, hostInterface: newHostInterface(context.instance) },
  );
  const attachment: Attachment = { ...recorded, endpoints };
  context.state.attachments.set(containerId, attachment);
  await context.records.saveAttachment(attachment);
  for (const endpoint of endpoints) {
    const network = networkOf(context, endpoint);
    if (isBridged(network)) await bridges.guard(network);
    else if (isStacked(network)) await makeParent(context, network);
  }
  if (isWatched(context, attachment)) await applyEgress(context);
  const { path } = await context.keeper.createSandbox(containerId, sandboxConfig(context, attachment));
  try {
    await publishNames(context, attachment);
  } catch (error) {
    await context.keeper.removeSandbox(containerId);
    throw error;
  }
  context.state.sandboxes.set(containerId, path);
  return { path, endpoints };
}
