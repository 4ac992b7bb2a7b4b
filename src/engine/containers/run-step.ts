/** One step of a build: a process in a prepared root file system, run to its end. */
export interface RunStepInput {
  /** Shown in errors, and the container id of the step; 64 hex digits. */
  readonly id: string;
  /** Layer directories, top first. */
  readonly lower: readonly string[];
  /** Where the step writes; both on one file system, `work` empty. */
  readonly upper: string;
  readonly work: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** `user[:group]`; empty: root. */
  readonly user: string;
  readonly cwd: string;
  readonly network: 'default' | 'none' | 'host';
  readonly extraHosts?: readonly string[];
  readonly shmSizeBytes?: number;
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  /** Fired: the step is killed, the call throws `build/cancelled`. */
  readonly signal?: AbortSignal;
}

/** Runs build steps; see {@link RunStepInput}. Resolves with the exit code; throws `container/failed` when it cannot start. */
export type RunStep = (input: RunStepInput) => Promise<number>;
