import { PassThrough } from 'node:stream';
import type { AttachOptions, AttachSession } from './container-service.ts';
import type { ProcessMonitor } from './process-monitor.ts';

/** Bytes after which a stage takes no more: one chunk of up to 64 KiB each, since hundreds of slow clients may be attached. */
const BUFFER = 1 << 10;

/** A session that may be opened before its process exists: it is bound to a monitor at start. */
export interface PendingSession {
  readonly session: AttachSession;
  bind(monitor: ProcessMonitor): Promise<void>;
  /** Output that comes before that of the process. */
  prepend(data: Buffer): void;
  /** No process will come. */
  abandon(): void;
}

export interface SessionOptions extends AttachOptions {
  readonly tty: boolean;
  /** The output ends only when this has settled too: whoever sees the end may ask for the exit code. */
  readonly settled?: Promise<unknown>;
  /** The client took nothing for so long that it gets no more. */
  readonly onCut: () => void;
}

/** Opens a session that is not bound yet. */
export function createSession(options: SessionOptions): PendingSession {
  const output = new PassThrough({ highWaterMark: BUFFER });
  const input = new PassThrough({ highWaterMark: BUFFER });
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  let release: (() => void) | undefined;
  const close = () => {
    release?.();
    release = undefined;
    if (!output.writableEnded) output.end();
    input.destroy();
    finish();
  };
  output.once('close', close);
  // A client that goes away in the middle is no error of ours.
  output.on('error', close);
  input.on('error', () => undefined);
  if (!options.stdin) input.resume();

  const bind = async (monitor: ProcessMonitor) => {
    const streams = await monitor.attach({
      stdin: options.stdin,
      stdout: options.stdout,
      stderr: options.stderr,
      terminal: options.tty,
    });
    release = streams.close;
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      // Who was cut off need not wait for the end of a process that goes on.
      const cut = streams.wasCut();
      if (cut) options.onCut();
      Promise.resolve(cut ? undefined : options.settled).then(close, close);
    };
    streams.output.on('error', end);
    streams.output.once('close', end);
    streams.output.once('end', end);
    streams.output.pipe(output, { end: false });
    if (options.stdin) {
      streams.input.on('error', () => undefined);
      input.pipe(streams.input);
    }
  };
  return {
    session: { output, input, tty: options.tty, done, close },
    bind,
    prepend: (data) => void output.write(data),
    abandon: close,
  };
}
