import { dirname } from 'node:path';
import { type FileReader, fileIdentity, openReader, watchDirectory } from '../../host/index.ts';
import { nanosecondsOf, parseLogLine } from './log-line.ts';
import type { LogFrame, LogQuery } from './log-query.ts';

const BLOCK = 256 << 10;
const NEWLINE = 0x0a;
/** More rotated files than the monitor can be told to keep. */
const MAX_FILES = 1000;

export interface LogSource {
  /** The newest file; older ones are beside it as `.1`, `.2`, … */
  readonly path: string;
  /** Settles when nothing more will be written; only used to follow. */
  readonly finished: Promise<unknown>;
}

/**
 * Reads a log in order, oldest line first. With `tail` only the needed end of the files is read. With `follow` it goes on
 * until the source is finished or the signal fires; rotation meanwhile is followed by the files' identity, not their names.
 */
export async function* readLogs(source: LogSource, query: LogQuery): AsyncGenerator<LogFrame> {
  const wanted = (frame: LogFrame) => (frame.stream === 'stderr' ? query.stderr : query.stdout);
  const bounded = query.since !== undefined || query.until !== undefined;
  for await (const lines of readLines(source, query)) {
    for (const line of lines) {
      if (query.signal?.aborted) return;
      const frame = parseLogLine(line);
      if (!frame || !wanted(frame)) continue;
      const place = bounded ? placeInRange(frame, query) : 'inside';
      if (place === 'after') return;
      if (place === 'inside') yield frame;
    }
  }
}

function placeInRange(frame: LogFrame, query: LogQuery): 'before' | 'inside' | 'after' {
  const at = nanosecondsOf(frame.time);
  if (query.since !== undefined && at < query.since) return 'before';
  return query.until !== undefined && at > query.until ? 'after' : 'inside';
}

/** Lines in batches: a step of an async generator per line would cost more than reading it. */
async function* readLines(source: LogSource, query: LogQuery): AsyncGenerator<readonly string[]> {
  const watch = query.follow ? watchDirectory(dirname(source.path)) : undefined;
  const readers: FileReader[] = [];
  try {
    for (let index = await oldestIndex(source.path); index >= 0; index -= 1) {
      const reader = await openReader(nameOf(source.path, index));
      if (reader) readers.push(reader);
    }
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
    await Promise.all(readers.map((reader) => reader.close()));
  }
}

const nameOf = (path: string, index: number) => (index === 0 ? path : `${path}.${index}`);

async function oldestIndex(path: string): Promise<number> {
  let index = 0;
  while (index < MAX_FILES && (await fileIdentity(nameOf(path, index + 1))) !== undefined) index += 1;
  return index;
}

interface Position {
  readonly reader: FileReader;
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
    // Bytes of UTF-8 above 0x7f never look like a newline, so cutting at newlines keeps characters whole.
    if (end >= 0) yield bytes.toString('utf8', 0, end).split('\n');
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
  const opened: FileReader[] = [];
  try {
    for (;;) {
      const ending = signal.aborted;
      for (;;) {
        if (position) yield* drain(position);
        const next: FileReader | undefined = await newerFile(source.path, position?.reader.identity);
        if (!next) break;
        // What was written between our last read and the rotation.
        if (position) yield* drain(position);
        opened.push(next);
        position = { reader: next, offset: 0, rest: '' };
      }
      if (ending) return;
      await watch.next(signal);
    }
  } finally {
    await Promise.all(opened.map((reader) => reader.close()));
  }
}

/** The file that follows the one we have read; undefined while that one is the newest. */
async function newerFile(path: string, identity: string | undefined): Promise<FileReader | undefined> {
  if (identity === undefined || (await fileIdentity(path)) === undefined) return openReader(path);
  const count = await oldestIndex(path);
  for (let index = 0; index <= count; index += 1) {
    if ((await fileIdentity(nameOf(path, index))) !== identity) continue;
    return index === 0 ? undefined : openReader(nameOf(path, index - 1));
  }
  // Ours was deleted by rotation: go on with the oldest there is.
  return openReader(nameOf(path, count));
}

/** Where the last `count` lines begin, reading backwards. A line that comes in parts counts once. */
async function findTail(readers: readonly FileReader[], count: number): Promise<{ file: number; offset: number }> {
  let missing = count;
  for (let file = readers.length - 1; file >= 0; file -= 1) {
    const reader = readers[file];
    if (!reader) continue;
    const found = await findTailInFile(reader, missing);
    if (found.missing <= 0) return { file, offset: found.offset };
    missing = found.missing;
  }
  return { file: 0, offset: 0 };
}

/** The marker of a record whose text ends a line; quotes inside texts are escaped, so it cannot occur elsewhere. */
const LINE_END = Buffer.from('\\n","stream"');

async function findTailInFile(
  reader: FileReader,
  count: number,
): Promise<{ readonly offset: number; readonly missing: number }> {
  let missing = count;
  let newest = true;
  for await (const { bytes, end } of linesBackwards(reader)) {
    // Reading backwards, a record that ends a line opens the next line to count; the newest may be unfinished.
    const opens = newest || bytes.includes(LINE_END);
    newest = false;
    if (!opens) continue;
    if (missing === 0) return { offset: end, missing: 0 };
    missing -= 1;
  }
  return { offset: 0, missing };
}

interface PlacedLine {
  readonly bytes: Buffer;
  /** Offset behind its newline. */
  readonly end: number;
}

/** The records of a file, last first. */
async function* linesBackwards(reader: FileReader): AsyncGenerator<PlacedLine> {
  let end = await reader.size();
  let carry: Buffer = Buffer.alloc(0);
  while (end > 0) {
    const begin = Math.max(0, end - BLOCK);
    const bytes = Buffer.concat([await reader.read(begin, end - begin), carry]);
    let lineEnd = bytes.length;
    for (let before = newlineBefore(bytes, lineEnd); before >= 0; before = newlineBefore(bytes, lineEnd)) {
      if (before + 1 < lineEnd) yield { bytes: bytes.subarray(before + 1, lineEnd), end: begin + lineEnd };
      lineEnd = before + 1;
    }
    carry = Buffer.from(bytes.subarray(0, lineEnd));
    end = begin;
  }
  if (carry.length > 0) yield { bytes: carry, end: carry.length };
}

/** The newline that ends the line before the one that ends at `end`. */
function newlineBefore(bytes: Buffer, end: number): number {
  if (end <= 1) return -1;
  return bytes.lastIndexOf(NEWLINE, bytes[end - 1] === NEWLINE ? end - 2 : end - 1);
}
