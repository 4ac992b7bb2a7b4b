import { TscError } from '../../core/index.ts';
import { checkTogether, makeEndpoint } from './attach.ts';
import { type Bridges, isAddressed, isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { applyEgress, isWatched } from './egress/apply-egress.ts';
import type { Endpoint, EndpointSpec } from './network.ts';
import { isStacked, makeParent } from './parents.ts';
import { redirect } from './publish.ts';
import type { Attachment } from './records.ts';
import { defaultRoutes, linkOf, publishNames, publishZone, publishZones } from './sandbox.ts';

async function store(context: NetworkContext, attachment: Attachment): Promise<void> {
  context.state.attachments.set(attachment.containerId, attachment);
  await context.records.saveAttachment(attachment);
}

/** A container joins a network; live when its sandbox is open. Nothing stays on failure. */
export async function connectContainer(
  context: NetworkContext,
  bridges: Bridges,
  target: { readonly network: string; readonly containerId: string; readonly containerName: string },
  spec: Omit<EndpointSpec, 'network'>,
): Promise<Endpoint> {
  const { containerId } = target;
  const network = context.state.find(target.network);
  const before: Attachment = context.state.attachments.get(containerId) ?? {
    containerId,
    name: target.containerName,
    endpoints: [],
    bound: [],
    active: false,
  };
  // `none` is left by joining something; the placeholder makes way.
  const present = before.endpoints.filter(
    (endpoint) => context.state.networks.get(endpoint.networkId)?.driver !== 'null',
  );
  const networks = present.flatMap((endpoint) => context.state.networks.get(endpoint.networkId) ?? []);
  checkTogether([...networks, network], before.name, before.egress !== undefined);
  const endpoint = makeEndpoint(context, network, spec, present);
  const after: Attachment = { ...before, endpoints: [...present, endpoint] };
  await store(context, after);
  try {
    if (isWatched(context, after)) await applyEgress(context);
    if (context.state.sandboxes.has(containerId) && isAddressed(network))
      await linkLive(context, bridges, after, endpoint);
    if (after.active) await publishZones(context, after);
  } catch (error) {
    await store(context, before);
    throw error;
  }
  return endpoint;
}

/** Whether a way out of the container leads over this endpoint. */
function isForemost(context: NetworkContext, attachment: Attachment, endpoint: Endpoint): boolean {
  const { state } = context;
  return [state.mainEndpoint(attachment.endpoints), state.mainEndpoint6(attachment.endpoints)].includes(endpoint);
}

async function linkLive(
  context: NetworkContext,
  bridges: Bridges,
  attachment: Attachment,
  endpoint: Endpoint,
): Promise<void> {
  const network = context.state.networks.get(endpoint.networkId);
  if (!network) return;
  if (isBridged(network)) await bridges.guard(network);
  else if (isStacked(network)) await makeParent(context, network);
  const link = linkOf(endpoint, network);
  const isMain = isForemost(context, attachment, endpoint);
  await context.keeper.linkSandbox(attachment.containerId, {
    links: link ? [link] : [],
    routes: isMain ? defaultRoutes(context, attachment.endpoints) : [],
    sysctls: endpoint.sysctls ?? {},
    names: true,
  });
  await publishNames(context, attachment);
  if (isMain) await redirect(context, attachment);
}

/** The inverse. When the way out was over this network, another one takes over. */
export async function disconnectContainer(
  context: NetworkContext,
  idOrName: string,
  containerId: string,
): Promise<void> {
  const network = context.state.find(idOrName);
  const before = context.state.attachments.get(containerId);
  const endpoint = before?.endpoints.find((candidate) => candidate.networkId === network.id);
  if (!before || !endpoint)
    throw new TscError(
      'network/not-found',
      `container ${before?.name ?? containerId.slice(0, 12)} is not on network ${network.name}`,
    );
  if (network.driver === 'host')
    throw new TscError('network/denied', `container ${before.name} cannot leave the host network`);
  const after: Attachment = { ...before, endpoints: before.endpoints.filter((candidate) => candidate !== endpoint) };
  await store(context, after);
  await publishZone(context, network);
  await publishZones(context, after);
  if (!context.state.sandboxes.has(containerId)) return;
  await context.keeper.unlinkSandbox(containerId, endpoint.interface);
  if (isWatched(context, before)) await applyEgress(context);
  if (isForemost(context, before, endpoint)) {
    const routes = defaultRoutes(context, after.endpoints);
    if (routes.length > 0) await context.keeper.linkSandbox(containerId, { links: [], routes });
    await redirect(context, after);
  }
  await publishNames(context, after);
}
