import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { TscError } from '../core/index.ts';
import { isErrno } from './files.ts';

/** Bytes of a regular file, or undefined when it does not exist; at most `limit` bytes (16 MiB). */
export async function readBytesIfExists(path: string, limit = 16 << 20): Promise<Uint8Array | undefined> {
  let handle: FileHandle | undefined;
  try {
    // O_NONBLOCK: a FIFO somebody put there must not block us.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile()) throw new TscError('host/invalid', `${path} is not a regular file`);
    if (stat.size > limit) throw new TscError('host/exhausted', `${path} is larger than ${limit} bytes`);
    return await handle.readFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  } finally {
    await handle?.close();
  }
}
