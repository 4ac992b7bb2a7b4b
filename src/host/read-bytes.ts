import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { TscError } from '../core/index.ts';
import { isErrno } from './files.ts';

/**
 * Bytes of a regular file, or undefined when it does not exist; at most `limit` bytes (16 MiB). For commands: it reads at
 * once, which takes microseconds where a thread pool would have to be started first.
 */
export async function readBytesIfExists(path: string, limit = 16 << 20): Promise<Uint8Array | undefined> {
  // Named on purpose where a file is expected and none is wanted.
  if (path === '/dev/null') return new Uint8Array();
  let descriptor: number | undefined;
  try {
    // Most paths that are tried are absent: saying so without an error object is cheaper.
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    // O_NONBLOCK: a FIFO somebody put there must not block us.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new TscError('host/invalid', `${path} is not a regular file`);
    return readAtMost(descriptor, { path, limit, size: stat.size });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** The size is a hint: files of /proc say 0, and some have no end. */
function readAtMost(
  descriptor: number,
  { path, limit, size }: { readonly path: string; readonly limit: number; readonly size: number },
): Uint8Array {
  const parts: Buffer[] = [];
  for (let total = 0; total <= limit && size <= limit; ) {
    const part = Buffer.allocUnsafe(total === 0 && size > 0 ? size + 1 : 1 << 16);
    const read = readSync(descriptor, part);
    const [only] = parts;
    if (read === 0) return only && parts.length === 1 ? only : Buffer.concat(parts);
    total += read;
    parts.push(part.subarray(0, read));
  }
  throw new TscError('host/exhausted', `${path} is larger than ${limit} bytes`);
}
