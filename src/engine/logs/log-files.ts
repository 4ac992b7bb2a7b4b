import { type FileReader, fileIdentity, openGzipReader, openReader } from '../../host/index.ts';

/** More rotated files than the monitor can be told to keep. */
const MAX_FILES = 1000;
/** How often the files are opened again when rotation moved them meanwhile. */
const ATTEMPTS = 20;
/** The field of the header that names the file which was compressed: `TS`, length, its inode. */
const ORIGIN_MARK = Buffer.from([0x54, 0x53, 8, 0]);

/** A file of a log: the live one, a rotated one, or a rotated and compressed one. */
export interface LogFile extends FileReader {
  /** What it was before it was compressed. */
  readonly origin?: string;
}

const nameOf = (path: string, index: number) => (index === 0 ? path : `${path}.${index}`);

/** The plain file speaks while both forms are there: it is whole until the compressed one is. */
async function openNumbered(path: string, index: number): Promise<LogFile | undefined> {
  const plain = await openReader(nameOf(path, index));
  if (plain || index === 0) return plain;
  const packed = await openGzipReader(`${nameOf(path, index)}.gz`);
  return packed && withOrigin(packed, packed.extra);
}

function withOrigin(reader: FileReader, extra: Buffer): LogFile {
  if (extra.length !== 12 || !extra.subarray(0, 4).equals(ORIGIN_MARK)) return reader;
  const device = reader.identity.slice(0, reader.identity.indexOf(':'));
  return { ...reader, origin: `${device}:${Number(extra.readBigUInt64LE(4))}` };
}

async function identityOf(path: string, index: number): Promise<string | undefined> {
  const plain = await fileIdentity(nameOf(path, index));
  return plain !== undefined || index === 0 ? plain : fileIdentity(`${nameOf(path, index)}.gz`);
}

/**
 * Opens all files of a log as they are at one moment, oldest first. Rotation moves files on while they are opened: then
 * another try is made, so that none is missed and none is read twice.
 */
export async function openLogFiles(path: string): Promise<LogFile[]> {
  for (let attempt = 1; ; attempt += 1) {
    const found = await openByNumber(path);
    if (attempt === ATTEMPTS || (await isCurrent(path, found))) {
      const seen = new Set<string>();
      const files = found.filter((file) => file !== undefined);
      const doubled = files.filter(({ identity }) => seen.size === seen.add(identity).size);
      await closeAll(doubled);
      return files.filter((file) => !doubled.includes(file)).reverse();
    }
    await closeAll(found);
  }
}

/** By number; a log that rotates at this moment has no live file. */
async function openByNumber(path: string): Promise<(LogFile | undefined)[]> {
  const found = [await openNumbered(path, 0)];
  for (let index = 1; index <= MAX_FILES; index += 1) {
    const file = await openNumbered(path, index);
    if (!file) break;
    found.push(file);
  }
  return found;
}

async function isCurrent(path: string, found: readonly (LogFile | undefined)[]): Promise<boolean> {
  const now = await Promise.all([...found, undefined].map((_, index) => identityOf(path, index)));
  return now.every((identity, index) => identity === found[index]?.identity);
}

export async function closeAll(files: readonly (LogFile | undefined)[]): Promise<void> {
  await Promise.all(files.map((file) => file?.close()));
}

/** Where a file that we hold open is now, under its name or compressed; undefined when rotation has dropped it. */
async function findNumber(path: string, file: LogFile): Promise<number | undefined> {
  for (let index = 0; index <= MAX_FILES; index += 1) {
    const identity = await identityOf(path, index);
    if (identity === undefined && index > 0) return undefined;
    if (identity === file.identity) return index;
    if (index > 0 && (await originOf(path, index)) === file.identity) return index;
  }
  return undefined;
}

async function originOf(path: string, index: number): Promise<string | undefined> {
  const packed = await openGzipReader(`${nameOf(path, index)}.gz`);
  if (!packed) return undefined;
  await packed.close();
  return withOrigin(packed, packed.extra).origin;
}

/** The file that follows the one we have read; undefined while that one is the newest. */
export async function openNewer(path: string, file: LogFile | undefined): Promise<LogFile | undefined> {
  for (let attempt = 1; file; attempt += 1) {
    const number = await findNumber(path, file);
    if (number === 0) return undefined;
    // Ours was dropped: go on with the oldest there is.
    if (number === undefined) break;
    const next = await openNumbered(path, number - 1);
    if (attempt === ATTEMPTS || (await findNumber(path, file)) === number) return next;
    await next?.close();
  }
  const [oldest, ...newer] = await openLogFiles(path);
  await closeAll(newer);
  return oldest;
}
