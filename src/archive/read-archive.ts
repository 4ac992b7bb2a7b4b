import type { Readable } from 'node:stream';
import { extract, type Header } from 'tar-stream';
import { TscError } from '../core/index.ts';

export type ArchiveEntryType = 'file' | 'directory' | 'link' | 'symlink' | 'character-device' | 'block-device' | 'fifo';

export interface ArchiveEntry {
  /** As written in the archive: untrusted. */
  readonly name: string;
  readonly type: ArchiveEntryType;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970. */
  readonly mtime: number;
  /** Target of a hard or symbolic link, else empty. */
  readonly linkName: string;
  /** Content of a file. What is not read is passed over when the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface ArchiveLimits {
  /** Entries; 1,000,000 unless told. */
  readonly entries?: number;
  /** Bytes of all content together; unlimited unless told. */
  readonly bytes?: number;
  /** Bytes of one name; 4096 unless told. */
  readonly nameLength?: number;
}

const TYPES: Readonly<Record<string, ArchiveEntryType>> = Object.assign(Object.create(null), {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  link: 'link',
  symlink: 'symlink',
  'character-device': 'character-device',
  'block-device': 'block-device',
  fifo: 'fifo',
});

/** Entries of an uncompressed tar, in order. Throws `archive/invalid` for damage and `archive/exhausted` beyond a limit. */
export async function* readArchive(source: Readable, limits: ArchiveLimits = {}): AsyncGenerator<ArchiveEntry> {
  const parser = extract();
  let failure: unknown;
  source.on('error', (error) => {
    failure = error;
    parser.destroy(error);
  });
  source.pipe(parser);
  let entries = 0;
  let bytes = 0;
  try {
    for await (const entry of parser) {
      const decoded = decodeEntry(entry.header, entry as AsyncIterable<unknown> as AsyncIterable<Uint8Array>);
      entries += 1;
      bytes += decoded.size;
      checkLimits(decoded, entries, bytes, limits);
      yield decoded;
      entry.resume();
    }
  } catch (error) {
    if (error instanceof TscError) throw error;
    throw failure instanceof TscError
      ? failure
      : new TscError('archive/invalid', 'the tar archive is damaged', { cause: error });
  } finally {
    source.unpipe(parser);
    parser.destroy();
    source.resume();
  }
}

function decodeEntry(header: Header, content: AsyncIterable<Uint8Array>): ArchiveEntry {
  const type = TYPES[header.type];
  if (type === undefined)
    throw new TscError('archive/unsupported', `entry ${JSON.stringify(header.name)} has the type ${header.type}`);
  const size = header.size;
  if (!Number.isSafeInteger(size) || size < 0 || header.name.includes('\0'))
    throw new TscError('archive/invalid', `entry ${JSON.stringify(header.name.slice(0, 200))} has an invalid header`);
  return {
    name: header.name,
    type,
    size,
    mode: header.mode & 0o7777,
    uid: paxNumber(header, 'uid') ?? header.uid,
    gid: paxNumber(header, 'gid') ?? header.gid,
    mtime: header.mtime.getTime(),
    linkName: header.linkname ?? '',
    content,
  };
}

/** A number of the extended header, which the parser leaves to us. */
function paxNumber({ pax }: Header, key: string): number | undefined {
  const text = typeof pax === 'object' && pax !== null ? (pax as Record<string, unknown>)[key] : undefined;
  return typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function checkLimits(entry: ArchiveEntry, entries: number, bytes: number, limits: ArchiveLimits): void {
  const exceeded =
    entries > (limits.entries ?? 1_000_000)
      ? `more than ${limits.entries ?? 1_000_000} entries`
      : bytes > (limits.bytes ?? Number.POSITIVE_INFINITY)
        ? `more than ${limits.bytes} bytes`
        : Buffer.byteLength(entry.name) > (limits.nameLength ?? 4096)
          ? `a name longer than ${limits.nameLength ?? 4096} bytes`
          : undefined;
  if (exceeded) throw new TscError('archive/exhausted', `the archive has ${exceeded}`);
}

/** Whole content of an entry; more than `limit` bytes throws `archive/exhausted`. */
export async function readEntryBytes(entry: ArchiveEntry, limit: number): Promise<Buffer> {
  if (entry.size > limit)
    throw new TscError('archive/exhausted', `${entry.name} in the archive is larger than ${limit} bytes`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
