/** A field of HostConfig (or of an endpoint) that is understood but not offered. */
export interface UnsupportedField {
  readonly name: string;
  /** Values that mean «not asked for» and are let through; absent, null, empty and zero always are. */
  readonly harmless?: readonly unknown[];
  readonly why: string;
}

/** Everything of HostConfig that is refused when it is set; a test compares the two lists with the published fields. */
export const UNSUPPORTED_HOST_FIELDS: readonly UnsupportedField[] = [
  { name: 'BlkioWeightDevice', why: 'I/O weight of single devices is not offered' },
  { name: 'BlkioDeviceReadBps', why: 'I/O limits of single devices are not offered' },
  { name: 'BlkioDeviceWriteBps', why: 'I/O limits of single devices are not offered' },
  { name: 'BlkioDeviceReadIOps', why: 'I/O limits of single devices are not offered' },
  { name: 'BlkioDeviceWriteIOps', why: 'I/O limits of single devices are not offered' },
  { name: 'CpuRealtimePeriod', why: 'real-time scheduling is not offered' },
  { name: 'CpuRealtimeRuntime', why: 'real-time scheduling is not offered' },
  { name: 'CpuCount', why: 'it exists on Windows only' },
  { name: 'CpuPercent', why: 'it exists on Windows only' },
  { name: 'IOMaximumIOps', why: 'it exists on Windows only' },
  { name: 'IOMaximumBandwidth', why: 'it exists on Windows only' },
  { name: 'Isolation', harmless: ['default'], why: 'it exists on Windows only' },
  { name: 'DeviceRequests', why: 'device requests (GPUs, CDI) are not offered' },
  { name: 'KernelMemory', why: 'the kernel no longer has a limit of its own memory' },
  { name: 'KernelMemoryTCP', why: 'a limit of TCP buffers is not offered' },
  { name: 'VolumeDriver', harmless: ['local'], why: 'volume drivers other than local are not offered' },
  { name: 'StorageOpt', why: 'a size limit of the writable layer is not offered' },
  { name: 'Cgroup', why: 'joining the cgroup of another container is not offered' },
];

/** Fields that are read; together with {@link UNSUPPORTED_HOST_FIELDS} all that a client may send. */
export const KNOWN_HOST_FIELDS: readonly string[] = [
  'AutoRemove',
  'Annotations',
  'Binds',
  'BlkioWeight',
  'CapAdd',
  'CapDrop',
  'Capabilities',
  'CgroupParent',
  'CgroupnsMode',
  'ConsoleSize',
  'ContainerIDFile',
  'CpuPeriod',
  'CpuQuota',
  'CpuShares',
  'CpusetCpus',
  'CpusetMems',
  'DeviceCgroupRules',
  'Devices',
  'Dns',
  'DnsOptions',
  'DnsSearch',
  'ExtraHosts',
  'GroupAdd',
  'Init',
  'IpcMode',
  'Links',
  'LogConfig',
  'MaskedPaths',
  'Memory',
  'MemoryReservation',
  'MemorySwap',
  'MemorySwappiness',
  'Mounts',
  'NanoCpus',
  'NetworkMode',
  'OomKillDisable',
  'OomScoreAdj',
  'PidMode',
  'PidsLimit',
  'PortBindings',
  'Privileged',
  'PublishAllPorts',
  'ReadonlyPaths',
  'ReadonlyRootfs',
  'RestartPolicy',
  'Runtime',
  'SecurityOpt',
  'ShmSize',
  'Sysctls',
  'Tmpfs',
  'UTSMode',
  'Ulimits',
  'UsernsMode',
  'VolumesFrom',
];

/** Whether a value asks for something: not null, false, zero, or empty. */
export function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}
