import { TscError } from '../../core/index.ts';
import { newObjectId } from '../../host/index.ts';
import { isBridged } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { type Allocation, allocateAddress, claimAddress, macOf, parseMac } from './ipam.ts';
import type { AttachmentSpec, Endpoint, EndpointSpec, NetworkRecord } from './network.ts';
import type { Attachment } from './records.ts';

function allocationOn(
  context: NetworkContext,
  network: NetworkRecord & Required<Pick<NetworkRecord, 'pool'>>,
): Allocation {
  const taken = new Set(context.state.membersOf(network.id).map(({ endpoint }) => endpoint.address));
  const last = context.state.lastAddress.get(network.id);
  return { networkName: network.name, pool: network.pool, taken, ...(last === undefined ? {} : { last }) };
}

/** A name for the host end of a link that was never used before: the kernel may still be taking an earlier one apart. */
export function newHostInterface(instance: string): string {
  return `${instance}v${newObjectId().slice(0, 7)}`;
}

/** The lowest free `eth<n>`. */
function freeInterface(endpoints: readonly Endpoint[]): string {
  for (let index = 0; ; index++) {
    const name = `eth${index}`;
    if (!endpoints.some((endpoint) => endpoint.interface === name)) return name;
  }
}

function checkBridgeOnly(network: NetworkRecord, spec: Omit<EndpointSpec, 'network'>): void {
  if (isBridged(network)) {
    if (spec.driverOptions && Object.keys(spec.driverOptions).length > 0)
      throw new TscError(
        'network/unsupported',
        `driver options of an endpoint (${Object.keys(spec.driverOptions).join(', ')}) are not supported`,
      );
    if (network.isDefault && spec.aliases && spec.aliases.length > 0)
      throw new TscError(
        'network/invalid',
        'aliases are only possible on networks you made, not on the default bridge network',
      );
    return;
  }
  if (spec.ipv4 || spec.mac)
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
  const allocation = allocationOn(context, network);
  const address = spec.ipv4 ? claimAddress(allocation, spec.ipv4) : allocateAddress(allocation);
  if (!spec.ipv4) context.state.lastAddress.set(network.id, address);
  return {
    ...base,
    address,
    prefixLength: Number(network.pool.subnet.split('/')[1]),
    gateway: network.internal ? '' : network.pool.gateway,
    mac: spec.mac ? parseMac(spec.mac) : macOf(address),
    interface: freeInterface(others),
    hostInterface: newHostInterface(context.instance),
    fixedAddress: Boolean(spec.ipv4),
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
    ...(spec.links && { links: spec.links }),
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
