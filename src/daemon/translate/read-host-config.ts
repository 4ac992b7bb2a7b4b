import { TscError } from '../../core/index.ts';
import type {
  HostConfig,
  MountSpec,
  PortBinding,
  Propagation,
  Resources,
  RestartPolicy,
  RestartPolicyName,
} from '../../engine/index.ts';
import type { WireObject } from '../wire-object.ts';
import { present } from './present.ts';
import { refuseFields, refuseUnsupportedHostFields } from './unsupported-fields.ts';

/** `HostConfig` of a create call in the engine's words; what is absent stays absent, so the engine's defaults apply. */
export function readHostConfig(host: WireObject): Partial<HostConfig> {
  refuseUnsupportedHostFields(host);
  return present({
    binds: host.strings('Binds'),
    mounts: host.objects('Mounts').map(readMount),
    tmpfs: host.map('Tmpfs'),
    volumesFrom: host.strings('VolumesFrom'),
    networkMode: host.string('NetworkMode') || undefined,
    portBindings: readPortBindings(host),
    publishAllPorts: host.boolean('PublishAllPorts'),
    restartPolicy: readRestartPolicy(host.object('RestartPolicy')),
    autoRemove: host.boolean('AutoRemove'),
    init: host.boolean('Init'),
    resources: readResources(host),
    logging: readLogging(host.object('LogConfig')),
    annotations: host.map('Annotations'),
    runtime: host.string('Runtime'),
    consoleSize: readConsoleSize(host.integers('ConsoleSize')),
    ...readSecurity(host),
    ...readNamespaces(host),
    ...readNames(host),
  });
}

function readSecurity(host: WireObject): Partial<HostConfig> {
  return present({
    privileged: host.boolean('Privileged'),
    capAdd: host.strings('CapAdd'),
    capDrop: host.strings('CapDrop'),
    securityOpt: host.strings('SecurityOpt'),
    readonlyRootfs: host.boolean('ReadonlyRootfs'),
    ulimits: host.objects('Ulimits').map((item) => ({
      name: item.string('Name') ?? '',
      soft: item.integer('Soft') ?? 0,
      hard: item.integer('Hard') ?? 0,
    })),
    devices: host.objects('Devices').map((item) => {
      const source = item.string('PathOnHost') ?? '';
      return {
        source,
        target: item.string('PathInContainer') || source,
        permissions: item.string('CgroupPermissions') || 'rwm',
      };
    }),
    deviceCgroupRules: host.strings('DeviceCgroupRules'),
    sysctls: host.map('Sysctls'),
    groupAdd: host.strings('GroupAdd'),
    oomScoreAdj: host.integer('OomScoreAdj'),
    maskedPaths: host.strings('MaskedPaths'),
    readonlyPaths: host.strings('ReadonlyPaths'),
    shmSizeBytes: host.integer('ShmSize'),
  });
}

function readNamespaces(host: WireObject): Partial<HostConfig> {
  return present({
    pidMode: host.string('PidMode'),
    ipcMode: host.string('IpcMode'),
    utsMode: host.string('UTSMode'),
    cgroupnsMode: host.string('CgroupnsMode'),
    usernsMode: host.string('UsernsMode'),
    cgroupParent: host.string('CgroupParent'),
  });
}

function readNames(host: WireObject): Partial<HostConfig> {
  return present({
    extraHosts: host.strings('ExtraHosts'),
    links: host.strings('Links'),
    dns: host.strings('Dns'),
    dnsSearch: host.strings('DnsSearch'),
    dnsOptions: host.strings('DnsOptions'),
  });
}

/** Limits, of create and of update. 0 and the published «unset» values are left out. */
export function readResources(host: WireObject): Resources {
  const swappiness = host.integer('MemorySwappiness');
  return present({
    memoryBytes: host.integer('Memory') || undefined,
    memorySwapBytes: host.integer('MemorySwap') || undefined,
    memoryReservationBytes: host.integer('MemoryReservation') || undefined,
    // -1 is how clients say «leave it».
    memorySwappiness: swappiness === -1 ? undefined : swappiness,
    nanoCpus: host.integer('NanoCpus') || undefined,
    cpuShares: host.integer('CpuShares') || undefined,
    cpuQuota: host.integer('CpuQuota') || undefined,
    cpuPeriod: host.integer('CpuPeriod') || undefined,
    cpusetCpus: host.string('CpusetCpus') || undefined,
    cpusetMems: host.string('CpusetMems') || undefined,
    pidsLimit: host.integer('PidsLimit') || undefined,
    oomKillDisable: host.boolean('OomKillDisable'),
    blkioWeight: host.integer('BlkioWeight') || undefined,
  });
}

