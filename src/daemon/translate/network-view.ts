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
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: [network.pool, network.pool6].flatMap((pool) => (pool ? [poolView(pool)] : [])),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: withContainers ? containersOf(network) : {},
    Options: network.options,
    Labels: network.labels,
  };
}

function poolView(pool: NonNullable<NetworkView['pool']>): IpamConfig {
  return {
    Subnet: pool.subnet,
    ...(pool.ipRange !== undefined && { IPRange: pool.ipRange }),
    Gateway: pool.gateway,
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
