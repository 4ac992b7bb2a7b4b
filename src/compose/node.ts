import type { Position } from '../core/index.ts';
import type { Source } from './source.ts';

/** A stretch of a source file: character offsets, end exclusive. */
export interface Span {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

/** What `!reset` and `!override` say to the merge stage. */
export type MergeTag = 'reset' | 'override';

interface NodeBase extends Span {
  readonly tag?: MergeTag;
}

/** A leaf. */
export interface Scalar extends NodeBase {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** The value as a string: what a label or variable gets from it. Empty for null. */
  readonly text: string;
  /** The text came out of interpolation, so a number or boolean may be meant. */
  readonly interpolated?: true;
  /** The text has variables that were left unexpanded; it may stand for anything. */
  readonly template?: true;
}

/** A mapping; a Map, so that keys such as `__proto__` are harmless. */
export interface Mapping extends NodeBase {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  readonly key: Span;
  readonly value: Node;
}

/** A sequence. */
export interface Sequence extends NodeBase {
  readonly kind: 'list';
  readonly items: readonly Node[];
}

/** The tree all stages work on. Nodes are immutable and may be shared (aliases). */
export type Node = Scalar | Mapping | Sequence;

const lineStarts = new WeakMap<Source, number[]>();

function startsOf(source: Source): number[] {
  const known = lineStarts.get(source);
  if (known) return known;
  const starts = [0];
  for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1)) starts.push(at + 1);
  lineStarts.set(source, starts);
  return starts;
}

/** Line and column of a span; the length ends with its first line. */
export function positionOf(span: Span): Position {
  const starts = startsOf(span.source);
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= span.start) low = middle;
    else high = middle - 1;
  }
  const lineStart = starts[low] ?? 0;
  const lineEnd = (starts[low + 1] ?? span.source.text.length + 1) - 1;
  const length = Math.max(1, Math.min(span.end, lineEnd) - span.start);
  return { file: span.source.file, line: low + 1, column: span.start - lineStart + 1, length };
}

/** A scalar made by a stage, standing at the place it was derived from. */
export function scalarAt(span: Span, value: string | number | boolean | null): Scalar {
  const { source, start, end } = span;
  return { kind: 'scalar', value, text: value === null ? '' : String(value), source, start, end };
}

/** A mapping made by a stage. */
export function mappingAt(span: Span, entries: Iterable<readonly [string, Node]>): Mapping {
  const { source, start, end } = span;
  const map = new Map<string, Entry>();
  for (const [key, value] of entries) map.set(key, { key: value, value });
  return { kind: 'map', entries: map, source, start, end };
}

/** A sequence made by a stage. */
export function sequenceAt(span: Span, items: readonly Node[]): Sequence {
  const { source, start, end } = span;
  return { kind: 'list', items, source, start, end };
}

/** The mapping with one entry set or, for undefined, removed. */
export function withEntry(map: Mapping, key: string, value: Node | undefined): Mapping {
  const entries = new Map(map.entries);
  if (value === undefined) entries.delete(key);
  else entries.set(key, { key: map.entries.get(key)?.key ?? value, value });
  return { ...map, entries };
}

/** The value below a key of a mapping. */
export function child(node: Node | undefined, key: string): Node | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
}

/** The mapping below a key, when it is one. */
export function childMap(node: Node | undefined, key: string): Mapping | undefined {
  const value = child(node, key);
  return value?.kind === 'map' ? value : undefined;
}

/** The text of a scalar below a key; undefined for null and for anything else. */
export function childText(node: Node | undefined, key: string): string | undefined {
  const value = child(node, key);
  return value?.kind === 'scalar' && value.value !== null ? value.text : undefined;
}

/** The items below a key, when it is a list. */
export function childItems(node: Node | undefined, key: string): readonly Node[] {
  const value = child(node, key);
  return value?.kind === 'list' ? value.items : [];
}

/** Whether the node is a null scalar. */
export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.value === null;
}

/** What the node is, in words for a message. */
export function describeKind(node: Node): string {
  if (node.kind === 'map') return 'a mapping';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'empty';
  if (typeof node.value === 'boolean') return `the boolean ${node.value}`;
  if (typeof node.value === 'number') return `the number ${node.text}`;
  return 'a string';
}
