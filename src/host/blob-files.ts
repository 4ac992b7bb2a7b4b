import { createReadStream, createWriteStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { isErrno, syncDirectory } from './files.ts';

/** Opens a file as a byte stream. Errors of opening arrive as the stream's error. */
export function openFileStream(path: string): Readable {
  return createReadStream(path, { highWaterMark: 256 << 10 });
}

/** A new file as a stream, 0600; an existing one is an error. `durable`: on the disk before `close`. */
export function createFileStream(path: string, durable = false): Writable {
  return createWriteStream(path, { flags: 'wx', mode: 0o600, flush: durable, highWaterMark: 256 << 10 });
}

/** Size of a file in bytes, or undefined when there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const entry = await stat(path);
    return entry.isFile() ? entry.size : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Moves a file or directory within a file system; `durable`: the new name survives a power cut. */
export async function movePath(from: string, to: string, durable = false): Promise<void> {
  await rename(from, to);
  if (durable) await syncDirectory(dirname(to));
}
