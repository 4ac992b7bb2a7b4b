import type { ContainerId } from '../../core/index.ts';
import type { ProcessIdentity } from '../../host/index.ts';
import type { BoundPort } from '../network/index.ts';

/** What runs inside: the part of a container that an image may supply. Complete once a container exists. */
export interface ContainerConfig {
  /** The reference as the user wrote it. */
  readonly image: string;
  /** Empty: the first 12 digits of the id. */
  readonly hostname: string;
  readonly domainname: string;
  /** `user[:group]`, names or numbers; empty: root. */
  readonly user: string;
  readonly tty: boolean;
  /** Keep stdin open while nobody is attached. */
  readonly openStdin: boolean;
  /** Close stdin when the first attached client goes. */
  readonly stdinOnce: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  /** `KEY=value`; in a spec a bare `KEY` removes what the image sets. */
  readonly env: readonly string[];
  readonly command: readonly string[];
  readonly entrypoint: readonly string[];
  readonly workdir: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Name or number; undefined: the image's, else SIGTERM. */
  readonly stopSignal?: string;
  /** Seconds between stop signal and SIGKILL; undefined: 10; negative: wait for ever. */
  readonly stopTimeoutSeconds?: number;
  readonly healthcheck?: Healthcheck;
  /** `80/tcp`. */
  readonly exposedPorts: readonly string[];
  /** Destinations that get an anonymous volume. */
  readonly volumes: readonly string[];
  readonly shell?: readonly string[];
  readonly networkDisabled: boolean;
}

/** A probe; 0 or absent numbers mean the default (30 s, 30 s, 3, 0, 5 s). Durations in nanoseconds as on the wire. */
export interface Healthcheck {
  /** `['NONE']`, `['CMD', …]`, `['CMD-SHELL', text]`; empty: inherit. */
  readonly test: readonly string[];
  readonly intervalNs?: number;
  readonly timeoutNs?: number;
  readonly startPeriodNs?: number;
  readonly startIntervalNs?: number;
  readonly retries?: number;
}

export type RestartPolicyName = 'no' | 'always' | 'on-failure' | 'unless-stopped';

export interface RestartPolicy {
  readonly name: RestartPolicyName;
  /** Only for on-failure; 0: without limit. */
  readonly maximumRetries: number;
}

export type Propagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** A mount in long form. */
export interface MountSpec {
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Host path, volume name (absent: anonymous) or image reference. */
  readonly source?: string;
  readonly target: string;
  readonly readOnly?: boolean;
  readonly propagation?: Propagation;
  /** bind: make a missing source directory. */
  readonly createMountpoint?: boolean;
  /** bind: mount without submounts. */
  readonly nonRecursive?: boolean;
  /** volume: do not seed from the image's content. */
  readonly noCopy?: boolean;
  /** volume, image: a folder inside. */
  readonly subpath?: string;
  readonly volumeLabels?: Readonly<Record<string, string>>;
  readonly volumeDriver?: string;
  readonly volumeDriverOptions?: Readonly<Record<string, string>>;
  /** tmpfs. */
  readonly tmpfsSizeBytes?: number;
  readonly tmpfsMode?: number;
}

export interface PortBinding {
  /** `80/tcp`, inside. */
  readonly containerPort: string;
  /** Empty: every address of the host. */
  readonly hostAddress: string;
  /** Empty or `0`: any free port; `8000-8010`: the first free one. */
  readonly hostPort: string;
}

export interface DeviceMapping {
  readonly source: string;
  readonly target: string;
  /** Subset of `rwm`. */
  readonly permissions: string;
}

export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** Limits; 0 or absent means no limit. */
export interface Resources {
  readonly memoryBytes?: number;
  /** Memory and swap together; -1: swap without limit. */
  readonly memorySwapBytes?: number;
  readonly memoryReservationBytes?: number;
  readonly nanoCpus?: number;
  readonly cpuShares?: number;
  readonly cpuQuota?: number;
  readonly cpuPeriod?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** Absent: the daemon's default of 4096; -1 or 0 as given by a client: without limit. */
  readonly pidsLimit?: number;
  readonly oomKillDisable?: boolean;
  readonly memorySwappiness?: number;
  readonly blkioWeight?: number;
}

