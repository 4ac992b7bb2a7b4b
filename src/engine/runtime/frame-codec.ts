import { TscError } from '../../core/index.ts';

/** Frame types of the monitor's socket. Output frames (1, 2) are byte for byte those of the Engine API's attach stream. */
export const FRAME = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  endOfStdin: 10,
  request: 11,
  reply: 12,
  event: 13,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** One frame: its type and its payload. */
export interface Frame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

/** Bytes before every payload: type, three zeros, big-endian length. */
export const FRAME_HEADER_LENGTH = 8;
/** Largest payload of a data frame (0, 1, 2). */
export const DATA_FRAME_LIMIT = 64 << 10;
/** Largest payload of a JSON frame. */
export const JSON_FRAME_LIMIT = 1 << 20;

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(FRAME));

function isFrameType(type: number): type is FrameType {
  return KNOWN_TYPES.has(type);
}

function frameLimit(type: FrameType): number {
  if (type === FRAME.endOfStdin) return 0;
  return type <= FRAME.stderr ? DATA_FRAME_LIMIT : JSON_FRAME_LIMIT;
}

/** The eight bytes before a payload of `length` bytes. */
export function encodeFrameHeader(type: FrameType, length: number): Buffer {
  if (length > frameLimit(type))
    throw new TscError('monitor/invalid', `a frame of type ${type} cannot carry ${length} bytes`);
  const header = Buffer.alloc(FRAME_HEADER_LENGTH);
  header[0] = type;
  header.writeUInt32BE(length, 4);
  return header;
}

/** One whole frame. Throws `monitor/invalid` when the payload is larger than its type allows. */
export function encodeFrame(type: FrameType, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload as Uint8Array);
  return Buffer.concat([encodeFrameHeader(type, bytes.length), bytes]);
}

/**
 * Turns a byte stream back into frames, whatever its chunks are. Payloads of frames that lie inside one chunk are views on
 * it. Throws `monitor/corrupt` on bytes that no frame begins with; the decoder is of no use afterwards.
 */
export class FrameDecoder {
  #parts: Buffer[] = [];
  #size = 0;

  /** True while a frame has begun but not ended. */
  get partial(): boolean {
    return this.#size > 0;
  }

  /** Takes the next bytes; returns the frames that are now whole, in order. */
  push(chunk: Buffer): Frame[] {
    this.#parts.push(chunk);
    this.#size += chunk.length;
    // Joining only when a frame can end keeps a large frame in small chunks linear.
    if (this.#size < this.#needed()) return [];
    let rest = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    const frames: Frame[] = [];
    for (;;) {
      const frame = firstFrame(rest);
      if (!frame) break;
      frames.push(frame);
      rest = rest.subarray(FRAME_HEADER_LENGTH + frame.payload.length);
    }
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    return frames;
  }

  #needed(): number {
    const first = this.#parts[0];
    if (!first || first.length < FRAME_HEADER_LENGTH) return FRAME_HEADER_LENGTH;
    return FRAME_HEADER_LENGTH + checkHeader(first).length;
  }
}

function firstFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < FRAME_HEADER_LENGTH) return undefined;
  const { type, length } = checkHeader(bytes);
  const end = FRAME_HEADER_LENGTH + length;
  return bytes.length < end ? undefined : { type, payload: bytes.subarray(FRAME_HEADER_LENGTH, end) };
}

function checkHeader(bytes: Buffer): { type: FrameType; length: number } {
  const type = bytes[0] ?? -1;
  const length = bytes.readUInt32BE(4);
  if (!isFrameType(type) || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0)
    throw new TscError('monitor/corrupt', `not a frame: ${bytes.subarray(0, FRAME_HEADER_LENGTH).toString('hex')}`);
  if (length > frameLimit(type))
    throw new TscError('monitor/corrupt', `a frame of type ${type} claims ${length} bytes`);
  return { type, length };
}
