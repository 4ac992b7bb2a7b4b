import type { HostConfig, PortMap } from '../../api/index.ts';
import type { ContainerDetails } from '../../engine/index.ts';
import { present } from './present.ts';

type EngineHost = ContainerDetails['host'];

/** `db:database` of container web as Docker shows it: `/db:/web/database`. Create takes that form, too. */
function linkView(link: string, owner: string): string {
  const [target = '', alias = target] = link.split(':').map((part) => part.replace(/^.*\//, ''));
  return `/${target}:/${owner}/${alias}`;
}

/** `HostConfig` of inspect of the container named so: every published field, so that a client can send it back to create. */
export function hostConfigView(host: EngineHost, owner: string): HostConfig {
  return {
    Binds: orNull(host.binds),
    ContainerIDFile: '',
    LogConfig: { Type: host.logging.driver === '' ? 'json-file' : host.logging.driver, Config: host.logging.options },
    NetworkMode: host.networkMode,
    PortBindings: portBindings(host),
    RestartPolicy: { Name: host.restartPolicy.name, MaximumRetryCount: host.restartPolicy.maximumRetries },
    AutoRemove: host.autoRemove,
    VolumesFrom: orNull(host.volumesFrom),
    ConsoleSize: [host.consoleSize?.rows ?? 0, host.consoleSize?.columns ?? 0],
    ...(Object.keys(host.annotations).length > 0 && { Annotations: host.annotations }),
    CapAdd: orNull(host.capAdd),
    CapDrop: orNull(host.capDrop),
    CgroupnsMode: host.cgroupnsMode === '' ? 'private' : host.cgroupnsMode,
    Dns: host.dns,
    DnsOptions: host.dnsOptions,
    DnsSearch: host.dnsSearch,
    ExtraHosts: orNull(host.extraHosts),
    GroupAdd: orNull(host.groupAdd),
    IpcMode: host.ipcMode === '' ? 'private' : host.ipcMode,
    Links: orNull(host.links.map((link) => linkView(link, owner))),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    ...(Object.keys(host.tmpfs).length > 0 && { Tmpfs: host.tmpfs }),
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSizeBytes === 0 ? 64 << 20 : host.shmSizeBytes,
    ...(Object.keys(host.sysctls).length > 0 && { Sysctls: host.sysctls }),
    Runtime: host.runtime,
    ...(host.mounts.length > 0 && { Mounts: host.mounts.map(mountRequest) }),
    MaskedPaths: host.maskedPaths ?? null,
    ReadonlyPaths: host.readonlyPaths ?? null,
    ...(host.init && { Init: true }),
    ...resourcesView(host),
  };
}

function resourcesView(host: EngineHost): Partial<HostConfig> {
  const { resources } = host;
  return {
    CpuShares: resources.cpuShares ?? 0,
    Memory: resources.memoryBytes ?? 0,
    NanoCpus: resources.nanoCpus ?? 0,
    CgroupParent: host.cgroupParent,
    BlkioWeight: resources.blkioWeight ?? 0,
    CpuPeriod: resources.cpuPeriod ?? 0,
    CpuQuota: resources.cpuQuota ?? 0,
    CpusetCpus: resources.cpusetCpus ?? '',
    CpusetMems: resources.cpusetMems ?? '',
    Devices: host.devices.map((device) => ({
      PathOnHost: device.source,
      PathInContainer: device.target,
      CgroupPermissions: device.permissions,
    })),
    DeviceCgroupRules: orNull(host.deviceCgroupRules),
    MemoryReservation: resources.memoryReservationBytes ?? 0,
    MemorySwap: resources.memorySwapBytes ?? 0,
    MemorySwappiness: resources.memorySwappiness ?? null,
    OomKillDisable: resources.oomKillDisable ?? false,
    PidsLimit: resources.pidsLimit ?? null,
    Ulimits: host.ulimits.map((limit) => ({ Name: limit.name, Soft: limit.soft, Hard: limit.hard })),
  };
}

function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

function portBindings(host: EngineHost): PortMap {
  const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const binding of host.portBindings) {
    const list = map[binding.containerPort] ?? [];
    list.push({ HostIp: binding.hostAddress, HostPort: binding.hostPort });
    map[binding.containerPort] = list;
  }
  return map;
}

function mountRequest(mount: EngineHost['mounts'][number]) {
  const bind = present({
    Propagation: mount.propagation,
    CreateMountpoint: mount.createMountpoint,
    NonRecursive: mount.nonRecursive,
  });
  const volume = present({
    NoCopy: mount.noCopy,
    Labels: mount.volumeLabels,
    Subpath: mount.type === 'volume' ? mount.subpath : undefined,
    DriverConfig:
      mount.volumeDriver === undefined && mount.volumeDriverOptions === undefined
        ? undefined
        : present({ Name: mount.volumeDriver, Options: mount.volumeDriverOptions }),
  });
  const tmpfs = present({ SizeBytes: mount.tmpfsSizeBytes, Mode: mount.tmpfsMode });
  const some = <T extends object>(options: T) => (Object.keys(options).length === 0 ? undefined : options);
  return {
    Type: mount.type,
    ...present({
      Source: mount.source,
      Target: mount.target,
      ReadOnly: mount.readOnly,
      BindOptions: some(bind),
      VolumeOptions: some(volume),
      TmpfsOptions: some(tmpfs),
      ImageOptions: mount.type === 'image' && mount.subpath !== undefined ? { Subpath: mount.subpath } : undefined,
    }),
  };
}
