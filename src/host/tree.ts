import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TscError } from '../core/index.ts';
import { isErrno } from './files.ts';

/** One entry of a tree on disk, links not followed. */
export interface TreeEntryOnDisk {
  /** Relative to the root, `/` between parts; the root itself is the empty path. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  /** Permission bits. */
  readonly mode: number;
  readonly size: number;
  /** Target text of a link. */
  readonly target: string;
}

/** All entries of a tree, parents before children, sorted by name at every level. Links are not followed. */
export async function listTree(root: string): Promise<TreeEntryOnDisk[]> {
  const found: TreeEntryOnDisk[] = [await describe(root, '')];
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const names = (await readdir(join(root, directory))).sort();
    const entries = await Promise.all(
      names.map((name) => describe(root, directory === '' ? name : `${directory}/${name}`)),
    );
    found.push(...entries);
    pending.push(...entries.filter((entry) => entry.kind === 'directory').map((entry) => entry.path));
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function describe(root: string, path: string): Promise<TreeEntryOnDisk> {
  const full = join(root, path);
  const stat = await lstat(full);
  const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'other';
  const target = kind === 'link' ? await readlink(full) : '';
  return { path, kind, mode: stat.mode & 0o7777, size: stat.size, target };
}

/** sha256 of a file's content, 64 hex digits. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** sha256 of texts, each closed by a zero byte so that no two lists collide; 64 hex digits. */
export function hashTexts(texts: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('\0');
  return hash.digest('hex');
}

/**
 * Absolute path of something below a root that nobody else is changing; links may point anywhere inside it.
 * Throws `host/denied` when the path leaves the root, `host/not-found` when it does not exist.
 */
export async function resolveInside(root: string, path: string): Promise<string> {
  const top = await realpath(root);
  let found: string;
  try {
    found = await realpath(join(top, path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP'))
      throw new TscError('host/not-found', `${path} does not exist`, { cause: error });
    throw error;
  }
  if (found !== top && !found.startsWith(top + sep)) throw new TscError('host/denied', `${path} leads outside`);
  return found;
}
