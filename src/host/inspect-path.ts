import type { Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, stat } from 'node:fs/promises';
import { isErrno } from './files.ts';

export type DeviceInfo =
  | { readonly kind: 'directory' }
  | {
      readonly kind: 'device';
      readonly type: 'c' | 'b';
      readonly major: number;
      readonly minor: number;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** The device or directory at a path; undefined when it is neither or absent. */
export async function deviceInfo(path: string): Promise<DeviceInfo | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    if (found.isDirectory()) return { kind: 'directory' };
    const block = found.isBlockDevice();
    if (!block && !found.isCharacterDevice()) return undefined;
    const device = found.rdev;
    return {
      kind: 'device',
      type: block ? 'b' : 'c',
      // The kernel's new encoding: 12 bits of minor, 12 of major, the rest of the minor above.
      major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
      minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn)),
      mode: Number(found.mode & 0o7777n),
      uid: Number(found.uid),
      gid: Number(found.gid),
    };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ENXIO', 'EACCES')) return undefined;
    throw error;
  }
}

/** What is at a path, links not followed; undefined when absent. */
export async function lstatIfExists(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Makes a directory with the owner and mode of another one; an existing one is left as it is. */
export async function makeDirectoryLike(path: string, model: string | undefined): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    throw error;
  }
  const { mode, uid, gid } = model === undefined ? { mode: 0o755, uid: 0, gid: 0 } : await lstat(model);
  await chown(path, uid, gid);
  await chmod(path, mode & 0o7777);
}
