import type { Readable, Writable } from 'node:stream';
import type { ContainerId, ExecId } from '../../core/index.ts';
import type { LogFrames, LogQuery } from '../logs/index.ts';
import type { ContainerDetails, ContainerSpec, EndpointSettings, Resources, RestartPolicy } from './container.ts';

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Send what the log holds first. */
  readonly logs: boolean;
  /** Stay for what comes. */
  readonly stream: boolean;
}

/** A client's live connection to a process. */
export interface AttachSession {
  /** Raw bytes when `tty`, else frames of the Engine API's multiplexed stream; ends when the process is gone. */
  readonly output: Readable;
  /** stdin; its end is the end of stdin for the process. Writes are dropped when not attached to stdin. */
  readonly input: Writable;
  readonly tty: boolean;
  /** Settles when the output has ended. */
  readonly done: Promise<void>;
  /** Lets go; the process goes on. */
  close(): void;
}

export interface ExitResult {
  readonly exitCode: number;
  /** Text of a failed start; empty otherwise. */
  readonly error: string;
}

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** Every given key must match with at least one of its values. Same words as the Engine API's container filters. */
export interface ContainerFilter {
  /** Stopped ones too; implied by `status`, `exited`. */
  readonly all?: boolean;
  readonly limit?: number;
  readonly id?: readonly string[];
  /** Substring, or a full name behind `/`, or `^/name$`. */
  readonly name?: readonly string[];
  /** `key` or `key=value`. */
  readonly label?: readonly string[];
  readonly status?: readonly string[];
  readonly exited?: readonly string[];
  readonly ancestor?: readonly string[];
  readonly network?: readonly string[];
  readonly volume?: readonly string[];
  readonly health?: readonly string[];
  readonly before?: readonly string[];
  readonly since?: readonly string[];
  readonly publish?: readonly string[];
  readonly expose?: readonly string[];
}

export interface PruneResult {
  readonly deleted: readonly string[];
  readonly spaceReclaimed: number;
}

export interface PruneFilter {
  /** Only objects created before this time, milliseconds since 1970. */
  readonly until?: number;
  readonly label?: readonly string[];
  readonly labelNot?: readonly string[];
}

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

export interface FileChange {
  readonly path: string;
  readonly kind: 'modified' | 'added' | 'deleted';
}

/** Live counters of one container, one sample. Times in nanoseconds, sizes in bytes. */
export interface ContainerStats {
  readonly read: string;
  readonly pids: number;
  readonly pidsLimit: number;
  readonly cpuTotal: number;
  readonly cpuUser: number;
  readonly cpuSystem: number;
  readonly systemCpu: number;
  readonly onlineCpus: number;
  readonly throttledPeriods: number;
  readonly periods: number;
  readonly throttledTime: number;
  readonly memoryUsage: number;
  readonly memoryLimit: number;
  /** Counters of memory.stat as the kernel names them. */
  readonly memoryStat: Readonly<Record<string, number>>;
}

/** All threads wait; some are busy; the process has ended. */
export type RestState = 'rest' | 'busy' | 'ended';

/** How long all threads have to wait before that counts as rest, and how long that is awaited. */
export interface RestPatience {
  readonly quietMs: number;
  readonly mostMs: number;
}

/**
 * Containers from create to remove. Every `ref` is an id, a name or an unambiguous id prefix; otherwise
 * `container/not-found` or `container/invalid` (ambiguous).
 */
export interface ContainerService {
  /** `image/not-found`, `container/conflict` (name taken), `container/invalid`, `container/unsupported`. */
  create(spec: ContainerSpec): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }>;
  /** `container/not-modified` when it runs. A command that cannot start: `container/invalid` (127, 126) or `container/failed`. */
  start(ref: string): Promise<void>;
  /** Waits until it has stopped. `container/not-modified` when it does not run. */
  stop(ref: string, options?: { readonly signal?: string; readonly timeoutSeconds?: number }): Promise<void>;
  restart(ref: string, options?: { readonly signal?: string; readonly timeoutSeconds?: number }): Promise<void>;
  /** `container/conflict` when it does not run. Signal name or number; SIGKILL unless told. */
  kill(ref: string, signal?: string): Promise<void>;
  pause(ref: string): Promise<void>;
  unpause(ref: string): Promise<void>;
  rename(ref: string, name: string): Promise<void>;
  /** `container/conflict` while running, without force. */
  remove(ref: string, options?: { readonly force?: boolean; readonly volumes?: boolean }): Promise<void>;
  /** Registered before the call returns its promise, so that a start that follows is seen. */
  wait(ref: string, condition: WaitCondition, signal?: AbortSignal): Promise<ExitResult>;
  inspect(ref: string, options?: { readonly size?: boolean }): Promise<ContainerDetails>;
  list(filter?: ContainerFilter, options?: { readonly size?: boolean }): Promise<readonly ContainerDetails[]>;
  attach(ref: string, options: AttachOptions): Promise<AttachSession>;
  resize(ref: string, rows: number, columns: number): Promise<void>;
  /** Frames in order; ends at the end of the log, or with `follow` when the container stops or the signal fires. */
  logs(ref: string, query: LogQuery): Promise<LogFrames>;
  /** Resolves when the container has come to rest or ended, or the patience is over. */
  awaitRest(ref: string, patience: RestPatience): Promise<RestState>;
  top(ref: string, args?: readonly string[]): Promise<ProcessTable>;
  /** Against the image. */
  changes(ref: string): Promise<readonly FileChange[]>;
  stats(ref: string): Promise<ContainerStats>;
  update(
    ref: string,
    change: { readonly restartPolicy?: RestartPolicy; readonly resources?: Resources },
  ): Promise<{ readonly warnings: readonly string[] }>;
  prune(filter?: PruneFilter): Promise<PruneResult>;
  /** Joins a network, live when it runs. */
  connect(ref: string, network: string, endpoint: Partial<EndpointSettings>): Promise<void>;
  disconnect(ref: string, network: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Full id of a reference. */
  resolve(ref: string): ContainerId;
}

export interface ExecSpec {
  readonly command: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly tty?: boolean;
  readonly attachStdin?: boolean;
  readonly attachStdout?: boolean;
  readonly attachStderr?: boolean;
  readonly privileged?: boolean;
  readonly detachKeys?: string;
  readonly consoleSize?: { readonly rows: number; readonly columns: number };
}

export interface ExecDetails {
  readonly id: ExecId;
  readonly containerId: ContainerId;
  readonly spec: ExecSpec;
  readonly running: boolean;
  /** null until it ended. */
  readonly exitCode: number | null;
  readonly pid: number;
}

/** Further processes in running containers. */
/** The streams of an exec that is being started. */
export interface ExecSession extends AttachSession {
  /** Settles when the process runs; rejects as `startDetached` does, and then there is no output. */
  readonly started: Promise<void>;
}

export interface ExecService {
  /** `container/conflict` when the container does not run or is paused. */
  create(containerRef: string, spec: ExecSpec): Promise<ExecId>;
  /** Starts it and lets it be. `exec/conflict` when it was already started. A missing command: `exec/invalid`, exit code 126 or 127 in `inspect`. */
  startDetached(id: string): Promise<void>;
  /** Starts it with its streams. Returns before the process runs, so that a client can be told of the connection before any output. `exec/conflict` when it was already started. */
  start(id: string): ExecSession;
  resize(id: string, rows: number, columns: number): Promise<void>;
  /** `exec/not-found`. */
  inspect(id: string): ExecDetails;
  /** Settles with the exit code. */
  wait(id: string, signal?: AbortSignal): Promise<number>;
}
