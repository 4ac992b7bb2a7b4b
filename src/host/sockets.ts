import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';

/** Longest path a unix socket address holds. */
const ADDRESS_LIMIT = 107;

export interface ConnectOptions {
  readonly signal?: AbortSignal;
  /** Most bytes of one read; Node's 64 KiB unless told. */
  readonly readSize?: number;
}

/** Connects to a unix socket, whatever the length of its path. Rejects with the system error (ENOENT, ECONNREFUSED). */
export async function connectUnix(path: string, options: ConnectOptions = {}): Promise<Socket> {
  const { signal } = options;
  signal?.throwIfAborted();
  if (Buffer.byteLength(path) <= ADDRESS_LIMIT) return connected(path, options);
  // By way of a descriptor of its directory: short, and the same socket.
  let directory: FileHandle | undefined;
  try {
    directory = await open(dirname(path));
    return await connected(`/proc/self/fd/${directory.fd}/${basename(path)}`, options);
  } finally {
    await directory?.close();
  }
}

function connected(path: string, { signal, readSize }: ConnectOptions): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = readSize === undefined ? connect(path) : connectReading(path, readSize);
  const abort = () => socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error('cancelled'));
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('error', reject);
  socket.once('connect', () => {
    socket.off('error', reject);
    signal?.removeEventListener('abort', abort);
    resolve(socket);
  });
  return promise;
}

/** Reads into one buffer of its own: without that every read leaves 64 KiB for the garbage collector to find. */
function connectReading(path: string, readSize: number): Socket {
  const socket: Socket = connect({
    path,
    onread: {
      buffer: Buffer.allocUnsafeSlow(readSize),
      callback: (size, buffer) => {
        socket.emit('data', Buffer.from(buffer.subarray(0, size)));
        return !socket.isPaused();
      },
    },
  });
  return socket;
}
