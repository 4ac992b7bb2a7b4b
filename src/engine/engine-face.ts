import type { Duplex } from 'node:stream';
import type { Clock } from '../host/index.ts';
import type { Registry } from '../registry/index.ts';
import type { ContainerService, ExecService, RunStep } from './containers/index.ts';
import type { EventLog } from './events/index.ts';
import type { ImageStore } from './images/index.ts';
import type { LayerStore } from './layers/index.ts';
import type { AddressPool, NetworkService, NetworkServiceOptions } from './network/index.ts';
import type { VolumeService } from './volumes/index.ts';

/** Where the engine's own notes go; a pino logger fits. */
export interface EngineLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface EngineOptions {
  /** `/var/lib/tscompose`: survives a reboot. */
  readonly dataDir: string;
  /** `/run/tscompose`: survives the daemon, not a reboot. */
  readonly runDir: string;
  /** At most 7 of `[a-z0-9]`. */
  readonly instance: string;
  /** Control stream of the keeper. */
  readonly keeper: Duplex;
  /** Directory of `tscompose-runtime` and `tscompose-layer`. */
  readonly nativeDir: string;
  readonly logger: EngineLogger;
  readonly clock?: Clock;
  /** The real one unless told. */
  readonly registry?: Registry;
  readonly network?: Pick<NetworkServiceOptions, 'addressPools' | 'hostFiles'>;
}

/** Facts for `info` and `version`. */
export interface EngineInfo {
  readonly id: string;
  readonly hostName: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  readonly kernelVersion: string;
  /** As the kernel names it: `x86_64`, `aarch64`. */
  readonly machine: string;
  /** As images name it: `amd64`, `arm64`. */
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: '1' | '2';
  readonly dataDir: string;
  /** Where subnets of networks are chosen from. */
  readonly addressPools: readonly AddressPool[];
  readonly containers: number;
  readonly containersRunning: number;
  readonly containersPaused: number;
  readonly containersStopped: number;
  readonly images: number;
  readonly securityOptions: readonly string[];
  readonly runtimes: readonly string[];
  readonly defaultRuntime: string;
  readonly systemTime: string;
  readonly warnings: readonly string[];
}

/** The whole engine: each part is a room of its own. */
export interface Engine {
  readonly containers: ContainerService;
  readonly exec: ExecService;
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly events: EventLog;
  /** One step of a build. */
  readonly runStep: RunStep;
  info(): Promise<EngineInfo>;
  /** Whether anything lives that forbids the daemon to leave: containers that run or will be restarted, execs, running steps. */
  isBusy(): boolean;
  /** Makes ports, restart timers and health checks stop; containers go on and the next engine finds them. */
  detach(): Promise<void>;
  /** Stops all containers (each with its own grace, at most `timeoutSeconds`), gives bridges and firewall back, ends the keeper. */
  shutdown(options?: { readonly timeoutSeconds?: number }): Promise<void>;
}

/** Opens the engine. Start-up is recovery: what is on disk is compared with the kernel, half-done work is finished or undone. */
export type CreateEngine = (options: EngineOptions) => Promise<Engine>;
