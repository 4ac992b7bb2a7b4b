import type { Readable } from 'node:stream';
import type { ContainerSpec, PortPublication } from './container-spec.ts';

export type Labels = Readonly<Record<string, string>>;
export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
export type Health = 'none' | 'starting' | 'healthy' | 'unhealthy';

export interface EngineVersion {
  readonly version: string;
  readonly apiVersion: string;
  readonly os: string;
  readonly arch: string;
  /** Name of the product behind the API, as it calls itself. */
  readonly platform: string;
}

export interface PortMapping {
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostAddress?: string;
  readonly hostPort?: number;
}

export interface ContainerSummary {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  readonly command: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly state: ContainerState;
  /** Words for people: `Up 3 minutes (healthy)`. */
  readonly status: string;
  readonly health: Health;
  readonly labels: Labels;
  readonly ports: readonly PortMapping[];
  readonly mounts: readonly {
    readonly type: string;
    readonly name?: string;
    readonly source: string;
    readonly target: string;
  }[];
  /** Network name → endpoint. */
  readonly networks: Readonly<Record<string, { readonly networkId: string; readonly ipv4Address: string }>>;
}

export interface HealthProbe {
  readonly exitCode: number;
  readonly output: string;
}

export interface ContainerDetails {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  readonly state: ContainerState;
  readonly pid: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly restartCount: number;
  readonly health: Health;
  /** Oldest first. */
  readonly probes: readonly HealthProbe[];
  readonly tty: boolean;
  readonly labels: Labels;
  readonly ports: readonly PortMapping[];
  /** What it was told to publish; `ports` has it only while it runs. */
  readonly publications: readonly PortPublication[];
  readonly networkMode: string;
  readonly endpoints: readonly { readonly network: string; readonly gatewayPriority?: number }[];
  readonly hasHealthcheck: boolean;
  /** Command of the probe as the engine runs it. */
  readonly healthTest: readonly string[];
}

/** A piece of a container's output. A terminal's output is all `stdout`. */
export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
}

/** Both directions of an attached container or exec session. */
export interface StreamSession {
  readonly output: AsyncIterable<OutputChunk>;
  /** Resolves when the peer can take more. */
  write(data: Uint8Array): Promise<void>;
  /** End of our input; output goes on. */
  end(): void;
  close(): void;
}

export interface LogOptions {
  readonly follow?: boolean;
  /** Number of last lines; all when absent. */
  readonly tail?: number;
  readonly since?: string;
  readonly until?: string;
  readonly timestamps?: boolean;
  readonly tty?: boolean;
  readonly signal?: AbortSignal;
}

export interface ExecSpec {
  readonly command: readonly string[];
  readonly tty?: boolean;
  readonly stdin?: boolean;
  readonly detach?: boolean;
  readonly user?: string;
  readonly workingDir?: string;
  readonly environment?: readonly string[];
  readonly privileged?: boolean;
}

export interface ExecStart {
  readonly tty: boolean;
  readonly stdin: boolean;
  /** First size of the terminal; engines that do not know it get a resize. */
  readonly size?: { readonly rows: number; readonly columns: number };
}

export interface ExecState {
  readonly running: boolean;
  readonly exitCode: number;
}

export interface ContainerApi {
  listContainers(filter: { readonly labels?: readonly string[]; readonly all?: boolean }): Promise<ContainerSummary[]>;
  inspectContainer(id: string): Promise<ContainerDetails>;
  createContainer(spec: ContainerSpec): Promise<{ readonly id: string; readonly warnings: readonly string[] }>;
  /** Starting a running container is fine. */
  startContainer(id: string): Promise<void>;
  /** Seconds of grace; the container's own when absent. Stopping a stopped container is fine. */
  stopContainer(id: string, timeoutSeconds?: number): Promise<void>;
  restartContainer(id: string, timeoutSeconds?: number): Promise<void>;
  killContainer(id: string, signal: string): Promise<void>;
  pauseContainer(id: string): Promise<void>;
  unpauseContainer(id: string): Promise<void>;
  renameContainer(id: string, name: string): Promise<void>;
  removeContainer(id: string, options?: { readonly force?: boolean; readonly volumes?: boolean }): Promise<void>;
  /** Exit code, once the condition holds. */
  waitContainer(id: string, condition: 'not-running' | 'next-exit' | 'removed', signal?: AbortSignal): Promise<number>;
  containerLogs(id: string, options: LogOptions): AsyncIterable<OutputChunk>;
  /** Output from now on; call before start to miss nothing. */
  attachContainer(id: string, options: { readonly stdin: boolean; readonly tty: boolean }): Promise<StreamSession>;
  resizeContainer(id: string, rows: number, columns: number): Promise<void>;
  /**
   * Whether it has come to rest (every thread has waited for `quietMs`), has ended, or was still busy after `mostMs`; undefined
   * from an engine that cannot tell.
   */
  awaitRest(
    id: string,
    patience: { readonly quietMs: number; readonly mostMs: number },
  ): Promise<'rest' | 'ended' | 'busy' | undefined>;
  topContainer(
    id: string,
  ): Promise<{ readonly titles: readonly string[]; readonly rows: readonly (readonly string[])[] }>;
  /** Unpacks an archive below `path` inside the container. */
  putArchive(id: string, path: string, archive: Readable): Promise<void>;
}

