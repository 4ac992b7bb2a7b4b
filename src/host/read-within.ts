import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises';
import { isErrno } from './files.ts';

const MAX_LINKS = 16;

/**
 * Text of a small regular file in a tree that somebody else controls, given as overlay layers top first (one directory: a
 * plain tree). Links are resolved inside the tree; the last step never follows one and never blocks. Undefined when absent,
 * not a regular file, or larger than `limit` bytes. An opaque directory is not noticed: what it hides is still found.
 */
export async function readTextWithin(
  layers: readonly string[],
  path: string,
  limit: number,
): Promise<string | undefined> {
  let rest = path.split('/').filter((part) => part !== '');
  let done: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [part = '', ...after] = rest;
    if (part === '..') done = done.slice(0, -1);
    else if (part !== '.') {
      const target = await linkTarget(layers, [...done, part]);
      if (target === undefined) done = [...done, part];
      else {
        links += 1;
        if (links > MAX_LINKS) return undefined;
        if (target.startsWith('/')) done = [];
        rest = [...target.split('/').filter((piece) => piece !== ''), ...after];
        continue;
      }
    }
    rest = after;
  }
  return readTop(layers, done, limit);
}

async function linkTarget(layers: readonly string[], parts: readonly string[]): Promise<string | undefined> {
  for (const layer of layers) {
    try {
      const path = `${layer}/${parts.join('/')}`;
      const stat = await lstat(path);
      return stat.isSymbolicLink() ? await readlink(path) : undefined;
    } catch (error) {
      if (isErrno(error, 'ENOTDIR')) return undefined;
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return undefined;
}

async function readTop(
  layers: readonly string[],
  parts: readonly string[],
  limit: number,
): Promise<string | undefined> {
  for (const layer of layers) {
    const found = await openWithin(layer, parts);
    if (found === 'absent') continue;
    if (found === 'hidden') return undefined;
    try {
      const stat = await found.stat();
      if (!stat.isFile() || stat.size > limit) return undefined;
      // Not `limit` bytes: megabytes for every little file keep the garbage collector busy.
      const buffer = Buffer.allocUnsafe(stat.size);
      const { bytesRead } = await found.read(buffer, 0, buffer.length, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await found.close();
    }
  }
  return undefined;
}

/** Opens step by step below descriptors, each step refusing links: whatever changes the tree meanwhile cannot lead outside. */
async function openWithin(root: string, parts: readonly string[]): Promise<FileHandle | 'absent' | 'hidden'> {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  let current: FileHandle | undefined;
  try {
    current = await open(root, O_RDONLY | O_DIRECTORY);
    for (const [index, part] of parts.entries()) {
      const path = `/proc/self/fd/${current.fd}/${part}`;
      const last = index === parts.length - 1;
      // A whiteout is a character device 0/0; opening it would fail with an error of its own.
      const stat = await lstat(path);
      if (stat.isCharacterDevice() || stat.isFIFO() || stat.isSymbolicLink()) return 'hidden';
      const next: FileHandle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
      await current.close();
      current = next;
    }
    const result = current;
    current = undefined;
    return result;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'absent';
    if (isErrno(error, 'ENOTDIR', 'ELOOP', 'ENXIO', 'EACCES')) return 'hidden';
    throw error;
  } finally {
    await current?.close();
  }
}
