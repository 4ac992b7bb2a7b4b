import type { ProcessIdentity } from '../../host/index.ts';

/** A link of a sandbox that stands on an interface of the host. */
export interface StackedLink {
  readonly parent: string;
  readonly kind: 'macvlan' | 'ipvlan';
  readonly mode: string;
  /** ipvlan alone. */
  readonly flag?: string;
  readonly interface: string;
  /** Absent: the parent's, which ipvlan and passthru share. */
  readonly mac?: string;
  readonly addresses: readonly string[];
  /** 0: the parent's. */
  readonly mtu: number;
}

/** One link of a sandbox: a veth pair whose host end is a port of `bridge`. */
export interface BridgeLink {
  readonly bridge: string;
  readonly host_interface: string;
  readonly interface: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly mtu: number;
  /** No frames to or from other isolated links of the bridge. */
  readonly isolated?: boolean;
}

export type SandboxLink = BridgeLink | StackedLink;

export interface SandboxRoute {
  /** `default` or a subnet. */
  readonly destination: string;
  /** Absent: over the link itself. */
  readonly via?: string;
  readonly interface: string;
}

/** What the keeper builds a network namespace from; the keys are those of the native protocol. */
export interface SandboxConfig {
  readonly links: readonly SandboxLink[];
  readonly routes: readonly SandboxRoute[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly names: boolean;
}

export interface PortHold {
  readonly key: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly address: string;
  readonly port: number;
  /** Where a splice process carries connections; null when the kernel rewrites them and the socket only reserves the port. */
  readonly proxy: { readonly address: string; readonly port: number } | null;
  /** Key of a hold whose socket stands for this one, too. */
  readonly shares?: string;
}

export interface SandboxNames {
  readonly name: string;
  readonly zones: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
  readonly upstreams: readonly { readonly address: string; readonly host: boolean }[];
  readonly internal: boolean;
  readonly search: readonly string[];
  /** Only these names are asked for outside, and their addresses go into the sets of `gate_sets` before they are answered. */
  readonly limited: boolean;
  readonly allow: readonly { readonly name: string; readonly below: boolean; readonly port: number }[];
  readonly gate_table: string;
  readonly gate_sets: string;
}

export interface ProgramRequest {
  /** Absolute path; absent: the native binary itself, `args` starting with a verb. */
  readonly file?: string;
  readonly args: readonly string[];
  readonly stdin?: string;
}

export interface ProgramResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The part of the keeper that this room asks for; the link to the keeper offers it. Every call rejects with a TscError whose
 * kind is the keeper's error code (`in-use` for a taken port, `not-found` for an unknown sandbox).
 */
export interface KeeperPort {
  /** Resolves whatever the exit status is. */
  run(request: ProgramRequest): Promise<ProgramResult>;
  createSandbox(name: string, config: SandboxConfig): Promise<{ readonly path: string }>;
  adoptSandbox(name: string, process: ProcessIdentity, names: boolean): Promise<{ readonly path: string }>;
  /** With `names` it gets a name server when it has none yet. */
  linkSandbox(
    name: string,
    change: Pick<SandboxConfig, 'links' | 'routes'> & Partial<Pick<SandboxConfig, 'sysctls' | 'names'>>,
  ): Promise<void>;
  unlinkSandbox(name: string, interfaceName: string): Promise<void>;
  /** An unknown sandbox is fine. */
  removeSandbox(name: string): Promise<void>;
  holdPort(hold: PortHold): Promise<{ readonly port: number }>;
  /** What serves a held port from now on. */
  serveProxy(key: string, proxy: PortHold['proxy']): Promise<void>;
  /** An unknown key is fine. */
  releasePort(key: string): Promise<void>;
  /** `hosts` null drops the zone. */
  publishZone(zone: string, hosts: Readonly<Record<string, readonly string[]>> | null): Promise<void>;
  publishNames(names: SandboxNames): Promise<void>;
  /** What it holds now, for recovery. */
  list(): Promise<{
    readonly sandboxes: readonly { readonly name: string; readonly path: string }[];
    readonly ports: readonly { readonly key: string }[];
  }>;
}
