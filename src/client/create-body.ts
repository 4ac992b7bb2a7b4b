import type { ContainerSpec, EndpointSpec, HealthcheckSpec, MountSpec, PortPublication } from './container-spec.ts';

/** The spec as the body of the API's container create call. Pure; keys without a value are left out. */
export function toCreateBody(spec: ContainerSpec, firstEndpointOnly = false): Record<string, unknown> {
  const ports = spec.ports.map(portKey);
  return compact({
    Image: spec.image,
    Cmd: spec.command,
    Entrypoint: spec.entrypoint,
    Env: Object.entries(spec.environment).map(([name, value]) => (value === null ? name : `${name}=${value}`)),
    Labels: spec.labels,
    User: spec.user,
    WorkingDir: spec.workingDir,
    Hostname: spec.hostname,
    Domainname: spec.domainname,
    Tty: spec.tty,
    OpenStdin: spec.openStdin,
    StdinOnce: spec.stdinOnce,
    AttachStdin: spec.stdinOnce,
    AttachStdout: spec.stdinOnce,
    AttachStderr: spec.stdinOnce,
    StopSignal: spec.stopSignal,
    StopTimeout: spec.stopTimeout,
    ExposedPorts: keysToEmpty([...spec.exposed, ...ports]),
    Volumes: keysToEmpty(spec.mounts.filter(isAnonymous).map((mount) => mount.target)),
    Healthcheck: spec.healthcheck && toHealthcheck(spec.healthcheck),
    HostConfig: toHostConfig(spec),
    NetworkingConfig: toNetworkingConfig(firstEndpointOnly ? spec.endpoints.slice(0, 1) : spec.endpoints),
  });
}

/** The engine's mark on volumes that got no name. */
export const ANONYMOUS_VOLUME_LABEL = 'com.docker.volume.anonymous';

/** The engine takes the name of an interface as an option of the driver. */
function driverOptionsOf({ driverOptions, interfaceName }: EndpointSpec): Readonly<Record<string, string>> | undefined {
  return interfaceName === undefined
    ? driverOptions
    : { 'com.docker.network.endpoint.ifname': interfaceName, ...driverOptions };
}

/** One endpoint as the API's EndpointSettings. */
export function toEndpointSettings(endpoint: EndpointSpec): Record<string, unknown> {
  const ipam = compact({
    IPv4Address: endpoint.ipv4Address,
    IPv6Address: endpoint.ipv6Address,
    LinkLocalIPs: endpoint.linkLocalAddresses,
  });
  return compact({
    Aliases: endpoint.aliases,
    Links: endpoint.links,
    IPAMConfig: Object.keys(ipam).length > 0 ? ipam : undefined,
    MacAddress: endpoint.macAddress,
    DriverOpts: driverOptionsOf(endpoint),
    GwPriority: endpoint.gatewayPriority,
  });
}

function toNetworkingConfig(endpoints: readonly EndpointSpec[]): Record<string, unknown> {
  return {
    EndpointsConfig: Object.fromEntries(endpoints.map((endpoint) => [endpoint.network, toEndpointSettings(endpoint)])),
  };
}

function toHostConfig(spec: ContainerSpec): Record<string, unknown> {
  return compact({
    ...toLimits(spec),
    ...toSecurity(spec),
    AutoRemove: spec.autoRemove,
    Init: spec.init,
    RestartPolicy: spec.restart && {
      Name: spec.restart.name,
      MaximumRetryCount: spec.restart.maximumRetries ?? 0,
    },
    PortBindings: toPortBindings(spec.ports),
    Binds: nonEmpty(spec.mounts.filter(isBindLine).map(toBindLine)),
    Mounts: nonEmpty(spec.mounts.filter((mount) => !isBindLine(mount) && !isAnonymous(mount)).map(toMount)),
    Tmpfs: spec.tmpfs,
    VolumesFrom: spec.volumesFrom,
    NetworkMode: spec.networkMode,
    Links: spec.links,
    ExtraHosts: spec.extraHosts,
    Dns: spec.dns,
    DnsSearch: spec.dnsSearch,
    DnsOptions: spec.dnsOptions,
    PidMode: spec.pidMode,
    IpcMode: spec.ipcMode,
    UTSMode: spec.utsMode,
    Runtime: spec.runtime,
    Sysctls: spec.sysctls,
    LogConfig: spec.logging && { Type: spec.logging.driver ?? '', Config: spec.logging.options ?? {} },
  });
}