/** What the host grants: never supplied by an image. */
export interface HostConfig {
  /** Short forms `source:target[:options]`. */
  readonly binds: readonly string[];
  readonly mounts: readonly MountSpec[];
  /** target → mount options. */
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly volumesFrom: readonly string[];
  /** `default`, `bridge`, `host`, `none`, `container:<id or name>` or a network. */
  readonly networkMode: string;
  readonly portBindings: readonly PortBinding[];
  readonly publishAllPorts: boolean;
  readonly restartPolicy: RestartPolicy;
  readonly autoRemove: boolean;
  readonly privileged: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  readonly readonlyRootfs: boolean;
  readonly init: boolean;
  readonly resources: Resources;
  readonly ulimits: readonly Ulimit[];
  readonly devices: readonly DeviceMapping[];
  readonly deviceCgroupRules: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  /** Bytes; 0: 64 MiB. */
  readonly shmSizeBytes: number;
  /** `name:address`; the address `host-gateway` stands for the host. */
  readonly extraHosts: readonly string[];
  readonly links: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly groupAdd: readonly string[];
  /** Empty (own), `host` or `container:<id or name>`. */
  readonly pidMode: string;
  /** Empty or `private`, `shareable` (own), `none`, `host`, `container:<id or name>`. */
  readonly ipcMode: string;
  /** Empty (own) or `host`. */
  readonly utsMode: string;
  /** Empty or `private` (own), `host`. */
  readonly cgroupnsMode: string;
  readonly usernsMode: string;
  readonly cgroupParent: string;
  readonly logging: LoggingSpec;
  readonly oomScoreAdj: number;
  /** undefined: the default list. */
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Empty: the bundled runtime. */
  readonly runtime: string;
  /** Terminal size at start. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number };
}

export interface LoggingSpec {
  /** `json-file`, `local` or `none`; empty: json-file. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

/** How a container joins one network. */
export interface EndpointSettings {
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  /** Further addresses, from the link-local ranges. */
  readonly linkLocal?: readonly string[];
  /** The network with the highest value gives the way out. */
  readonly gatewayPriority?: number;
  readonly macAddress?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/** What `create` takes: only the image is required, everything else has the documented default. */
export interface ContainerSpec {
  /** Absent: a generated one. */
  readonly name?: string;
  readonly config: Partial<ContainerConfig> & { readonly image: string };
  readonly host?: Partial<HostConfig>;
  /** Network name or id → endpoint. */
  readonly networks?: Readonly<Record<string, Partial<EndpointSettings>>>;
}

export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface HealthResult {
  readonly start: string;
  readonly end: string;
  readonly exitCode: number;
  /** At most 4096 bytes. */
  readonly output: string;
}

export interface HealthState {
  readonly status: 'none' | 'starting' | 'healthy' | 'unhealthy';
  readonly failingStreak: number;
  /** The last five, oldest first. */
  readonly log: readonly HealthResult[];
}

/** Where a container is in its life. Times are RFC 3339 with nanoseconds; `0001-01-01T00:00:00Z` when not yet. */
export interface ContainerState {
  readonly status: ContainerStatus;
  /** 0 when not running. */
  readonly pid: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly restartCount: number;
  /** Absent without a health check. */
  readonly health?: HealthState;
}

/** A mount as it was resolved at create. */
export interface MountPoint {
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Volume name or image reference. */
  readonly name?: string;
  /** Host path; empty for tmpfs. */
  readonly source: string;
  readonly destination: string;
  readonly driver?: string;
  /** Mode text as the user wrote it, such as `z` or `ro`. */
  readonly mode: string;
  readonly readWrite: boolean;
  readonly propagation: Propagation | '';
  /** How the mount is made. */
  readonly spec: MountSpec;
  /** The volume has no name of the user's: removed together with the container. */
  readonly anonymous?: boolean;
}

/** What is kept on disk of a container. */
export interface ContainerRecord {
  readonly version: 1;
  readonly id: ContainerId;
  readonly name: string;
  readonly created: string;
  /** Digest id of the image. */
  readonly imageId: string;
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  readonly networks: Readonly<Record<string, EndpointSettings>>;
  readonly mounts: readonly MountPoint[];
  readonly state: ContainerState;
  /** A user asked it to stop: unless-stopped stays down, and a restart policy does not apply. */
  readonly stoppedByUser: boolean;
}

/** How a container is attached to one network right now; addresses are empty while it does not run. */
export interface EndpointDetails {
  readonly network: string;
  readonly networkId: string;
  readonly spec: EndpointSettings;
  readonly ipv4: string;
  readonly ipv4PrefixLength: number;
  readonly ipv6: string;
  readonly ipv6PrefixLength: number;
  readonly gateway: string;
  readonly ipv6Gateway: string;
  readonly macAddress: string;
  /** Names that resolve to it inside the network. */
  readonly dnsNames: readonly string[];
}

/** Everything `inspect` shows. */
export interface ContainerDetails extends ContainerRecord {
  readonly path: string;
  readonly args: readonly string[];
  readonly endpoints: readonly EndpointDetails[];
  readonly ports: readonly BoundPort[];
  readonly logPath: string;
  /** The name it has for itself, given or not. */
  readonly hostname: string;
  readonly hostsPath: string;
  readonly hostnamePath: string;
  readonly resolvConfPath: string;
  readonly sandboxPath: string;
  /** Its first process while it runs. */
  readonly process?: ProcessIdentity;
  readonly execIds: readonly string[];
  /** Top first; only from `inspect`, empty in a list. */
  readonly lowerDirectories: readonly string[];
  readonly upperDirectory: string;
  /** Empty: none. */
  readonly apparmorProfile: string;
  readonly workDirectory: string;
  /** Bytes in the writable layer; only when asked for. */
  readonly sizeRw?: number;
  readonly sizeRootFs?: number;
}
