import { createReadStream, type Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { listEntries } from './files.ts';

export interface TreeEntry {
  /** Relative to the root, `/` between parts, no leading slash. */
  readonly path: string;
  readonly stats: Stats;
  /** Target of a symbolic link. */
  readonly linkTarget?: string;
}

/**
 * Entries below a directory, parents first, names sorted. `enter` decides about each path; a directory may be skipped while
 * its content is visited. Symbolic links are reported, never followed.
 */
export async function* walkTree(
  root: string,
  enter: (path: string, isDirectory: boolean) => { readonly report: boolean; readonly descend: boolean },
  below = '',
): AsyncGenerator<TreeEntry> {
  for (const entry of await listEntries(join(root, below))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    const { report, descend } = enter(path, entry.isDirectory());
    if (report) yield await describe(root, path);
    if (descend && entry.isDirectory()) yield* walkTree(root, enter, path);
  }
}

async function describe(root: string, path: string): Promise<TreeEntry> {
  const stats = await lstat(join(root, path));
  return stats.isSymbolicLink() ? { path, stats, linkTarget: await readlink(join(root, path)) } : { path, stats };
}

/** One path as an entry, undefined when nothing is there. */
export async function describePath(root: string, path: string): Promise<TreeEntry | undefined> {
  try {
    return await describe(root, path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
}

/** Bytes of a regular file as a stream. */
export function readFileStream(path: string): AsyncIterable<Uint8Array> {
  return createReadStream(path);
}
