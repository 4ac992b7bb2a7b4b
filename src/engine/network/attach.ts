import { TscError } from '../../core/index.ts';
import { newObjectId } from '../../host/index.ts';
import { isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { readEndpointOptions, readLinkLocal, readLinks } from './endpoint-options.ts';
import { type Allocation, allocateAddress, claimAddress, macOf, parseMac } from './ipam.ts';
import type { AttachmentSpec, Endpoint, EndpointSpec, NetworkRecord, Pool } from './network.ts';
import type { Attachment } from './records.ts';

/** An address of one pool: the one wanted, or the next free one. */
function addressIn(context: NetworkContext, network: NetworkRecord, pool: Pool, wanted: string | undefined): string {
  const taken = new Set(
    context.state.membersOf(network.id).flatMap(({ endpoint }) => [endpoint.address, endpoint.address6 ?? '']),
  );
  const { lastAddress } = context.state;
  const last = lastAddress.get(pool.subnet);
  const allocation: Allocation = { networkName: network.name, pool, taken, ...(last === undefined ? {} : { last }) };
  if (wanted) return claimAddress(allocation, wanted);
  const address = allocateAddress(allocation);
  lastAddress.set(pool.subnet, address);
  return address;
}

function prefixOf(pool: Pool): number {
  return Number(pool.subnet.split('/')[1]);
}

/** A name for the host end of a link that was never used before: the kernel may still be taking an earlier one apart. */
export function newHostInterface(instance: string): string {
  return `${instance}v${newObjectId().slice(0, 7)}`;
}

function checkBridgeOnly(network: NetworkRecord, spec: Omit<EndpointSpec, 'network'>): void {
  if (isBridged(network)) {
    if (network.isDefault && spec.aliases && spec.aliases.length > 0)
      throw new TscError(
        'network/invalid',
        'aliases are only possible on networks you made, not on the default bridge network',
      );
    if (spec.ipv6 && !network.pool6)
      throw new TscError('network/invalid', `network ${network.name} has no IPv6 for address ${spec.ipv6}`, {
        hint: 'set enable_ipv6 on the network, or leave the address out',
      });
    return;
  }
  if (spec.links?.length) throw new TscError('network/invalid', `network ${network.name} has no names for links`);
  if (spec.ipv4 || spec.ipv6 || spec.mac || spec.linkLocal?.length || Object.keys(spec.driverOptions ?? {}).length > 0)
    throw new TscError('network/invalid', `network ${network.name} gives no addresses to choose`);
}

/** An endpoint with everything decided. Throws network/exhausted, network/conflict, network/invalid. */
export function makeEndpoint(
  context: NetworkContext,
  network: NetworkRecord,
  spec: Omit<EndpointSpec, 'network'>,
  others: readonly Endpoint[],
): Endpoint {
  checkBridgeOnly(network, spec);
  const base = {
    endpointId: newObjectId(),
    networkId: network.id,
    networkName: network.name,
    aliases: [...new Set(spec.aliases ?? [])],
    gatewayPriority: spec.gatewayPriority ?? 0,
    ...(spec.links?.length && { links: readLinks(spec.links) }),
  };
  if (!isBridged(network)) {
    return {
      ...base,
      address: '',
      prefixLength: 0,
      gateway: '',
      mac: '',
      interface: '',
      hostInterface: '',
      fixedAddress: false,
    };
  }
  const options = readEndpointOptions(network, spec.driverOptions ?? {}, others);
  const linkLocal = readLinkLocal(network, spec.linkLocal ?? []);
  const mac = spec.mac && parseMac(spec.mac);
  const address = addressIn(context, network, network.pool, spec.ipv4);
  return {
    ...base,
    address,
    prefixLength: prefixOf(network.pool),
    gateway: network.internal ? '' : network.pool.gateway,
    ...(network.pool6 && ipv6Part(context, network, network.pool6, spec.ipv6)),
    ...(linkLocal.length > 0 && { linkLocal }),
    mac: mac || macOf(address),
    ...options,
    hostInterface: newHostInterface(context.instance),
    fixedAddress: Boolean(spec.ipv4),
  };
}

function ipv6Part(context: NetworkContext, network: NetworkRecord, pool: Pool, wanted: string | undefined) {
  return {
    address6: addressIn(context, network, pool, wanted),
    prefixLength6: prefixOf(pool),
    ...(!network.internal && { gateway6: pool.gateway }),
  };
}

/** Whether two endpoints of one container may stand side by side. */
export function checkTogether(networks: readonly NetworkRecord[], containerName: string): void {
  const alone = networks.find((network) => !isBridged(network));
  if (alone && networks.length > 1)
    throw new TscError(
      'network/conflict',
      `container ${containerName} cannot be on network ${alone.name} and others at once`,
    );
  const twice = networks.find((network, index) => networks.indexOf(network) !== index);
  if (twice) throw new TscError('network/conflict', `container ${containerName} is already on network ${twice.name}`);
}

/** Decides all endpoints of a container. On failure nothing is kept; on success the attachment is in the state, not yet on disk. */
export function decideAttachment(context: NetworkContext, spec: AttachmentSpec): Attachment {
  const networks = spec.endpoints.map((endpoint) => context.state.find(endpoint.network));
  checkTogether(networks, spec.name);
  const before = context.state.attachments.get(spec.containerId);
  context.state.attachments.delete(spec.containerId);
  const base = {
    containerId: spec.containerId,
    name: spec.name,
    bound: [],
    active: false,
    ...(spec.dns && { dns: spec.dns }),
    ...(spec.sysctls && { sysctls: spec.sysctls }),
  };
  let attachment: Attachment = { ...base, endpoints: [] };
  try {
    spec.endpoints.forEach((endpoint, index) => {
      const network = networks[index];
      if (!network) return;
      attachment = {
        ...base,
        endpoints: [...attachment.endpoints, makeEndpoint(context, network, endpoint, attachment.endpoints)],
      };
      context.state.attachments.set(spec.containerId, attachment);
    });
  } catch (error) {
    if (before) context.state.attachments.set(spec.containerId, before);
    else context.state.attachments.delete(spec.containerId);
    throw error;
  }
  context.state.attachments.set(spec.containerId, attachment);
  return attachment;
}
