import type { IpamConfig, Network, Volume as WireVolume } from '../../api/index.ts';
import type { NetworkView, Volume, VolumeUsage } from '../../engine/index.ts';

/** A network as list (without containers) and inspect (with them) answer it. */
export function networkView(network: NetworkView, withContainers: boolean): Network {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: network.pool !== undefined || network.pool6 === undefined,
    EnableIPv6: network.pool6 !== undefined,
    IPAM: { Driver: 'default', Options: isPredefined(network) ? null : {}, Config: poolViews(network) },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: withContainers ? containersOf(network) : {},
    Options: network.isDefault ? defaultOptions(network) : network.options,
    Labels: network.labels,
  };
}

function isPredefined({ name }: NetworkView): boolean {
  return ['bridge', 'host', 'none'].includes(name);
}

/** What Docker says of its default bridge, which programs read there: its interface and MTU above all. */
function defaultOptions(network: NetworkView): Network['Options'] {
  return {
    'com.docker.network.bridge.default_bridge': 'true',
    'com.docker.network.bridge.enable_icc': 'true',
    'com.docker.network.bridge.enable_ip_masquerade': String(network.masquerade),
    'com.docker.network.bridge.host_binding_ipv4': network.hostBinding ?? '0.0.0.0',
    'com.docker.network.bridge.name': network.bridge ?? '',
    'com.docker.network.driver.mtu': String(network.mtu),
  };
}

function poolViews(network: NetworkView): readonly IpamConfig[] | null {
  const views = ([4, 6] as const).flatMap((family) => {
    const pool = family === 4 ? network.pool : network.pool6;
    // Nobody has the gateway's address there.
    const without = network.internal && (network.withoutGateway?.includes(family) ?? false);
    return pool ? [poolView(pool, without)] : [];
  });
  return views.length > 0 ? views : null;
}

function poolView(pool: NonNullable<NetworkView['pool']>, withoutGateway: boolean): IpamConfig {
  return {
    Subnet: pool.subnet,
    ...(pool.ipRange !== undefined && { IPRange: pool.ipRange }),
    ...(!withoutGateway && { Gateway: pool.gateway }),
    ...(Object.keys(pool.auxiliary).length > 0 && { AuxiliaryAddresses: pool.auxiliary }),
  };
}

function containersOf(network: NetworkView): NonNullable<Network['Containers']> {
  return Object.fromEntries(
    network.endpoints
      .filter((endpoint) => endpoint.active)
      .map((endpoint) => [
        endpoint.containerId,
        {
          Name: endpoint.containerName,
          EndpointID: endpoint.endpointId,
          MacAddress: endpoint.mac,
          IPv4Address: endpoint.address === '' ? '' : `${endpoint.address}/${endpoint.prefixLength}`,
          IPv6Address: endpoint.address6 ? `${endpoint.address6}/${endpoint.prefixLength6}` : '',
        },
      ]),
  );
}

/** A volume as it travels; `usage` only for disk usage. */
export function volumeView(volume: Volume, usage?: VolumeUsage): WireVolume {
  const labels = volume.anonymous ? { 'com.docker.volume.anonymous': '', ...volume.labels } : volume.labels;
  return {
    Name: volume.name,
    Driver: volume.driver,
    Mountpoint: volume.mountpoint,
    CreatedAt: volume.created,
    Labels: Object.keys(labels).length === 0 ? null : labels,
    Scope: 'local',
    Options: Object.keys(volume.options).length === 0 ? null : volume.options,
    ...(usage && { UsageData: { Size: usage.sizeBytes, RefCount: usage.references } }),
  };
}
