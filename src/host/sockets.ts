import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';

/** Longest path a unix socket address holds. */
const ADDRESS_LIMIT = 107;

/** Connects to a unix socket, whatever the length of its path. Rejects with the system error (ENOENT, ECONNREFUSED). */
export async function connectUnix(path: string, signal?: AbortSignal): Promise<Socket> {
  signal?.throwIfAborted();
  if (Buffer.byteLength(path) <= ADDRESS_LIMIT) return connected(path, signal);
  // By way of a descriptor of its directory: short, and the same socket.
  let directory: FileHandle | undefined;
  try {
    directory = await open(dirname(path));
    return await connected(`/proc/self/fd/${directory.fd}/${basename(path)}`, signal);
  } finally {
    await directory?.close();
  }
}

function connected(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(path);
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
