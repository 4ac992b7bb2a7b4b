import { TscError } from '../core/index.ts';

/** Stream of an attach or log frame: 0 stdin, 1 stdout, 2 stderr. */
export type FrameStream = 0 | 1 | 2;

/** One frame of a multiplexed stream (`application/vnd.docker.multiplexed-stream`). */
export interface AttachFrame {
  readonly stream: FrameStream;
  readonly data: Buffer;
}

const HEADER = 8;
/** Largest payload a decoder accepts; writers of the Engine API stay far below. */
export const MAX_FRAME = 16 << 20;

/** The eight header bytes of a frame of this length. */
export function formatAttachHeader(stream: FrameStream, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(stream << 24, 0);
  header.writeUInt32BE(length, 4);
  return header;
}

/** The eight header bytes followed by the data. */
export function formatAttachFrame(stream: FrameStream, data: Uint8Array): Buffer {
  return Buffer.concat([formatAttachHeader(stream, data.length), data]);
}

/** Cuts a byte stream into frames; keeps what is incomplete until the next `push`. */
export class AttachFrameDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** Frames that are complete now. Throws `api/invalid` for a header that no writer sends. */
  push(chunk: Uint8Array): AttachFrame[] {
    let rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: AttachFrame[] = [];
    while (rest.length >= HEADER) {
      const { stream, length } = readHeader(rest);
      if (rest.length < HEADER + length) break;
      frames.push({ stream, data: rest.subarray(HEADER, HEADER + length) });
      rest = rest.subarray(HEADER + length);
    }
    this.#rest = rest;
    return frames;
  }

  /** Bytes of an unfinished frame; more than zero at the end of a stream means it was cut. */
  get pending(): number {
    return this.#rest.length;
  }
}

function readHeader(bytes: Buffer): { stream: FrameStream; length: number } {
  const stream = bytes.readUInt8(0);
  const length = bytes.readUInt32BE(4);
  if (stream > 2 || bytes.readUIntBE(1, 3) !== 0) throw new TscError('api/invalid', 'malformed frame header');
  if (length > MAX_FRAME) throw new TscError('api/invalid', `frame of ${length} bytes is larger than ${MAX_FRAME}`);
  return { stream: stream as FrameStream, length };
}
