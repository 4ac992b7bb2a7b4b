import { type FSWatcher, watch } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { isErrno } from './files.ts';

/** An open regular file, read at offsets. */
export interface FileReader {
  /** Tells files apart across renames. */
  readonly identity: string;
  size(): Promise<number>;
  /** Fewer bytes than asked at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** Opens a file for reading; undefined when it is absent. */
export async function openReader(path: string): Promise<FileReader | undefined> {
  try {
    const handle = await open(path, 'r');
    const { dev, ino } = await handle.stat();
    return {
      identity: `${dev}:${ino}`,
      size: async () => (await handle.stat()).size,
      async read(offset, length) {
        const buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = await handle.read(buffer, 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** What tells a file apart across renames; undefined when absent. */
export async function fileIdentity(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Something that becomes ready again and again: changes in a directory. */
export interface ChangeWatch {
  /** Resolves at the first change since the last call returned, or when the signal fires. */
  next(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Watches a directory's entries, writes to its files included. */
export function watchDirectory(path: string): ChangeWatch {
  let changed = true;
  let wake: (() => void) | undefined;
  const notice = () => {
    changed = true;
    wake?.();
  };
  const watcher: FSWatcher = watch(path, { persistent: false }, notice);
  watcher.on('error', notice);
  return {
    async next(signal) {
      if (!changed && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
      wake = undefined;
      changed = false;
    },
    close: () => watcher.close(),
  };
}
