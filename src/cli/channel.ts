import { fstatSync, writeSync } from 'node:fs';
import { isErrno } from '../host/index.ts';

/** Standard output or standard error. */
export interface Channel {
  readonly isTerminal: boolean;
  /** Of the terminal, when it knows. */
  readonly columns: number | undefined;
  /** Resolves when the reader keeps up. */
  write(data: string | Uint8Array): Promise<void>;
}

/**
 * A terminal is written through Node's stream, as is what a reader does not take at once; a file or a pipe directly: the
 * stream takes 3 ms to open.
 */
export function openChannel(descriptor: 1 | 2, openStream: () => NodeJS.WriteStream): Channel {
  let stream: NodeJS.WriteStream | undefined;
  const streamed = (): NodeJS.WriteStream => {
    // `tscompose ps | head` closes our output: that is no error.
    stream ??= openStream().on('error', leaveIfClosed);
    return stream;
  };
  let known: boolean | undefined;
  const isTerminal = (): boolean => {
    known ??= mayBeTerminal(descriptor) && streamed().isTTY === true;
    return known;
  };
  return {
    get isTerminal() {
      return isTerminal();
    },
    get columns() {
      return isTerminal() ? streamed().columns : undefined;
    },
    write: (data) => {
      const rest = stream === undefined && !isTerminal() ? writeDirectly(descriptor, data) : data;
      return rest.length === 0 ? Promise.resolve() : writeTo(streamed(), rest);
    },
  };
}

/** Memory devices, /dev/null above all, are no terminals: their major number is 1. */
function mayBeTerminal(descriptor: number): boolean {
  const stat = fstatSync(descriptor);
  return stat.isCharacterDevice() && stat.rdev >> 8 !== 1;
}

/** What the other side would not take now. */
function writeDirectly(descriptor: number, data: string | Uint8Array): Uint8Array {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(descriptor, bytes, written);
  } catch (error) {
    leaveIfClosed(error);
    if (!isErrno(error, 'EAGAIN')) throw error;
  }
  return bytes.subarray(written);
}

function leaveIfClosed(error: unknown): void {
  if (isErrno(error, 'EPIPE')) process.exit(0);
}

function writeTo(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.write(data)) resolve();
  else stream.once('drain', resolve);
  return promise;
}