const RESTART_NAMES: readonly string[] = ['no', 'always', 'on-failure', 'unless-stopped'] satisfies RestartPolicyName[];

/** A restart policy; an empty name is `no`. Throws `daemon/invalid`. */
export function readRestartPolicy(policy: WireObject | undefined): RestartPolicy | undefined {
  if (policy === undefined) return undefined;
  const name = policy.string('Name') || 'no';
  const maximumRetries = policy.integer('MaximumRetryCount') ?? 0;
  if (!RESTART_NAMES.includes(name)) {
    throw new TscError('daemon/invalid', `invalid restart policy ${JSON.stringify(name.slice(0, 40))}`, {
      hint: `use one of ${RESTART_NAMES.join(', ')}`,
    });
  }
  if (maximumRetries < 0 || (maximumRetries > 0 && name !== 'on-failure')) {
    throw new TscError('daemon/invalid', `a maximum retry count cannot be used with restart policy ${name}`);
  }
  return { name: name as RestartPolicyName, maximumRetries };
}

function readPortBindings(host: WireObject): PortBinding[] | undefined {
  const ports = host.object('PortBindings');
  if (ports === undefined) return undefined;
  return ports.entries().flatMap(([port]) =>
    ports.objects(port).map((binding) => ({
      containerPort: port.includes('/') ? port : `${port}/tcp`,
      hostAddress: binding.string('HostIp') ?? '',
      hostPort: binding.string('HostPort') ?? '',
    })),
  );
}

function readLogging(logging: WireObject | undefined) {
  if (logging === undefined) return undefined;
  return { driver: logging.string('Type') ?? '', options: logging.map('Config') ?? {} };
}

/** `[height, width]`; zeroes mean unknown. */
export function readConsoleSize(size: readonly number[] | undefined) {
  const [rows = 0, columns = 0] = size ?? [];
  return rows > 0 && columns > 0 ? { rows, columns } : undefined;
}

const MOUNT_TYPES: readonly string[] = ['bind', 'volume', 'tmpfs', 'image'] satisfies MountSpec['type'][];
const PROPAGATIONS: readonly string[] = [
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
] satisfies Propagation[];

function readMount(mount: WireObject): MountSpec {
  const type = mount.string('Type') ?? '';
  if (!MOUNT_TYPES.includes(type)) {
    throw new TscError('daemon/unsupported', `mount type ${JSON.stringify(type.slice(0, 40))} is not supported`, {
      hint: `use one of ${MOUNT_TYPES.join(', ')}`,
    });
  }
  refuseFields(mount, ['ClusterOptions'], 'cluster volumes need a swarm');
  const volume = mount.object('VolumeOptions');
  const tmpfs = mount.object('TmpfsOptions');
  if (tmpfs) refuseFields(tmpfs, ['Options'], 'only size and mode of a tmpfs can be set');
  const driver = volume?.object('DriverConfig');
  return present({
    type: type as MountSpec['type'],
    source: mount.string('Source') || undefined,
    target: mount.string('Target') ?? '',
    readOnly: mount.boolean('ReadOnly'),
    ...readBindOptions(mount.object('BindOptions')),
    noCopy: volume?.boolean('NoCopy'),
    subpath: volume?.string('Subpath') || mount.object('ImageOptions')?.string('Subpath') || undefined,
    volumeLabels: volume?.map('Labels'),
    volumeDriver: driver?.string('Name') || undefined,
    volumeDriverOptions: driver?.map('Options'),
    tmpfsSizeBytes: tmpfs?.integer('SizeBytes') || undefined,
    tmpfsMode: tmpfs?.integer('Mode'),
  });
}

function readBindOptions(bind: WireObject | undefined): Partial<MountSpec> {
  if (bind === undefined) return {};
  refuseFields(
    bind,
    ['ReadOnlyNonRecursive', 'ReadOnlyForceRecursive'],
    'a read-only bind is read-only at its own mount',
  );
  const propagation = bind.string('Propagation') || undefined;
  if (propagation !== undefined && !PROPAGATIONS.includes(propagation)) {
    throw new TscError('daemon/invalid', `invalid propagation ${JSON.stringify(propagation.slice(0, 40))}`);
  }
  return present({
    propagation: propagation as Propagation | undefined,
    createMountpoint: bind.boolean('CreateMountpoint'),
    nonRecursive: bind.boolean('NonRecursive'),
  });
}
