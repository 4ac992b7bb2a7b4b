import type { Mapping, MergeTag, Node } from '../node.ts';

/**
 * Parts of a path like `services.web.ports[0].target`; items as `[0]`. Keys may have dots: of the ways to read the text the one
 * that some tree knows is taken.
 */
export function pathSegments(subject: string, trees: readonly Mapping[]): readonly string[] {
  const parts = subject
    .replaceAll('[', '.[')
    .split('.')
    .filter((part) => part !== '');
  for (const tree of trees) {
    const found = readSegments(tree, parts);
    if (found) return found;
  }
  return parts;
}

function readSegments(node: Node, parts: readonly string[]): readonly string[] | undefined {
  if (parts.length === 0) return [];
  for (let count = 1; count <= parts.length; count++) {
    const key = parts.slice(0, count).join('.');
    const next = stepInto(node, key);
    const rest = next && readSegments(next, parts.slice(count));
    if (rest) return [key, ...rest];
  }
  return undefined;
}

function stepInto(node: Node, segment: string): Node | undefined {
  if (node.kind === 'map') return node.entries.get(segment)?.value;
  const index = /^\[(\d+)\]$/.exec(segment)?.[1];
  return node.kind === 'list' && index !== undefined ? node.items[Number(index)] : undefined;
}

/** A value with what its parents say about it. */
export interface Found {
  readonly node: Node;
  /** On the value or on a parent, the outermost first. */
  readonly tag: MergeTag | undefined;
  /** Written outside of its parent: an alias or merge key brought it. */
  readonly anchored: boolean;
}

/** The value at a path; a parent that is reset stands for everything in it. */
export function valueAt(tree: Node, segments: readonly string[]): Found | undefined {
  let node: Node = tree;
  let tag: MergeTag | undefined;
  let anchored = false;
  for (const segment of segments) {
    const next = stepInto(node, segment);
    if (!next) return undefined;
    anchored ||= next.source === node.source && (next.start < node.start || next.end > node.end);
    node = next;
    tag ??= node.tag;
    if (node.tag === 'reset') break;
  }
  return { node, tag, anchored };
}

/** A value as one line of JSON, shortened. */
export function describeNode(node: Node): string {
  const text = JSON.stringify(plainOf(node));
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

function plainOf(node: Node): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainOf);
  return Object.fromEntries(Array.from(node.entries, ([key, { value }]) => [key, plainOf(value)]));
}
