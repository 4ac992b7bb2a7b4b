import type { CompletionItem, Location, Diagnostic as LspDiagnostic, Range } from 'vscode-languageserver/node';
import type { Proposal } from '../compose/index.ts';
import type { Diagnostic, Position } from '../core/index.ts';

/** Numbers of the protocol. */
const SEVERITY = { error: 1, warning: 2 } as const;
const ITEM_KIND = { key: 10, value: 12, name: 18, variable: 6 } as const;

export function toRange({ line, column, length = 1 }: Position): Range {
  return {
    start: { line: line - 1, character: column - 1 },
    end: { line: line - 1, character: column - 1 + length },
  };
}

export function toLocation(at: Position, uri: string): Location {
  return { uri, range: toRange(at) };
}

export function toDiagnostic({ code, severity, message, at, hint }: Diagnostic): LspDiagnostic {
  return {
    range: toRange(at ?? { file: '', line: 1, column: 1 }),
    severity: SEVERITY[severity],
    code,
    source: 'tscompose',
    message: hint === undefined ? message : `${message}\n${hint}`,
  };
}

export function toCompletionItem(
  { label, kind, insert, description, start }: Proposal,
  text: string,
  offset: number,
): CompletionItem {
  return {
    label,
    kind: ITEM_KIND[kind],
    textEdit: { range: { start: placeOf(text, start), end: placeOf(text, offset) }, newText: insert },
    ...(description !== undefined && { documentation: description }),
  };
}

/** Offset of a place of the protocol; lines and characters count from 0. */
export function offsetOf(
  text: string,
  { line, character }: { readonly line: number; readonly character: number },
): number {
  let start = 0;
  for (let index = 0; index < line; index++) {
    const end = text.indexOf('\n', start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  return Math.min(start + character, end < 0 ? text.length : end);
}

function placeOf(text: string, offset: number): { line: number; character: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length - 1, character: offset - (before.lastIndexOf('\n') + 1) };
}
