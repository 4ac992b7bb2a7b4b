import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type ParsedNode,
  parseAllDocuments,
  type YAMLError,
  type YAMLMap,
  type Node as YamlNode,
  Scalar as YamlScalar,
} from 'yaml';
import type { DiagnosticCollector } from '../core/index.ts';
import { mergeKey } from './merge-key.ts';
import { type Entry, type Mapping, type MergeTag, type Node, positionOf, type Span } from './node.ts';
import { resolveScalar } from './resolve-scalar.ts';
import type { Source } from './source.ts';
import { explainYamlError } from './yaml-errors.ts';

/** Deepest nesting of collections; the specification needs about ten. */
const MAX_DEPTH = 100;
/** Values a file may have after its aliases are followed, and that its merge keys may copy; stops exponential documents. */
const MAX_EXPANDED = 500_000;
const CORE_TAG = 'tag:yaml.org,2002:';

/** Reads any YAML: one tree per document; a document that is not YAML is reported and left out. */
export function readYaml(source: Source, findings: DiagnosticCollector): Mapping[] {
  let documents: Document.Parsed[];
  try {
    documents = parseYaml(source.text);
  } catch (error) {
    // The YAML reader recurses: a hostile nesting ends as a stack overflow, which is catchable and leaves no state.
    if (!(error instanceof RangeError)) throw error;
    reportDepth({ source, start: 0, end: 1 }, findings);
    return [];
  }
  const trees: Mapping[] = [];
  let sound = true;
  // One for all documents: docker compose knows an anchor in the documents below it.
  const conversion = new Conversion(source, findings);
  for (const document of documents) {
    if (document.errors.length > 0) {
      sound = false;
      reportErrors(source, document.errors, findings);
      continue;
    }
    if (document.contents === null || isEmpty(document.contents)) continue;
    const tree = conversion.convert(document.contents);
    if (tree?.kind === 'map') trees.push(tree);
    else {
      sound = false;
      if (tree) reportTop(tree, findings);
    }
  }
  // A file that says nothing still takes part: it is for the reader of all files to ask whether any says something.
  if (sound && trees.length === 0) trees.push({ kind: 'map', source, start: 0, end: 0, entries: new Map() });
  return trees;
}

function parseYaml(text: string): Document.Parsed[] {
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'silent',
    merge: false,
  });
  return Array.isArray(documents) ? documents : [];
}

function isEmpty(node: ParsedNode): boolean {
  return isScalar(node) && node.type === YamlScalar.PLAIN && node.source === '' && node.tag === undefined;
}

function reportErrors(source: Source, errors: readonly YAMLError[], findings: DiagnosticCollector): void {
  // One mistake often makes the reader stumble several times on the same line; the first is the telling one.
  const seen = new Set<number>();
  for (const error of errors) {
    const { offset, ...explanation } = explainYamlError(error, source.text);
    const start = offset ?? skipBlanks(source.text, error.pos[0]);
    const at = positionOf({ source, start, end: offset === undefined ? Math.max(start + 1, error.pos[1]) : start + 1 });
    if (seen.has(at.line)) continue;
    seen.add(at.line);
    findings.add({ ...explanation, severity: 'error', at });
    if (seen.size === 5) return;
  }
}

/** The reader points at the start of a line; what is wrong there begins after the indentation. */
function skipBlanks(text: string, offset: number): number {
  let at = offset;
  while (text[at] === ' ') at++;
  return at < text.length && text[at] !== '\n' && text[at] !== '\t' ? at : offset;
}

function reportTop(tree: Node, findings: DiagnosticCollector): void {
  findings.add({
    code: 'compose/not-a-mapping',
    severity: 'error',
    message: `the top of a compose file must be a mapping, not ${tree.kind === 'list' ? 'a list' : 'a single value'}`,
    at: positionOf(tree),
    hint: 'start with `services:`',
  });
}

function reportDepth(span: Span, findings: DiagnosticCollector): void {
  findings.add({
    code: 'compose/too-deep',
    severity: 'error',
    message: `values are nested deeper than ${MAX_DEPTH} levels`,
    at: positionOf(span),
  });
}

/** Turns the YAML reader's nodes into ours. One object per file: it keeps the anchors seen and the budget spent. */
class Conversion {
  readonly #source: Source;
  readonly #findings: DiagnosticCollector;
  readonly #anchors = new Map<string, Node | undefined>();
  readonly #sizes = new Map<Node, number>();
  readonly #depths = new Map<Node, number>();
  #copied = 0;
  #failed = false;

  constructor(source: Source, findings: DiagnosticCollector) {
    this.#source = source;
    this.#findings = findings;
  }

  /** Undefined after a problem that makes the tree useless (it is reported). */
  convert(root: YamlNode): Node | undefined {
    this.#failed = false;
    const tree = this.#node(root, 0);
    return this.#failed ? undefined : tree;
  }

