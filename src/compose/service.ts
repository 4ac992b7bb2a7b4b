import type { Build } from './build.ts';
import type { Deploy, DeviceRequest } from './deploy.ts';
import type { Extensible } from './extension.ts';
import type { FileGrant, Ulimit } from './grants.ts';

type Texts = readonly string[];
type TextMap = ReadonlyMap<string, string>;
/** Variables; null: no value given and the caller has none, the image's value is removed. */
export type Environment = ReadonlyMap<string, string | null>;

/** One service. Lists and maps are always present; an absent scalar means: the engine's or the image's default. */
export interface Service extends Extensible {
  readonly name: string;
  readonly profiles: Texts;
  readonly annotations: TextMap;
  /** false: `up` does not show its output. */
  readonly attach?: boolean;
  readonly build?: Build;
  readonly develop?: Develop;
  readonly blkioConfig?: BlkioConfig;
  readonly capAdd: Texts;
  readonly capDrop: Texts;
  readonly cgroup?: string;
  readonly cgroupParent?: string;
  readonly cpuCount?: number;
  readonly cpuPercent?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpuRtPeriod?: number;
  readonly cpuRtRuntime?: number;
  /** Cores. */
  readonly cpus?: number;
  readonly cpuset?: string;
  readonly cpuShares?: number;
  /** Argument vector; null: the image's; empty: none. */
  readonly command: Texts | null;
  readonly configs: readonly FileGrant[];
  readonly containerName?: string;
  readonly credentialSpec?: CredentialSpec;
  /** What must be up first, the implicit ones (links, shared namespaces, volumes_from) among them. */
  readonly dependsOn: ReadonlyMap<string, Dependency>;
  readonly deploy?: Deploy;
  readonly deviceCgroupRules: Texts;
  readonly devices: readonly DeviceMapping[];
  readonly dns: Texts;
  readonly dnsOpt: Texts;
  readonly dnsSearch: Texts;
  readonly domainname?: string;
  /** Argument vector; null: the image's; empty: cleared. */
  readonly entrypoint: Texts | null;
  /** Values of `env_file` below those of `environment`, bare keys filled from the caller. */
  readonly environment: Environment;
  /** The files already merged into `environment`. */
  readonly envFile: readonly EnvFile[];
  /** Ports or ranges with optional protocol: `80`, `90-92/udp`. */
  readonly expose: Texts;
  readonly externalLinks: Texts;
  /** Host name to addresses. */
  readonly extraHosts: ReadonlyMap<string, Texts>;
  readonly groupAdd: Texts;
  readonly gpus: readonly DeviceRequest[];
  readonly healthcheck?: Healthcheck;
  readonly hostname?: string;
  readonly image?: string;
  readonly init?: boolean;
  readonly ipc?: string;
  readonly isolation?: string;
  /** The user's labels, those of `label_file` below them; the `com.docker.compose.*` set is the planner's. */
  readonly labels: TextMap;
  readonly labelFile: Texts;
  readonly links: Texts;
  readonly logging?: Logging;
  /** Bytes. */
  readonly memLimit?: number;
  /** Bytes. */
  readonly memReservation?: number;
  readonly memSwappiness?: number;
  /** Bytes, memory plus swap; -1: unlimited. */
  readonly memswapLimit?: number;
  readonly macAddress?: string;
  readonly models: ReadonlyMap<string, ModelGrant | null>;
  readonly networkMode?: string;
  /** Key of the top-level network to endpoint settings; empty when `networkMode` is set. */
  readonly networks: ReadonlyMap<string, ServiceNetwork | null>;
  readonly oomKillDisable: boolean;
  readonly oomScoreAdj?: number;
  readonly pid?: string;
  /** -1: unlimited. */
  readonly pidsLimit?: number;
  readonly platform?: string;
  /** One entry per container port, ranges expanded. */
  readonly ports: readonly Port[];
  readonly preStart: readonly Hook[];
  readonly postStart: readonly Hook[];
  readonly preStop: readonly Hook[];
  readonly privileged: boolean;
  readonly provider?: Provider;
  /** always, never, missing, build, daily, weekly, every_<duration>, refresh. */
  readonly pullPolicy?: string;
  readonly pullRefreshAfter?: string;
  readonly readOnly: boolean;
  /** no, always, on-failure[:n], unless-stopped. */
  readonly restart?: string;
  readonly runtime?: string;
  readonly scale?: number;
  readonly secrets: readonly FileGrant[];
  readonly securityOpt: Texts;
  /** Bytes. */
  readonly shmSize?: number;
  readonly stdinOpen: boolean;
  /** Nanoseconds. */
  readonly stopGracePeriod?: number;
  readonly stopSignal?: string;
  readonly storageOpt: TextMap;
  readonly sysctls: TextMap;
  /** `path[:options]` */
  readonly tmpfs: Texts;
  readonly tty: boolean;
  readonly ulimits: ReadonlyMap<string, Ulimit>;
  readonly useApiSocket: boolean;
  readonly user?: string;
  readonly usernsMode?: string;
  readonly uts?: string;
  readonly volumes: readonly Mount[];
  readonly volumesFrom: Texts;
  readonly workingDir?: string;
}