export interface ExecApi {
  createExec(containerId: string, spec: ExecSpec): Promise<string>;
  startExec(execId: string, options: ExecStart): Promise<StreamSession>;
  startExecDetached(execId: string): Promise<void>;
  inspectExec(execId: string): Promise<ExecState>;
  resizeExec(execId: string, rows: number, columns: number): Promise<void>;
}

export interface NetworkSummary {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly labels: Labels;
  readonly internal: boolean;
  readonly driverOptions: Readonly<Record<string, string>>;
}

export interface NetworkSpec {
  readonly name: string;
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels: Labels;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly enableIpv4?: boolean;
  readonly enableIpv6?: boolean;
  readonly ipamDriver?: string;
  readonly ipamOptions?: Readonly<Record<string, string>>;
  readonly subnets?: readonly {
    readonly subnet?: string;
    readonly ipRange?: string;
    readonly gateway?: string;
    readonly auxiliaryAddresses?: Readonly<Record<string, string>>;
  }[];
}

export interface NetworkApi {
  listNetworks(filter: {
    readonly labels?: readonly string[];
    readonly names?: readonly string[];
  }): Promise<NetworkSummary[]>;
  createNetwork(spec: NetworkSpec): Promise<string>;
  removeNetwork(id: string): Promise<void>;
  connectNetwork(network: string, container: string, aliases: readonly string[]): Promise<void>;
  disconnectNetwork(network: string, container: string): Promise<void>;
  /**
   * Host ports, and ranges without a free one, that could not be published now, those apart that the containers in `except`
   * have; empty from an engine that cannot tell.
   */
  findPortConflicts(ports: readonly PortPublication[], except: readonly string[]): Promise<readonly PortConflict[]>;
}

/** A host port that is taken, or a range of them; the holder is absent where it does not show. */
export interface PortConflict {
  readonly hostAddress: string;
  readonly hostPort: number;
  /** Of a range, all of which is taken. */
  readonly lastPort?: number;
  readonly protocol: string;
  readonly holder?: string;
}

export interface VolumeSummary {
  readonly name: string;
  readonly driver: string;
  readonly labels: Labels;
}

export interface VolumeSpec {
  readonly name: string;
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels: Labels;
}

export interface VolumeApi {
  listVolumes(filter: {
    readonly labels?: readonly string[];
    readonly names?: readonly string[];
  }): Promise<VolumeSummary[]>;
  createVolume(spec: VolumeSpec): Promise<void>;
  removeVolume(name: string): Promise<void>;
}

export interface ImageDetails {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly size: number;
  readonly created: string;
  readonly os: string;
  readonly arch: string;
  readonly exposedPorts: readonly string[];
  readonly hasHealthcheck: boolean;
  readonly workingDir: string;
}

/** One step of a pull or build as the engine reports it. */
export interface ProgressMessage {
  /** Build output. */
  readonly text?: string;
  readonly id?: string;
  readonly status?: string;
  readonly current?: number;
  readonly total?: number;
  /** Id of the image built. */
  readonly imageId?: string;
}

export interface BuildRequest {
  readonly tags: readonly string[];
  readonly dockerfile?: string;
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly labels: Labels;
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly platform?: string;
  readonly networkMode?: string;
  readonly shmSize?: number;
  readonly extraHosts?: readonly string[];
  readonly cacheFrom?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: ProgressMessage) => void;
}

export interface PullOptions {
  readonly platform?: string;
  /** Value of the registry authentication header, base64url JSON. */
  readonly auth?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: ProgressMessage) => void;
}

export interface ImageApi {
  /** Undefined when the engine has no such image. */
  inspectImage(reference: string): Promise<ImageDetails | undefined>;
  pullImage(reference: string, options: PullOptions): Promise<void>;
  /** Sends the context archive; resolves with the id of the image. A failed step throws with the engine's words. */
  buildImage(context: Readable, request: BuildRequest): Promise<string>;
  /** Makes an image of one layer from a root file system archive. */
  importImage(archive: Readable, reference: string): Promise<void>;
  tagImage(reference: string, tag: string): Promise<void>;
  removeImage(reference: string, options?: { readonly force?: boolean }): Promise<void>;
}

export interface EngineEvent {
  readonly type: string;
  /** `start`, `die`, `health_status: healthy`… */
  readonly action: string;
  readonly id: string;
  /** Labels of the object and facts of the event (`exitCode`). */
  readonly attributes: Labels;
  /** Nanoseconds since 1970, as text: more than a number holds. */
  readonly timeNano: string;
}

export interface EventOptions {
  readonly labels?: readonly string[];
  readonly types?: readonly string[];
  readonly signal: AbortSignal;
}

export interface SystemApi {
  /** Where the engine is, for messages. */
  readonly endpoint: string;
  version(): Promise<EngineVersion>;
  /** Whether it is our own engine, which carries out what the Engine API has no words for. */
  isOurs(): Promise<boolean>;
  /** Resolves once the engine is subscribed; the iteration ends when the signal fires, and throws when the engine goes away. */
  events(options: EventOptions): Promise<AsyncIterable<EngineEvent>>;
  /** Gives up idle connections. */
  close(): void;
}

/**
 * What the manager needs of an engine that speaks the Engine API, in our terms. All methods throw `client/<kind>` errors with
 * the engine's own words; `client/unavailable` when it cannot be reached.
 */
export interface EngineClient extends SystemApi, ContainerApi, ExecApi, NetworkApi, VolumeApi, ImageApi {}
