export interface LogQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Go on with new lines until the container stops. */
  readonly follow?: boolean;
  /** Last lines to show; absent: all. */
  readonly tail?: number;
  /** Nanoseconds since 1970, inclusive. */
  readonly since?: bigint;
  readonly until?: bigint;
  readonly signal?: AbortSignal;
}

/** One line of output as it was written, its newline included; a line longer than 16 KiB comes in several frames. */
export interface LogFrame {
  readonly stream: 'stdout' | 'stderr';
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  readonly data: Buffer;
}

/** Frames in order, one by one or, for many, as they were read: a step of an iterator costs more than a line. */
export interface LogFrames extends AsyncIterable<LogFrame> {
  readonly batches?: AsyncIterable<readonly LogFrame[]>;
}
