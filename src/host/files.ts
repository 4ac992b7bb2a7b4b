import { randomBytes } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TscError } from '../core/index.ts';

/** Whether the thrown value is a system error with one of these errno names (`ENOENT`). */
export function isErrno(error: unknown, ...names: string[]): boolean {
  return error instanceof Error && 'code' in error && names.includes(String(error.code));
}

/** Whole text of a file, or undefined when it does not exist. Only regular files are read; at most `limit` bytes (16 MiB). */
export async function readTextIfExists(path: string, limit = 16 << 20): Promise<string | undefined> {
  let handle: FileHandle | undefined;
  try {
    // O_NONBLOCK: a FIFO somebody put there must not block us.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile()) throw new TscError('host/invalid', `${path} is not a regular file`);
    if (stat.size > limit) throw new TscError('host/exhausted', `${path} is larger than ${limit} bytes`);
    return (await readAtMost(handle, path, limit)).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  } finally {
    await handle?.close();
  }
}

/** The size is no promise: files of /proc say 0, and some have no end. */
async function readAtMost(handle: FileHandle, path: string, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let total = 0; total <= limit; ) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(1 << 16));
    if (bytesRead === 0) return Buffer.concat(parts);
    total += bytesRead;
    parts.push(buffer.subarray(0, bytesRead));
  }
  throw new TscError('host/exhausted', `${path} is larger than ${limit} bytes`);
}

/** Names in a directory, sorted; an absent directory is empty. */
export async function listDirectory(path: string): Promise<string[]> {
  return (await listEntries(path)).map((entry) => entry.name);
}

/** Entries of a directory with their types, sorted by name; an absent directory is empty. */
export async function listEntries(path: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Whether something (a dangling link included) is at the path. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Creates a directory and its parents; the last one gets `mode` (0700 unless told). */
export async function makeDirectory(path: string, mode = 0o700): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode });
  } catch (error) {
    // Node says ENOENT of a read-only file system when it may make parents; the plain call tells the truth.
    if (!isErrno(error, 'ENOENT')) throw error;
    await mkdir(path, { mode });
  }
}

/** Removes a file or a tree; an absent one is fine. A dying process may still put a file into it: then it is emptied again. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 10 });
}

/** Removes one file; an absent one is fine. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

export interface AtomicWriteOptions {
  /** Permission bits of the new file; 0600 unless told. */
  readonly mode?: number;
  /** Whether the content must survive a power cut: fsync of file and directory. */
  readonly durable?: boolean;
}

/** Names of temporary files: random once for each process (when the first is needed: loading crypto costs 3 ms), then counted. */
let run: string | undefined;
let temporaries = 0;

/** Replaces a file in one step: readers see the old or the new content, never a part. */
export async function writeAtomically(
  path: string,
  data: string | Uint8Array,
  options: AtomicWriteOptions = {},
): Promise<void> {
  run ??= randomBytes(3).toString('hex');
  temporaries = (temporaries + 1) % 0x1000000;
  const count = temporaries.toString(16).padStart(6, '0');
  const temporary = join(dirname(path), `.${basename(path)}.${run}${count}.tmp`);
  const handle = await open(temporary, 'wx', options.mode ?? 0o600);
  try {
    await handle.writeFile(data);
    if (options.durable) await handle.sync();
    await rename(temporary, path);
  } catch (error) {
    await handle.close();
    await removeFile(temporary);
    throw error;
  }
  // Side by side: somebody waits for every record.
  await Promise.all([handle.close(), options.durable && syncDirectory(dirname(path))]);
}

/** Writes a file that must not exist yet and that nobody looks for before this resolves. */
export async function writeNew(path: string, data: string): Promise<void> {
  await writeFile(path, data, { flag: 'wx', mode: 0o600 });
}

/**
 * Replaces the content of a file and keeps the file: for one that is mounted somewhere by itself. Readers may see a part of
 * the new content for a moment.
 */
export async function rewriteInPlace(path: string, data: string): Promise<void> {
  const bytes = Buffer.from(data);
  const handle = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.truncate(bytes.length);
  } finally {
    await handle.close();
  }
}

/** The names that {@link writeAtomically} gives its temporary files. */
const TEMPORARY = /^\..+\.[0-9a-f]{12}\.tmp$/;

/** Removes what interrupted writes left in a directory: for its one writer, before it writes. */
export async function removeTemporaries(directory: string): Promise<void> {
  for (const name of await listDirectory(directory)) if (TEMPORARY.test(name)) await removeFile(join(directory, name));
}

/** Makes renames and removals inside a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Parsed JSON of a file, or undefined when it is absent; damaged content throws `state/corrupt`. */
export async function readJsonIfExists(path: string): Promise<unknown> {
  const text = await readTextIfExists(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TscError('state/corrupt', `${path} is not valid JSON`, { cause: error });
  }
}