  #fail(code: string, message: string, span: Span, hint?: string): void {
    this.#failed = true;
    const at = positionOf(span);
    this.#findings.add({ code, severity: 'error', message, at, ...(hint !== undefined && { hint }) });
  }

  #span(node: YamlNode): Span {
    return { source: this.#source, start: node.range?.[0] ?? 0, end: endOf(node) };
  }

  #node(node: YamlNode, depth: number): Node {
    const span = this.#span(node);
    if (this.#failed) return nothing(span);
    if (depth > MAX_DEPTH) {
      this.#failed = true;
      reportDepth(span, this.#findings);
      return nothing(span);
    }
    if (isAlias(node)) return this.#alias(node.source, span);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    // Present but undefined until finished: an alias met meanwhile refers to its own ancestor.
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const made = this.#own(node, span, depth);
    if (anchor !== undefined) this.#anchors.set(anchor, made);
    return made;
  }

  #own(node: YamlNode, span: Span, depth: number): Node {
    const tag = mergeTag(node.tag);
    const base = tag === undefined ? span : { ...span, tag };
    if (isMap(node)) return this.#mapping(node, base, depth);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.#node(item as YamlNode, depth + 1));
      return this.#measured({ kind: 'list', items, ...base }, items);
    }
    return this.#scalar(node as YamlScalar, base);
  }

  #alias(name: string, span: Span): Node {
    const target = this.#anchors.get(name);
    if (target) return target;
    if (this.#anchors.has(name)) {
      this.#fail('compose/alias-cycle', `the alias *${name} lies inside its own anchor`, span);
    } else {
      this.#fail(
        'compose/unknown-alias',
        `no anchor &${name} is defined above`,
        span,
        'define the anchor before its use',
      );
    }
    return nothing(span);
  }

  #scalar(node: YamlScalar, base: Span & { tag?: MergeTag }): Node {
    const source = node.source ?? String(node.value ?? '');
    const core = node.tag?.startsWith(CORE_TAG) ? node.tag.slice(CORE_TAG.length) : undefined;
    const plain = node.type === YamlScalar.PLAIN || node.type === undefined;
    const typed = core === undefined ? plain : core !== 'str' && core !== 'binary';
    const resolved = typed ? resolveScalar(source) : { value: source, text: source };
    return { kind: 'scalar', ...resolved, ...base };
  }

  #mapping(node: YAMLMap, base: Span & { tag?: MergeTag }, depth: number): Mapping {
    const entries = new Map<string, Entry>();
    const merged: Node[] = [];
    for (const pair of node.items) {
      const keyNode = pair.key as YamlNode;
      const keySpan = this.#span(keyNode);
      const key = this.#keyText(keyNode, keySpan);
      if (key === undefined) break;
      const value = pair.value === null ? nothing(keySpan) : this.#node(pair.value as YamlNode, depth + 1);
      if (key === '<<' && isScalar(keyNode) && keyNode.type === YamlScalar.PLAIN) {
        if (merged.length > 0) this.#duplicate(key, keySpan, undefined);
        merged.push(value);
      } else if (entries.has(key)) this.#duplicate(key, keySpan, entries.get(key)?.key);
      else entries.set(key, { key: keySpan, value });
    }
    for (const value of merged) this.#mergeInto(entries, value);
    const values = Array.from(entries.values(), (entry) => entry.value);
    return this.#measured({ kind: 'map', entries, ...base }, values);
  }

  #duplicate(key: string, span: Span, first: Span | undefined): void {
    const line = first ? ` (first on line ${positionOf(first).line})` : '';
    this.#findings.add({
      code: 'compose/duplicate-key',
      severity: 'error',
      message: `the key ${JSON.stringify(key)} is given twice${line}`,
      at: positionOf(span),
      hint:
        key === '<<'
          ? 'merge several at once: `<<: [*first, *second]`'
          : 'keep one of the two; if they are meant for different parents, check the indentation',
    });
  }

  #keyText(node: YamlNode, span: Span): string | undefined {
    const key = isAlias(node) ? this.#alias(node.source, span) : isScalar(node) ? this.#node(node, 0) : undefined;
    if (key?.kind === 'scalar' && key.value !== null) return key.text;
    if (!this.#failed) {
      this.#fail('compose/invalid-key', 'a key must be a plain text', span, 'a template such as {{ x }} needs quotes');
    }
    return undefined;
  }

  #mergeInto(entries: Map<string, Entry>, value: Node): void {
    for (const source of value.kind === 'list' ? value.items : [value])
      if (source.kind === 'map') this.#copied += source.entries.size;
    if (this.#copied > MAX_EXPANDED) {
      if (!this.#failed)
        this.#fail('compose/alias-bomb', `the merges of this file copy more than ${MAX_EXPANDED} values`, value);
      return;
    }
    const wrong = mergeKey(entries, value);
    if (wrong && !this.#failed)
      this.#fail('compose/invalid-merge', '`<<` takes a mapping or a list of mappings', wrong, 'write `<<: *anchor`');
  }

  /** Counts what the value would be with all aliases written out. */
  #measured<T extends Node>(made: T, parts: readonly Node[]): T {
    let size = 1;
    let depth = 1;
    for (const part of parts) {
      size += this.#sizes.get(part) ?? 1;
      depth = Math.max(depth, 1 + (this.#depths.get(part) ?? 0));
    }
    this.#sizes.set(made, size);
    this.#depths.set(made, depth);
    // Aliases of aliases nest without any line of the file being deep.
    if (depth > MAX_DEPTH && !this.#failed) {
      this.#failed = true;
      reportDepth(made, this.#findings);
    }
    if (size > MAX_EXPANDED && !this.#failed) {
      const message = `the aliases of this value expand to more than ${MAX_EXPANDED} values`;
      this.#fail('compose/alias-bomb', message, made);
    }
    return made;
  }
}

/** Where a value ends; a block with its last value, without the comments and lines that follow. */
function endOf(node: YamlNode): number {
  let last = node;
  while ((isMap(last) || isSeq(last)) && !last.flow && last.items.length > 0) {
    const item = last.items.at(-1);
    last = (isPair(item) ? (item.value ?? item.key) : item) as YamlNode;
  }
  return last.range?.[1] ?? 0;
}

function nothing(span: Span): Node {
  const { source, start, end } = span;
  return { kind: 'scalar', value: null, text: '', source, start, end };
}

function mergeTag(tag: string | undefined): MergeTag | undefined {
  return tag === '!reset' ? 'reset' : tag === '!override' ? 'override' : undefined;
}
