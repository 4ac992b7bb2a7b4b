import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';
import { TscError } from '../core/index.ts';
import type { ArchiveEntryType } from './read-archive.ts';

/** What an entry says about itself. Absent: root, 0644 (directories 0755), time 0 (so that the same input gives the same bytes). */
export interface ArchiveHeader {
  readonly name: string;
  readonly type?: ArchiveEntryType;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Milliseconds since 1970. */
  readonly mtime?: number;
  /** Target of a hard or symbolic link. */
  readonly linkName?: string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

export interface ArchiveWriter {
  add(header: ArchiveHeader, content?: string | Uint8Array): Promise<void>;
  /** A file of exactly `size` bytes from a stream. */
  addStream(header: ArchiveHeader, size: number, content: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * A tar stream whose entries `produce` adds one after another; back pressure reaches it. A failure of `produce` is the
 * stream's error.
 */
export function writeArchive(produce: (writer: ArchiveWriter) => Promise<void>): Readable {
  const tar = pack();
  const writer: ArchiveWriter = {
    add: (header, content) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const settle = (error?: Error | null) => (error ? reject(error) : resolve());
      const data = typeof content === 'string' ? Buffer.from(content) : content;
      const fields = toHeaders(header);
      if (fields.type === 'file') tar.entry(fields, Buffer.from(data ?? ''), settle);
      else tar.entry(fields, settle).end(undefined);
      return promise;
    },
    addStream: async (header, size, content) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const sink = tar.entry({ ...toHeaders(header), size }, (error) => (error ? reject(error) : resolve()));
      // Its failure is reported by the promise and by the archive.
      sink.on('error', () => undefined);
      promise.catch(() => undefined);
      let written = 0;
      for await (const chunk of content) {
        written += chunk.length;
        if (written > size) break;
        if (!sink.write(chunk)) await Promise.race([once(sink, 'drain'), promise]);
      }
      if (written !== size) {
        const error = new TscError('archive/failed', `content of ${header.name} is not ${size} bytes long`);
        sink.destroy(error);
        throw error;
      }
      sink.end(undefined);
      await promise;
    },
  };
  const out = Readable.from(tar, { objectMode: false });
  out.on('close', () => tar.destroy());
  tar.on('error', (error: Error) => out.destroy(error));
  produce(writer).then(
    () => tar.finalize(),
    (error: unknown) => {
      out.destroy(error instanceof Error ? error : new Error(String(error)));
    },
  );
  return out;
}

function once(target: { once(event: string, listener: () => void): unknown }, event: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  target.once(event, resolve);
  target.once('close', resolve);
  return promise;
}

function toHeaders(header: ArchiveHeader): Partial<Header> & Pick<Header, 'name'> {
  const type = header.type ?? 'file';
  // The plain header has room for 21 bits of an owner.
  const { uid = 0, gid = 0 } = header;
  const pax = { ...(uid > 0o7777777 && { uid: String(uid) }), ...(gid > 0o7777777 && { gid: String(gid) }) };
  return {
    name: header.name,
    type,
    mode: header.mode ?? (type === 'directory' ? 0o755 : 0o644),
    uid: Math.min(uid, 0o7777777),
    gid: Math.min(gid, 0o7777777),
    ...(Object.keys(pax).length > 0 && { pax }),
    mtime: new Date(header.mtime ?? 0),
    ...(header.linkName !== undefined && { linkname: header.linkName }),
    ...(header.deviceMajor !== undefined && { devmajor: header.deviceMajor }),
    ...(header.deviceMinor !== undefined && { devminor: header.deviceMinor }),
  };
}
