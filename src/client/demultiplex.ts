import type { OutputChunk } from './engine-client.ts';

/**
 * Splits the multiplexed frames of a log or attach stream (`[stream u8][0 0 0][length u32 big-endian]` and the bytes) into
 * chunks. A terminal's stream has no frames: pass `raw`.
 */
export async function* demultiplex(source: AsyncIterable<Uint8Array>, raw: boolean): AsyncGenerator<OutputChunk> {
  if (raw) {
    for await (const data of source) yield { stream: 'stdout', data: Buffer.from(data) };
    return;
  }
  let pending: Buffer = Buffer.alloc(0);
  for await (const data of source) {
    pending = pending.length === 0 ? Buffer.from(data) : Buffer.concat([pending, data]);
    let offset = 0;
    while (pending.length - offset >= 8) {
      const end = offset + 8 + pending.readUInt32BE(offset + 4);
      if (end > pending.length) break;
      const stream = pending[offset] === 2 ? 'stderr' : 'stdout';
      yield { stream, data: pending.subarray(offset + 8, end) };
      offset = end;
    }
    pending = pending.subarray(offset);
  }
}

/** Parsed lines of a stream of JSON values, one per line; blank lines are skipped. */
export async function* readJsonLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const data of source) {
    const lines = (rest + decoder.decode(data, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
  }
  if (rest.trim()) yield JSON.parse(rest);
}
