import { Readable } from 'node:stream';

const BLOCK = 512;
/** First bytes of gzip, zstd, bzip2 and xz: such streams have an end of their own. */
const COMPRESSED: readonly Buffer[] = ['1f8b', '28b52ffd', '425a68', 'fd377a58'].map((hex) => Buffer.from(hex, 'hex'));

/**
 * A tar stream with the end it should have. The docker CLI leaves out the padding of the last file and the two zero blocks
 * when it adds a Dockerfile from outside of the context; zero blocks too many are always allowed.
 */
export function completeArchive(body: Readable): Readable {
  return Readable.from(pad(body), { objectMode: false });
}

async function* pad(body: Readable): AsyncGenerator<Buffer> {
  let size = 0;
  let plain = true;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk);
    if (size === 0) plain = !COMPRESSED.some((start) => bytes.subarray(0, start.length).equals(start));
    size += bytes.length;
    yield bytes;
  }
  if (plain && size > 0) yield Buffer.alloc(((BLOCK - (size % BLOCK)) % BLOCK) + 2 * BLOCK);
}
