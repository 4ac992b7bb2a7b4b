/** Where a cursor stands in the structure of a file. */
export interface Cursor {
  /** Keys from the top down to the mapping or list that the cursor is in; `[]` for items of lists. */
  readonly path: readonly string[];
  /** The key whose value is being written on this line; absent where a key is expected. */
  readonly key: string | undefined;
  /** What is written of the word at the cursor. */
  readonly prefix: string;
  /** Offset where the word begins. */
  readonly start: number;
}

interface Line {
  /** Column of the first character that is no blank or dash. */
  readonly column: number;
  /** Columns of the dashes before it. */
  readonly dashes: readonly number[];
  readonly key: string | undefined;
}

/**
 * Finds out by indentation alone, for a file is rarely whole while it is written. Flow collections on the cursor's line are not
 * looked into.
 */
export function cursorAt(text: string, offset: number): Cursor {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const before = text.slice(lineStart, offset);
  const { column, dashes, key } = readLine(before);
  const prefix = /[^\s:"'[\],{}]*$/.exec(before)?.[0] ?? '';
  const path = pathOf(text.slice(0, lineStart), before.trim() === '' ? before.length : column, dashes);
  return { path, key, prefix, start: offset - prefix.length };
}

function readLine(line: string): Line {
  const [lead = ''] = /^(?: |- |-$)*/.exec(line) ?? [];
  const dashes = [...lead].flatMap((char, index) => (char === '-' ? [index] : []));
  const [, quoted, plain] = /^(?:"([^"]*)"|([^\s#:][^:#]*?)):(?:\s|$)/.exec(line.slice(lead.length)) ?? [];
  return { column: lead.length, dashes, key: quoted ?? plain };
}

/** Keys of the lines above that this column lies below. */
function pathOf(above: string, column: number, dashes: readonly number[]): string[] {
  const path: string[] = [];
  let limit = column;
  const lines = above.split('\n');
  for (const dash of dashes.toReversed()) {
    path.unshift('[]');
    limit = dash;
  }
  // A list may stand in the column of its key.
  let isItem = dashes.length > 0;
  for (let index = lines.length - 1; index >= 0 && (limit > 0 || isItem); index--) {
    const text = lines[index] ?? '';
    if (/^\s*(?:#|$)/.test(text)) continue;
    const line = readLine(text);
    if (line.column < limit || (isItem && line.column === limit && line.dashes.length === 0)) {
      if (line.key !== undefined) path.unshift(line.key);
      limit = line.column;
      isItem = false;
    }
    for (const dash of line.dashes.toReversed()) {
      if (dash >= limit) continue;
      path.unshift('[]');
      limit = dash;
      isItem = true;
    }
  }
  return path;
}
