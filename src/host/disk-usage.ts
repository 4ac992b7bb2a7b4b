import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from './files.ts';

/** Bytes a tree takes on disk; hard links counted once, links not followed, vanishing entries ignored. */
export async function directorySize(root: string): Promise<number> {
  const seen = new Set<string>();
  const pending = [root];
  let total = 0;
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      const stat = await lstat(path);
      const key = `${stat.dev}:${stat.ino}`;
      if (!seen.has(key)) total += stat.isDirectory() ? 0 : stat.blocks * 512;
      if (stat.nlink > 1 && !stat.isDirectory()) seen.add(key);
      if (stat.isDirectory()) for (const name of await readdir(path)) pending.push(join(path, name));
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  return total;
}
