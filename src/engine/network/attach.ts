import { TscError } from '../../core/index.ts';
import { newObjectId } from '../../host/index.ts';
import { isAddressed, isBridged, isWithoutGateway } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { readEndpointOptions, readLinkLocal, readLinks } from './endpoint-options.ts';
import { hostInterfacePrefix } from './host-network.ts';
import { type Allocation, allocateAddress, claimAddress, macOf, parseMac } from './ipam.ts';
import { checkDns } from './names/resolver.ts';
import type { AttachmentSpec, Endpoint, EndpointSpec, NetworkRecord, Pool } from './network.ts';
import type { Attachment } from './records.ts';

/** An address of one pool: the one wanted, or the next free one. */
function addressIn(context: NetworkContext, network: NetworkRecord, pool: Pool, wanted: string | undefined): string {
  const taken = new Set(
    context.state.membersOf(network.id).flatMap(({ endpoint }) => [endpoint.address, endpoint.address6 ?? '']),
  );
  const { lastAddress } = context.state;
  const last = lastAddress.get(pool.subnet);
  const allocation: Allocation = {
    networkName: network.name,
    pool,
    taken,
    withoutGateway: isWithoutGateway(network, pool === network.pool ? 4 : 6),
    ...(last === undefined ? {} : { last }),
  };
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
  return `${hostInterfacePrefix(instance)}${newObjectId().slice(0, 7)}`;
}

/** Names that the name server answers by itself, whatever a network says (RFC 6761). */
const RESERVED = /^localhost\.?$/i;

function checkAliases(network: NetworkRecord, aliases: readonly string[]): void {
  if (aliases.length > 0 && (network.isDefault || !isAddressed(network)))
    throw new TscError(
      'network/invalid',
      `network-scoped aliases are only supported for user-defined networks, not on network ${network.name}`,
    );
  if (aliases.some((alias) => RESERVED.test(alias)))
    throw new TscError('network/invalid', 'alias localhost is reserved: to every container it means itself');
}

function checkWishes(network: NetworkRecord, spec: Omit<EndpointSpec, 'network'>): void {
  if (spec.mac && sharesMac(network))
    throw new TscError(
      'network/invalid',
      `network ${network.name}: its containers have the MAC address of the parent`,
      {
        hint: 'leave the MAC address out, or use a macvlan network',
      },
    );
  if (isAddressed(network)) {
    if (spec.ipv4 && !network.pool)
      throw new TscError('network/invalid', `network ${network.name} has no IPv4 for address ${spec.ipv4}`, {
        hint: 'leave the address out, or enable_ipv4 on the network',
      });
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

/** Whether containers have the hardware address of the interface they stand on. */
function sharesMac({ driver, parent }: NetworkRecord): boolean {
  return driver === 'ipvlan' || parent?.mode === 'passthru';
}

/** Where the way out leads: the bridge, or the auxiliary address with Docker's name for another router on it. */
function gatewayOf({ driver }: NetworkRecord, pool: Pool, family: 4 | 6): string {
  return (driver === 'bridge' ? pool.auxiliary[`DefaultGatewayIPv${family}`] : undefined) ?? pool.gateway;
}

type Addresses = Pick<
  Endpoint,
  'address' | 'prefixLength' | 'gateway' | 'address6' | 'prefixLength6' | 'gateway6' | 'direct'
>;

/** Addresses of the families that the network has, and the gateways where there is a way out over one. */
function addressesIn(
  context: NetworkContext,
  network: NetworkRecord,
  spec: Pick<EndpointSpec, 'ipv4' | 'ipv6'>,
): Addresses {
  const { pool, pool6 } = network;
  const direct = !network.internal && network.driver === 'ipvlan' && network.parent?.mode !== 'l2';
  const closed = network.internal || direct;
  return {
    address: pool ? addressIn(context, network, pool, spec.ipv4) : '',
    prefixLength: pool ? prefixOf(pool) : 0,
    gateway: closed || !pool ? '' : gatewayOf(network, pool, 4),
    ...(pool6 && {
      address6: addressIn(context, network, pool6, spec.ipv6),
      prefixLength6: prefixOf(pool6),
      ...(!closed && { gateway6: gatewayOf(network, pool6, 6) }),
    }),
    ...(direct && { direct }),
  };
}

/** An endpoint with everything decided. Throws network/exhausted, network/conflict, network/invalid. */
export function makeEndpoint(
  context: NetworkContext,
  network: NetworkRecord,
  spec: Omit<EndpointSpec, 'network'>,
  others: readonly Endpoint[],
): Endpoint {
  checkAliases(network, spec.aliases ?? []);
  checkWishes(network, spec);
  const base = {
    endpointId: newObjectId(),
    networkId: network.id,
    networkName: network.name,
    aliases: [...new Set(spec.aliases ?? [])],
    gatewayPriority: spec.gatewayPriority ?? 0,
    ...(spec.links?.length && { links: readLinks(spec.links) }),
  };
  if (!isAddressed(network)) {
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
  const addresses = addressesIn(context, network, spec);
  return {
    ...base,
    ...addresses,
    ...(linkLocal.length > 0 && { linkLocal }),
    mac: sharesMac(network) ? '' : mac || macOf(addresses.address || (addresses.address6 ?? '')),
    ...options,
    hostInterface: network.parent ? '' : newHostInterface(context.instance),
    fixedAddress: Boolean(spec.ipv4),
  };
}

/** Whether two endpoints of one container may stand side by side. */
export function checkTogether(networks: readonly NetworkRecord[], containerName: string, limited = false): void {
  const unseen = limited && networks.find((network) => isAddressed(network) && !isBridged(network));
  if (unseen)
    throw new TscError(
      'network/unsupported',
      `container ${containerName} has an egress list, and what it sends over ${unseen.driver} network ${unseen.name} passes no firewall of this host`,
      { hint: 'use a bridge network, or leave the list out' },
    );
  const alone = networks.find((network) => !isAddressed(network));
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
  checkTogether(networks, spec.name, spec.egress !== undefined);
  checkDns(spec.dns ?? {});
  const before = context.state.attachments.get(spec.containerId);
  context.state.attachments.delete(spec.containerId);
  const base = {
    containerId: spec.containerId,
    name: spec.name,
    bound: [],
    active: false,
    ...(spec.dns && { dns: spec.dns }),
    ...(spec.sysctls && { sysctls: spec.sysctls }),
    ...(spec.egress && { egress: spec.egress }),
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