function toLimits({ resources }: ContainerSpec): Record<string, unknown> {
  return {
    Memory: resources?.memory,
    MemoryReservation: resources?.memoryReservation,
    MemorySwap: resources?.memorySwap,
    MemorySwappiness: resources?.memorySwappiness,
    NanoCpus: resources?.nanoCpus,
    CpuShares: resources?.cpuShares,
    CpuPeriod: resources?.cpuPeriod,
    CpuQuota: resources?.cpuQuota,
    CpusetCpus: resources?.cpuset,
    PidsLimit: resources?.pidsLimit,
    OomKillDisable: resources?.oomKillDisable,
    OomScoreAdj: resources?.oomScoreAdj,
    ShmSize: resources?.shmSize,
    BlkioWeight: resources?.blkioWeight,
    Ulimits: resources?.ulimits?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
  };
}

function toSecurity({ security }: ContainerSpec): Record<string, unknown> {
  return {
    Privileged: security?.privileged,
    ReadonlyRootfs: security?.readOnlyRoot,
    CapAdd: security?.capAdd,
    CapDrop: security?.capDrop,
    SecurityOpt: security?.options,
    GroupAdd: security?.groupAdd,
    Devices: security?.devices?.map(({ source, target, permissions }) => ({
      PathOnHost: source,
      PathInContainer: target,
      CgroupPermissions: permissions,
    })),
    DeviceCgroupRules: security?.deviceCgroupRules,
    UsernsMode: security?.usernsMode,
    CgroupnsMode: security?.cgroupMode,
    CgroupParent: security?.cgroupParent,
  };
}

function toHealthcheck(probe: HealthcheckSpec): Record<string, unknown> {
  return compact({
    Test: probe.test,
    Interval: probe.interval,
    Timeout: probe.timeout,
    Retries: probe.retries,
    StartPeriod: probe.startPeriod,
    StartInterval: probe.startInterval,
  });
}

function toPortBindings(ports: readonly PortPublication[]): Record<string, unknown> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    bindings[portKey(port)] ??= [];
    bindings[portKey(port)]?.push({ HostIp: port.hostAddress ?? '', HostPort: port.hostPort ?? '' });
  }
  return bindings;
}

function portKey(port: PortPublication): string {
  return `${port.containerPort}/${port.protocol}`;
}

/** Bind lines create missing host directories and are what `docker run -v` sends; a mount object says the rest. */
function isBindLine(mount: MountSpec): boolean {
  if (mount.source === undefined || mount.source.includes(':') || mount.target.includes(':')) return false;
  if (mount.type === 'bind') return mount.createHostPath === true;
  return mount.type === 'volume' && mount.subpath === undefined && !mount.anonymous;
}

function isAnonymous(mount: MountSpec): boolean {
  return mount.type === 'volume' && mount.source === undefined;
}

function toBindLine(mount: MountSpec): string {
  const options = [mount.readOnly ? 'ro' : 'rw'];
  if (mount.relabel) options.push(mount.relabel);
  if (mount.propagation) options.push(mount.propagation);
  if (mount.noCopy) options.push('nocopy');
  return `${mount.source}:${mount.target}:${options.join(',')}`;
}

function toMount(mount: MountSpec): Record<string, unknown> {
  const volume = compact({
    NoCopy: mount.noCopy,
    Subpath: mount.subpath,
    Labels: mount.anonymous ? { [ANONYMOUS_VOLUME_LABEL]: '' } : undefined,
  });
  const tmpfs = compact({ SizeBytes: mount.tmpfsSize, Mode: mount.tmpfsMode });
  const bind = compact({ Propagation: mount.propagation, CreateMountpoint: mount.createHostPath });
  return compact({
    Type: mount.type,
    Source: mount.source,
    Target: mount.target,
    ReadOnly: mount.readOnly,
    BindOptions: mount.type === 'bind' && Object.keys(bind).length > 0 ? bind : undefined,
    VolumeOptions: mount.type === 'volume' && Object.keys(volume).length > 0 ? volume : undefined,
    TmpfsOptions: mount.type === 'tmpfs' && Object.keys(tmpfs).length > 0 ? tmpfs : undefined,
  });
}

function keysToEmpty(keys: readonly string[]): Record<string, object> | undefined {
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map((key) => [key, {}]));
}

function nonEmpty<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items;
}

function compact(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}
