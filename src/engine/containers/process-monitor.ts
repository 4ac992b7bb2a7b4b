import type { Readable, Writable } from 'node:stream';
import type { ProcessIdentity } from '../../host/index.ts';
import type { ExitRecord } from '../runtime/index.ts';

/** A live stream of a process. */
export interface ProcessStreams {
  /** Frames, or raw bytes of a terminal. */
  readonly output: Readable;
  readonly input: Writable;
  /** The output ended not with the process's but because nobody took it; it says so itself. */
  wasCut(): boolean;
  close(): void;
}

export interface StreamChoice {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly terminal: boolean;
}

/** The monitor of one process, over its socket. */
export interface ProcessMonitor {
  /** Zeroes while there is none: an exec's process appears with its start. */
  readonly process: ProcessIdentity;
  /** Asks the monitor, its parent, whether it runs: then what was opened by its pid before the answer is its own. */
  isRunning(): Promise<boolean>;
  /** Lets the held process run. Throws when the command cannot be executed. */
  start(): Promise<void>;
  kill(signal: number): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  attach(choice: StreamChoice): Promise<ProcessStreams>;
  /** Settles once; undefined when the monitor was lost without a record. */
  readonly exited: Promise<ExitRecord | undefined>;
  onOom(listener: () => void): void;
  /** Log lines could not be written; `bytes` of them so far. */
  onLogLost(listener: (bytes: number) => void): void;
  close(): void;
}

/** Makes monitors and finds them again. */
export interface MonitorSpawner {
  /** Spawns the monitor of the orders; a container's process exists afterwards and is held. Throws what the runtime said when it cannot be created. */
  spawn(ordersFile: string, runDirectory: string): Promise<ProcessMonitor>;
  /** The monitor that lives in a run directory, found after a restart of the daemon; undefined when none answers. */
  find(runDirectory: string): Promise<{ readonly monitor: ProcessMonitor; readonly running: boolean } | undefined>;
  /** Ends a monitor that waits for a start which will not come: it has no process yet, so that only it can be told. */
  abandon(runDirectory: string): Promise<void>;
  /** Ends the process of an exec whose monitor was lost. */
  endOrphan(process: ProcessIdentity): Promise<void>;
  /** The same, for the one whose record a lost monitor left in its run directory; none is fine. */
  endRecorded(runDirectory: string): Promise<void>;
  /** Has the runtime kill and forget a container that no monitor looks after any more; an unknown one is fine. */
  discard(id: string): Promise<void>;
  /** The exit record a monitor left; undefined when there is none. */
  readExit(runDirectory: string): Promise<ExitRecord | undefined>;
}
