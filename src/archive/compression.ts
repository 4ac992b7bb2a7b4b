import type { Readable, Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { TscError } from '../core/index.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const MAGIC: readonly { readonly kind: Compression; readonly bytes: readonly number[] }[] = [
  { kind: 'gzip', bytes: [0x1f, 0x8b] },
  { kind: 'zstd', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { kind: 'bzip2', bytes: [0x42, 0x5a, 0x68] },
  { kind: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
];

/** Compression of an archive by its first six bytes. */
export function detectCompression(start: Uint8Array): Compression {
  return MAGIC.find((entry) => entry.bytes.every((byte, index) => start[index] === byte))?.kind ?? 'none';
}

/**
 * The archive inside a stream that may be compressed with gzip or zstd. Throws `archive/unsupported` for bzip2 and xz,
 * which Node cannot decode.
 */
export async function decompressArchive(source: Readable): Promise<Readable> {
  const start = await peek(source, 6);
  const kind = detectCompression(start);
  if (kind === 'none') return source;
  if (kind === 'bzip2' || kind === 'xz') {
    source.destroy();
    throw new TscError('archive/unsupported', `the archive is compressed with ${kind}`, {
      hint: `decompress it first: ${kind === 'xz' ? 'xz' : 'bzip2'} -dc FILE`,
    });
  }
  const decoder: Transform = kind === 'gzip' ? createGunzip() : createZstdDecompress();
  source.on('error', (error) => decoder.destroy(error));
  decoder.on('close', () => source.destroy());
  return source.pipe(decoder);
}

/** First bytes of a stream without consuming them; fewer when it ends before. */
async function peek(source: Readable, size: number): Promise<Uint8Array> {
  for (;;) {
    const chunk: Buffer | null = source.read(size);
    if (chunk !== null) {
      source.unshift(chunk);
      return chunk;
    }
    if (source.readableEnded || source.destroyed) return new Uint8Array();
    await nextEvent(source);
    if (source.readableEnded) return new Uint8Array();
  }
}

function nextEvent(source: Readable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const settle = (error?: unknown) => {
    source.off('readable', settle0).off('end', settle0).off('close', settle0).off('error', settle);
    if (error === undefined) resolve();
    else reject(error);
  };
  const settle0 = () => settle();
  source.on('readable', settle0).on('end', settle0).on('close', settle0).on('error', settle);
  return promise;
}
