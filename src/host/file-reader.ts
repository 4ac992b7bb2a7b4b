import { createWriteStream, type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
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
      read: (offset, length) => readAt(handle, offset, length),
      close: () => handle.close(),
    };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

/** A compressed file, read at offsets of its content. */
export interface GzipReader extends FileReader {
  /** The header's extra field (RFC 1952); empty when it has none. */
  readonly extra: Buffer;
}

const GZIP_HEADER = 10;
const GZIP_HAS_EXTRA = 4;

/**
 * Opens a gzip file for reading; undefined when it is absent. It is unpacked when first read, into a nameless file beside it:
 * its content may be larger than memory, and is read backwards too. Of a damaged file the part before the damage is there.
 */
export async function openGzipReader(path: string): Promise<GzipReader | undefined> {
  const packed = await openReader(path);
  if (!packed) return undefined;
  const header = await packed.read(0, GZIP_HEADER + 2);
  const hasExtra = header.length === GZIP_HEADER + 2 && ((header[3] ?? 0) & GZIP_HAS_EXTRA) !== 0;
  const extra = hasExtra ? await packed.read(GZIP_HEADER + 2, header.readUInt16LE(GZIP_HEADER)) : Buffer.alloc(0);
  let content: Promise<FileHandle> | undefined;
  const unpacked = () => (content ??= unpack(packed, path));
  return {
    identity: packed.identity,
    extra,
    size: async () => (await (await unpacked()).stat()).size,
    read: async (offset, length) => readAt(await unpacked(), offset, length),
    async close() {
      await packed.close();
      await content?.then((handle) => handle.close());
    },
  };
}

const UNPACK_BLOCK = 1 << 20;
let unpackedCount = 0;

async function unpack(packed: FileReader, path: string): Promise<FileHandle> {
  unpackedCount += 1;
  const temporary = `${path}.${process.pid}-${unpackedCount}`;
  async function* blocks() {
    for (let offset = 0; ; ) {
      const block = await packed.read(offset, UNPACK_BLOCK);
      if (block.length === 0) return;
      offset += block.length;
      yield block;
    }
  }
  const out = createWriteStream(temporary, { flags: 'wx', mode: 0o600, highWaterMark: UNPACK_BLOCK });
  const gunzip = createGunzip({ chunkSize: UNPACK_BLOCK });
  try {
    await pipeline(blocks, gunzip, out).catch((error: unknown) => {
      if (!isErrno(error, 'Z_DATA_ERROR') && !isErrno(error, 'Z_BUF_ERROR')) throw error;
    });
    return await open(temporary, 'r');
  } finally {
    await unlink(temporary).catch(() => undefined);
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
