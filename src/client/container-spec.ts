/** One published port; `hostPort` empty means: the engine picks one. A range (`8000-8010`) lets the engine pick within. */
export interface PortPublication {
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostAddress?: string;
  readonly hostPort?: string;
}

export interface MountSpec {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  /** Host path or volume name; absent for an anonymous volume and for tmpfs. */
  readonly source?: string;
  readonly target: string;
  readonly readOnly?: boolean;
  /** Bind: create a missing host directory. */
  readonly createHostPath?: boolean;
  readonly propagation?: string;
  /** SELinux relabelling, `z` or `Z`. */
  readonly relabel?: string;
  /** Volume with a source: one without a name of its own, taken over from a predecessor; it goes with this container. */
  readonly anonymous?: boolean;
  /** Volume: do not copy the image's content into a new volume. */
  readonly noCopy?: boolean;
  readonly subpath?: string;
  readonly tmpfsSize?: number;
  readonly tmpfsMode?: number;
}

export interface EndpointSpec {
  readonly network: string;
  readonly aliases: readonly string[];
  /** `container:alias`: names for other members that only this one sees. */
  readonly links?: readonly string[];
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  readonly linkLocalAddresses?: readonly string[];
  readonly macAddress?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly gatewayPriority?: number;
  readonly interfaceName?: string;
}

/** Probe of a container's health; durations in nanoseconds. `test` empty: the image's own. */
export interface HealthcheckSpec {
  readonly test?: readonly string[];
  readonly interval?: number;
  readonly timeout?: number;
  readonly retries?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
}

export interface ResourceSpec {
  readonly memory?: number;
  readonly memoryReservation?: number;
  readonly memorySwap?: number;
  readonly memorySwappiness?: number;
  readonly nanoCpus?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpuset?: string;
  readonly pidsLimit?: number;
  readonly oomKillDisable?: boolean;
  readonly oomScoreAdj?: number;
  readonly shmSize?: number;
  readonly blkioWeight?: number;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
}

export interface SecuritySpec {
  readonly privileged?: boolean;
  readonly readOnlyRoot?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly options?: readonly string[];
  readonly groupAdd?: readonly string[];
  readonly devices?: readonly { readonly source: string; readonly target: string; readonly permissions: string }[];
  readonly deviceCgroupRules?: readonly string[];
  readonly usernsMode?: string;
  readonly cgroupMode?: string;
  readonly cgroupParent?: string;
}

/** Everything a container is created from, in our terms; `toCreateBody` writes it as the Engine API wants it. */
export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly platform?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  /** `null` takes a variable of the image away. */
  readonly environment: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly tty?: boolean;
  readonly openStdin?: boolean;
  /** stdin is closed when the first attached client leaves. */
  readonly stdinOnce?: boolean;
  readonly init?: boolean;
  readonly stopSignal?: string;
  /** Seconds. */
  readonly stopTimeout?: number;
  readonly restart?: { readonly name: string; readonly maximumRetries?: number };
  readonly autoRemove?: boolean;
  readonly exposed: readonly string[];
  readonly ports: readonly PortPublication[];
  readonly mounts: readonly MountSpec[];
  /** Options by target, in the words of mount (`size=64m,mode=1777,exec`). */
  readonly tmpfs?: Readonly<Record<string, string>>;
  readonly volumesFrom?: readonly string[];
  /** `host`, `none`, `container:ID`, or a network's name. */
  readonly networkMode?: string;
  readonly endpoints: readonly EndpointSpec[];
  /** Links of a container without endpoints of its own in the spec: on the default network. */
  readonly links?: readonly string[];
  readonly extraHosts?: readonly string[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  readonly pidMode?: string;
  readonly ipcMode?: string;
  readonly utsMode?: string;
  readonly runtime?: string;
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly healthcheck?: HealthcheckSpec;
  readonly resources?: ResourceSpec;
  readonly security?: SecuritySpec;
  readonly logging?: { readonly driver?: string; readonly options?: Readonly<Record<string, string>> };
}
