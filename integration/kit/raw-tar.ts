/** Fields of a header exactly as they shall lie on the wire; numbers become octal, bytes are put as they are. */
export interface RawHeader {
  readonly name?: string | Buffer;
  readonly mode?: number | Buffer;
  readonly uid?: number | Buffer;
  readonly gid?: number | Buffer;
  readonly size?: number | Buffer;
  readonly mtime?: number | Buffer;
  readonly type?: string;
  readonly link?: string;
  readonly format?: 'ustar' | 'gnu' | 'v7';
  readonly prefix?: string | Buffer;
  readonly major?: number;
  readonly minor?: number;
  /** Last changes to the block, before the checksum is made right. */
  readonly patch?: (block: Buffer) => void;
}

const BLOCK = 512;

function putNumber(block: Buffer, at: number, width: number, value: number | Buffer): void {
  if (typeof value === 'number') block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  else value.copy(block, at);
}

/** Makes the checksum fit the block. */
export function seal(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of block.subarray(0, BLOCK)) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

export function header(fields: RawHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(fields.name ?? 'a').copy(block, 0, 0, 100);
  putNumber(block, 100, 8, fields.mode ?? 0o644);
  putNumber(block, 108, 8, fields.uid ?? 0);
  putNumber(block, 116, 8, fields.gid ?? 0);
  putNumber(block, 124, 12, fields.size ?? 0);
  putNumber(block, 136, 12, fields.mtime ?? 1000);
  block.write(fields.type ?? '0', 156, 'latin1');
  block.write(fields.link ?? '', 157, 100, 'latin1');
  const format = fields.format ?? 'ustar';
  if (format !== 'v7') block.write(format === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
  if (fields.major !== undefined) putNumber(block, 329, 8, fields.major);
  if (fields.minor !== undefined) putNumber(block, 337, 8, fields.minor);
  Buffer.from(fields.prefix ?? '').copy(block, 345, 0, 155);
  fields.patch?.(block);
  return seal(block);
}

/** Content, filled up to whole blocks. */
export function content(bytes: string | Buffer): Buffer {
  const data = Buffer.from(bytes);
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** A file with content; the size is the content's unless it is given. */
export function file(name: string, body = '', fields: RawHeader = {}): Buffer {
  return Buffer.concat([header({ name, size: Buffer.byteLength(body), ...fields }), content(body)]);
}

/** Base 256 as GNU tar writes it. */
export function base256(value: bigint, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  const bits = BigInt.asUintN(width * 8, value);
  for (let index = 0; index < width; index += 1) {
    bytes[width - 1 - index] = Number((bits >> BigInt(index * 8)) & 255n);
  }
  bytes[0] = value < 0n ? 0xff : 0x80 | (bytes[0] ?? 0);
  return bytes;
}

/** One record, its own length counted. */
export function record(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** An extended header (`x`), or one for all that follow (`g`). */
export function extended(records: readonly (readonly [string, string | Buffer])[] | Buffer, type = 'x'): Buffer {
  const body = Buffer.isBuffer(records) ? records : Buffer.concat(records.map(([key, value]) => record(key, value)));
  return Buffer.concat([header({ name: 'PaxHeader', type, size: body.length }), content(body)]);
}

/** A long name (`L`) or link target (`K`) of GNU tar. */
export function longText(text: string | Buffer, type = 'L'): Buffer {
  const body = Buffer.concat([Buffer.from(text), Buffer.alloc(1)]);
  return Buffer.concat([
    header({ name: '././@LongLink', type, size: body.length, format: 'gnu', mtime: 0 }),
    content(body),
  ]);
}

/** The archive with its end mark. */
export function archive(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
