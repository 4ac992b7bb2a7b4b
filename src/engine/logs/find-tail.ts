import type { FileReader } from '../../host/index.ts';

const BLOCK = 256 << 10;
const NEWLINE = 0x0a;

/** Where the last `count` lines begin, reading backwards. A line that comes in parts counts once. */
export async function findTail(
  readers: readonly FileReader[],
  count: number,
): Promise<{ file: number; offset: number }> {
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