/** An edge of the graph. */
export interface Dependency extends Extensible {
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  /** Restart this service when compose restarts or updates the dependency. */
  readonly restart: boolean;
  /** false: its absence only warns. */
  readonly required: boolean;
}

/** A file of container variables. */
export interface EnvFile extends Extensible {
  /** Absolute. */
  readonly path: string;
  readonly required: boolean;
  /** Absent: dotenv grammar; `raw`: no quotes, no interpolation. */
  readonly format?: string;
}

/** Probe settings; absent values come from the image or the engine's defaults. Durations in nanoseconds. */
export interface Healthcheck extends Extensible {
  /** `['NONE']`, `['CMD', …]` or `['CMD-SHELL', text]`; empty: the image's. */
  readonly test: Texts;
  readonly timeout?: number;
  readonly interval?: number;
  readonly retries?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly disable: boolean;
}

/** Log driver choice. */
export interface Logging extends Extensible {
  readonly driver?: string;
  readonly options: TextMap;
}

/** Endpoint settings of a service in one network. */
export interface ServiceNetwork extends Extensible {
  readonly aliases: Texts;
  readonly interfaceName?: string;
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  readonly linkLocalIps: Texts;
  readonly macAddress?: string;
  readonly driverOpts: TextMap;
  readonly priority?: number;
  readonly gwPriority?: number;
}

/** A published port. */
export interface Port extends Extensible {
  readonly name?: string;
  /** `ingress` unless the file says `host`. */
  readonly mode: string;
  readonly hostIp?: string;
  /** Container port. */
  readonly target: number;
  /** Host port, or a range `3000-3005` of which the engine takes a free one; absent: any free port. */
  readonly published?: string;
  /** tcp, udp or sctp. */
  readonly protocol: string;
  readonly appProtocol?: string;
}

/** A mount, long form. */
export interface Mount extends Extensible {
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'image' | 'cluster' | 'npipe';
  /** bind: absolute host path; volume: key of a top-level volume; absent: anonymous volume or tmpfs. */
  readonly source?: string;
  /** Path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
  readonly consistency?: string;
  readonly bind?: BindOptions;
  readonly volume?: VolumeOptions;
  readonly tmpfs?: TmpfsOptions;
  readonly image?: { readonly subpath?: string } & Extensible;
}

/** Options of a bind mount. */
export interface BindOptions extends Extensible {
  readonly selinux?: string;
  readonly propagation?: string;
  /** Create a missing source as a folder; absent: yes. */
  readonly createHostPath?: boolean;
  readonly recursive?: string;
}

/** Options of a volume mount. */
export interface VolumeOptions extends Extensible {
  readonly labels: TextMap;
  readonly nocopy: boolean;
  readonly subpath?: string;
}

/** Options of a tmpfs mount. */
export interface TmpfsOptions extends Extensible {
  /** Bytes. */
  readonly size?: number;
  readonly mode?: number;
}

/** A host device, or a CDI name. */
export interface DeviceMapping extends Extensible {
  readonly source: string;
  readonly target?: string;
  readonly permissions?: string;
}

/** Windows gMSA credential. */
export interface CredentialSpec extends Extensible {
  readonly config?: string;
  readonly file?: string;
  readonly registry?: string;
}

/** A command run around a service's life. */
export interface Hook extends Extensible {
  readonly command: Texts | null;
  readonly image?: string;
  readonly user?: string;
  readonly privileged: boolean;
  readonly workingDir?: string;
  readonly environment: Environment;
  readonly perReplica: boolean;
}

/** Variables that receive a model's address and id. */
export interface ModelGrant extends Extensible {
  readonly endpointVar?: string;
  readonly modelVar?: string;
}

/** A service run by an external program. */
export interface Provider extends Extensible {
  readonly type: string;
  readonly options: ReadonlyMap<string, Texts>;
}

/** Block I/O weights and throttles. */
export interface BlkioConfig extends Extensible {
  readonly weight?: number;
  readonly weightDevice: readonly ({ readonly path: string; readonly weight: number } & Extensible)[];
  readonly deviceReadBps: readonly Throttle[];
  readonly deviceReadIops: readonly Throttle[];
  readonly deviceWriteBps: readonly Throttle[];
  readonly deviceWriteIops: readonly Throttle[];
}

/** A rate limit of one device: bytes or operations per second. */
export interface Throttle extends Extensible {
  readonly path: string;
  readonly rate: number;
}

/** Developer-loop settings. */
export interface Develop extends Extensible {
  readonly watch: readonly WatchRule[];
}

/** One watch rule; the first whose path and patterns match decides. */
export interface WatchRule extends Extensible {
  /** Absolute host path. */
  readonly path: string;
  readonly action: 'rebuild' | 'sync' | 'restart' | 'sync+restart' | 'sync+exec';
  /** Container path of the sync actions. */
  readonly target?: string;
  readonly exec?: Hook;
  readonly include: Texts;
  readonly ignore: Texts;
  readonly initialSync: boolean;
}
