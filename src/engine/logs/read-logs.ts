import { dirname } from 'node:path';
import { watchDirectory } from '../../host/index.ts';
import { findTail } from './find-tail.ts';
import { closeAll, type LogFile, openLogFiles, openNewer } from './log-files.ts';
import { nanosecondsOf, parseLogLine } from './log-line.ts';
import type { LogFrame, LogFrames, LogQuery } from './log-query.ts';

const BLOCK = 256 << 10;
const NEWLINE = 0x0a;

export interface LogSource {
  /** The newest file; older ones are beside it as `.1`, `.2`, …, compressed ones as `.1.gz`, … */
  readonly path: string;
  /** Settles when nothing more will be written; only used to follow. */
  readonly finished: Promise<unknown>;
}

/**
 * Reads a log in order, oldest line first. With `tail` only the needed end of the files is read. With `follow` it goes on
 * until the source is finished or the signal fires; rotation meanwhile is followed by the files' identity, not their names.
 */
export function readLogs(source: LogSource, query: LogQuery): LogFrames {
  const batches = readBatches(source, query);
  return { batches, [Symbol.asyncIterator]: () => oneByOne(batches) };
}

async function* oneByOne(batches: AsyncIterable<readonly LogFrame[]>): AsyncGenerator<LogFrame> {
  for await (const frames of batches) yield* frames;
}

async function* readBatches(source: LogSource, query: LogQuery): AsyncGenerator<readonly LogFrame[]> {
  for await (const lines of readLines(source, query)) {
    if (query.signal?.aborted) return;
    const { frames, ended } = selectFrames(lines, query);
    if (frames.length > 0) yield frames;
    if (ended) return;
  }
}

/** What of the lines is asked for; `ended` when a line is behind the range. */
function selectFrames(
  lines: readonly string[],
  query: LogQuery,
): { readonly frames: LogFrame[]; readonly ended: boolean } {
  const bounded = query.since !== undefined || query.until !== undefined;
  const frames: LogFrame[] = [];
  for (const line of lines) {
    const frame = parseLogLine(line);
    if (!frame || !query[frame.stream]) continue;
    const place = bounded ? placeInRange(frame, query) : 'inside';
    if (place === 'after') return { frames, ended: true };
    if (place === 'inside') frames.push(frame);
  }
  return { frames, ended: false };
}

function placeInRange(frame: LogFrame, query: LogQuery): 'before' | 'inside' | 'after' {
  const at = nanosecondsOf(frame.time);
  if (query.since !== undefined && at < query.since) return 'before';
  return query.until !== undefined && at > query.until ? 'after' : 'inside';
}

/** Lines in batches: a step of an async generator per line would cost more than reading it. */
async function* readLines(source: LogSource, query: LogQuery): AsyncGenerator<readonly string[]> {
  const watch = query.follow ? watchDirectory(dirname(source.path)) : undefined;
  let readers: readonly LogFile[] = [];
  try {
    readers = await openLogFiles(source.path);
    const start = query.tail === undefined ? { file: 0, offset: 0 } : await findTail(readers, query.tail);
    let last: Position | undefined;
    for (const [index, reader] of readers.entries()) {
      if (index < start.file) continue;
      last = { reader, offset: index === start.file ? start.offset : 0, rest: '' };
      yield* drain(last);
    }
    if (watch) yield* follow(source, query, last, watch);
  } finally {
    watch?.close();
    await closeAll(readers);
  }
}

interface Position {
  readonly reader: LogFile;
  offset: number;
  /** A line that has begun. */
  rest: string;
}

/** Complete lines from the position to the present end. */
async function* drain(position: Position): AsyncGenerator<readonly string[]> {
  let pending: Buffer = Buffer.from(position.rest, 'latin1');
  for (;;) {
    const block = await position.reader.read(position.offset, BLOCK);
    if (block.length === 0) break;
    position.offset += block.length;
    const bytes = pending.length === 0 ? block : Buffer.concat([pending, block]);
    const end = bytes.lastIndexOf(NEWLINE);
    pending = Buffer.from(bytes.subarray(end + 1));
    // Bytes as characters: decoding is for the few who need text. Bytes of UTF-8 never look like a newline.
    if (end >= 0) yield bytes.toString('latin1', 0, end).split('\n');
  }
  position.rest = pending.toString('latin1');
}

async function* follow(
  source: LogSource,
  query: LogQuery,
  begun: Position | undefined,
  watch: ReturnType<typeof watchDirectory>,
): AsyncGenerator<readonly string[]> {
  const finish = new AbortController();
  void source.finished.then(
    () => finish.abort(),
    () => finish.abort(),
  );
  const signal = query.signal ? AbortSignal.any([finish.signal, query.signal]) : finish.signal;
  let position = begun;
  let opened: LogFile | undefined;
  try {
    for (;;) {
      const ending = signal.aborted;
      for (;;) {
        if (position) {
          await noticeRestart(position);
          yield* drain(position);
        }
        const next: LogFile | undefined = await openNewer(source.path, position?.reader);
        if (!next) break;
        // What was written between our last read and the rotation.
        if (position) yield* drain(position);
        await opened?.close();
        opened = next;
        position = { reader: next, offset: 0, rest: '' };
      }
      if (ending) return;
      await watch.next(signal);
    }
  } finally {
    await opened?.close();
  }
}

/** A log of a single file starts again when it is full. */
async function noticeRestart(position: Position): Promise<void> {
  if ((await position.reader.size()) >= position.offset) return;
  position.offset = 0;
  position.rest = '';
}
