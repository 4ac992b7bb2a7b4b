import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type Digest, digestHex, isDigest, parseDigest, TscError } from '../../core/index.ts';
import {
  createFileStream,
  fileSize,
  listDirectory,
  makeDirectory,
  movePath,
  openFileStream,
  removeFile,
  removeTree,
} from '../../host/index.ts';

export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** Content by digest. What is in it is whole and has its digest. */
export interface BlobStore {
  /** Size in bytes, undefined when absent. */
  size(digest: Digest): Promise<number | undefined>;
  /** Throws `image/not-found`. */
  open(digest: Digest): Promise<Readable>;
  /** Whole content; larger than `limit` throws `image/exhausted`. */
  read(digest: Digest, limit: number): Promise<Buffer>;
  /** Stores a stream; nothing stays when it fails or is not what was expected (`image/corrupt`). */
  add(content: AsyncIterable<Uint8Array>, expected?: Partial<StoredBlob>): Promise<StoredBlob>;
  /** An absent one is fine. */
  remove(digest: Digest): Promise<void>;
  list(): Promise<Digest[]>;
}

const missing = (digest: Digest) =>
  new TscError('image/not-found', `content ${digest} is not stored`, { hint: 'pull or load the image again' });

/** Counts and hashes a stream and compares at its end. */
async function* measured(
  content: AsyncIterable<Uint8Array>,
  expected: Partial<StoredBlob>,
  done: (blob: StoredBlob) => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (expected.size !== undefined && size > expected.size) break;
    hash.update(chunk);
    yield chunk;
  }
  const digest = parseDigest(`sha256:${hash.digest('hex')}`);
  const wrongSize = expected.size !== undefined && size !== expected.size;
  if (wrongSize || (expected.digest !== undefined && digest !== expected.digest))
    throw new TscError(
      'image/corrupt',
      `content ${expected.digest ?? digest} does not have its ${wrongSize ? 'size' : 'digest'}`,
    );
  done({ digest, size });
}

async function readAll(store: BlobStore, digest: Digest, limit: number): Promise<Buffer> {
  const size = await store.size(digest);
  if (size === undefined) throw missing(digest);
  if (size > limit) throw new TscError('image/exhausted', `content ${digest} is larger than ${limit} bytes`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of await store.open(digest)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** Blobs in memory, for tests and throw-away stores. */
export function createMemoryBlobStore(): BlobStore {
  const blobs = new Map<Digest, Buffer>();
  const store: BlobStore = {
    size: async (digest) => blobs.get(digest)?.length,
    open: async (digest) => {
      const data = blobs.get(digest);
      if (!data) throw missing(digest);
      return Readable.from([data], { objectMode: false });
    },
    read: (digest, limit) => readAll(store, digest, limit),
    add: async (content, expected = {}) => {
      let result: StoredBlob | undefined;
      const chunks: Uint8Array[] = [];
      const keep = (blob: StoredBlob) => {
        result = blob;
      };
      for await (const chunk of measured(content, expected, keep)) chunks.push(chunk);
      if (!result) throw new TscError('image/bug', 'a stream ended without a digest');
      blobs.set(result.digest, Buffer.concat(chunks));
      return result;
    },
    remove: async (digest) => void blobs.delete(digest),
    list: async () => [...blobs.keys()],
  };
  return store;
}

/** Blobs of an OCI image layout: `<directory>/blobs/sha256/<hex>`. */
export async function openLayoutBlobStore(directory: string): Promise<BlobStore> {
  const blobs = join(directory, 'blobs', 'sha256');
  const incoming = join(directory, 'incoming');
  await makeDirectory(blobs);
  // Transfers that a crash cut off.
  await removeTree(incoming);
  await makeDirectory(incoming);
  const pathOf = (digest: Digest) => join(blobs, digestHex(digest));
  const store: BlobStore = {
    size: (digest) => fileSize(pathOf(digest)),
    open: async (digest) => {
      if ((await store.size(digest)) === undefined) throw missing(digest);
      return openFileStream(pathOf(digest));
    },
    read: (digest, limit) => readAll(store, digest, limit),
    add: async (content, expected = {}) => {
      const temporary = join(incoming, randomBytes(12).toString('hex'));
      try {
        const blob = await writeBlob(temporary, content, expected);
        await movePath(temporary, pathOf(blob.digest), true);
        return blob;
      } catch (error) {
        await removeFile(temporary);
        throw error;
      }
    },
    remove: (digest) => removeFile(pathOf(digest)),
    list: async () => (await listDirectory(blobs)).map((name) => `sha256:${name}`).filter(isDigest),
  };
  return store;
}

async function writeBlob(
  path: string,
  content: AsyncIterable<Uint8Array>,
  expected: Partial<StoredBlob>,
): Promise<StoredBlob> {
  const file = createFileStream(path, true);
  const closed = finished(file);
  closed.catch(() => undefined);
  let result: StoredBlob | undefined;
  const keep = (blob: StoredBlob) => {
    result = blob;
  };
  try {
    for await (const chunk of measured(content, expected, keep))
      if (!file.write(chunk)) await Promise.race([once(file, 'drain'), closed]);
    file.end();
    await closed;
  } catch (error) {
    file.destroy();
    throw error;
  }
  if (!result) throw new TscError('image/bug', 'a stream ended without a digest');
  return result;
}
