import type { DiagnosticCollector } from '../core/index.ts';
import {
  describeKind,
  isNull,
  type Mapping,
  type Node,
  positionOf,
  type Scalar,
  type Sequence,
  type Span,
} from './node.ts';
import { FORMATS, readBoolean } from './scalar-formats.ts';
import { alternativesOf, COMPOSE_SCHEMA, patternOf, propertyOf, type Schema, typesOf } from './schema.ts';
import { isServiceKey, sourceText, typeHint } from './shape-hints.ts';
import { isCrowded, suggest } from './suggest.ts';

/**
 * Stage 3: every key and value against our JSON schema, with positions. Missing required keys are no matter here: an
 * override file may complete another one; {@link checkRequired} looks at the merged tree.
 *
 * Walks the schema itself instead of running precompiled ajv code: unknown keys need neighbours for a suggestion,
 * alternatives need the one message that fits the kind of value written, and nothing has to be generated.
 */
export function checkShape(tree: Mapping, findings: DiagnosticCollector): void {
  checkNode({ node: tree, schema: COMPOSE_SCHEMA, path: '' }, findings);
}

interface Visit {
  readonly node: Node;
  readonly schema: Schema;
  /** Dotted path, for messages. */
  readonly path: string;
}

function checkNode(visit: Visit, findings: DiagnosticCollector): void {
  const { node, schema } = visit;
  // What is reset is thrown away; its value may be anything.
  if (node.tag === 'reset') return;
  // A key without a value may stand over an earlier file's; what is still empty after the merge is reported then.
  if (node.kind === 'scalar' && node.value === null) return;
  const alternatives = alternativesOf(schema);
  const fitting = alternatives.find((alternative) => accepts(alternative, node));
  if (!fitting) reportType(visit, alternatives, findings);
  else if (fitting.type === undefined) return;
  else if (node.kind === 'map') checkMapping(node, fitting, visit.path, findings);
  else if (node.kind === 'list') checkItems(node, fitting, visit.path, findings);
  else checkScalar(node, fitting, visit, findings);
}

function accepts(schema: Schema, node: Node): boolean {
  const types = typesOf(schema);
  if (types.length === 0) return true;
  if (node.kind === 'map') return types.includes('object');
  if (node.kind === 'list') return types.includes('array');
  return types.some((type) => fitsScalar(type, node));
}

function fitsScalar(type: string, { value, interpolated, template }: Scalar): boolean {
  if (template) return type !== 'null';
  if (type === 'null') return value === null;
  if (type === 'string') return typeof value === 'string';
  // Interpolation always makes text; the number or boolean inside is what was meant.
  if (type === 'boolean')
    return typeof value === 'boolean' || (interpolated === true && readBoolean(String(value)) !== undefined);
  if (type === 'number')
    return typeof value === 'number' || (interpolated === true && value !== '' && !Number.isNaN(Number(value)));
  return (
    type === 'integer' &&
    (typeof value === 'number' || interpolated === true) &&
    value !== '' &&
    Number.isInteger(Number(value))
  );
}

const KIND_NAMES: ReadonlyMap<string, string> = new Map([
  ['object', 'a mapping'],
  ['array', 'a list'],
  ['string', 'a string'],
  ['number', 'a number'],
  ['integer', 'a whole number'],
  ['boolean', 'true or false'],
  ['null', 'empty'],
]);

function reportType(visit: Visit, alternatives: readonly Schema[], findings: DiagnosticCollector): void {
  const { node, path } = visit;
  const types = [...new Set(alternatives.flatMap(typesOf))];
  const expected = types.map((type) => KIND_NAMES.get(type) ?? type);
  const hint = typeHint(node, types, path);
  findings.add({
    code: 'compose/wrong-type',
    severity: 'error',
    message: `${path || 'the file'} must be ${joinOr(expected)}, not ${describeKind(node)}`,
    at: positionOf(node),
    ...(hint !== undefined && { hint }),
  });
}

function joinOr(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? 'something else';
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function checkMapping(map: Mapping, schema: Schema, path: string, findings: DiagnosticCollector): void {
  for (const [key, { key: span, value }] of map.entries) {
    const below = propertyOf(schema, key);
    const at = path === '' ? key : `${path}.${key}`;
    if (below !== undefined) checkNode({ node: value, schema: below, path: at }, findings);
    else reportUnknown({ key, span, schema, path }, findings);
  }
}

interface UnknownKey {
  readonly key: string;
  readonly span: Span;
  readonly schema: Schema;
  readonly path: string;
}

function reportUnknown({ key, span, schema, path }: UnknownKey, findings: DiagnosticCollector): void {
  const where = path === '' ? 'at the top level' : `in ${path}`;
  const known = Object.keys(schema.properties ?? {});
  if (known.length === 0) {
    const message = `${JSON.stringify(key)} ${where} is not a valid name`;
    const hint = nameHint(key, schema);
    findings.add({ code: 'compose/invalid-name', severity: 'error', message, at: positionOf(span), hint });
    return;
  }
  findings.add({
    code: 'compose/unknown-key',
    severity: 'error',
    message: `unknown key ${JSON.stringify(key)} ${where}`,
    at: positionOf(span),
    ...(!isCrowded(findings) && { hint: unknownHint(key, path, known) }),
  });
}

function nameHint(key: string, schema: Schema): string {
  if (key === '') return 'give a name before the colon';
  const [pattern] = Object.keys(schema.patternProperties ?? {});
  return pattern === '^[a-z]+$' ? `write ${key.toLowerCase()}` : 'names are made of letters, digits, ".", "_" and "-"';
}

function unknownHint(key: string, path: string, known: readonly string[]): string {
  const near = LEGACY.get(key) ?? suggest(key, known);
  if (near !== undefined && known.includes(near)) return `did you mean ${near}?`;
  if (LEGACY.has(key)) return `use ${near}`;
  if (/^networks\.[^.]+$/.test(path) && ['subnet', 'ip_range', 'gateway', 'aux_addresses'].includes(key))
    return `it belongs to the address management: ipam: {config: [{${key}: …}]}`;
  if (/\.ports\[\d+\]$/.test(path) && /^\d+$/.test(key)) return 'write host:container without a blank, in quotes';
  if (path === '' && isServiceKey(key))
    return `${key} belongs to a service: indent it below services and the service's name`;
  if (isServiceKey(key)) return `${key} is a key of a service: check the indentation`;
  if (path === '') return 'services go below `services:`; own data needs a key that starts with x-';
  if (/^services\.[^.]+$/.test(path) && Object.hasOwn(COMPOSE_SCHEMA.properties ?? {}, key)) {
    return `${key} is a top-level key: check the indentation`;
  }
  return `known here: ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', …' : ''}; own data needs a key that starts with x-`;
}

/** Keys of earlier file formats. */
const LEGACY: ReadonlyMap<string, string> = new Map([
  ['net', 'network_mode'],
  ['log_driver', 'logging.driver'],
  ['log_opt', 'logging.options'],
  ['volume_driver', 'driver under the top-level volumes'],
  ['dockerfile', 'build.dockerfile'],
  ['memory', 'mem_limit'],
  ['depends', 'depends_on'],
  ['env', 'environment'],
  ['env-file', 'env_file'],
  ['workdir', 'working_dir'],
  ['cmd', 'command'],
]);

function checkItems(list: Sequence, schema: Schema, path: string, findings: DiagnosticCollector): void {
  const items = schema.items;
  if (items === undefined) return;
  if (schema.uniqueItems) reportTwice(list, path, findings);
  for (const [index, node] of list.items.entries()) {
    const fits = alternativesOf(items).some((alternative) => accepts(alternative, node));
    // No other file can fill an item that is empty.
    if (isNull(node) && !fits)
      reportType({ node, schema: items, path: `${path}[${index}]` }, alternativesOf(items), findings);
    checkNode({ node, schema: items, path: `${path}[${index}]` }, findings);
  }
}

function reportTwice(list: Sequence, path: string, findings: DiagnosticCollector): void {
  const seen = new Set<string>();
  for (const node of list.items) {
    if (node.kind !== 'scalar' || node.template || node.tag === 'reset') continue;
    // 1 and "1" are two values, as for any reader of YAML.
    const value = `${typeof node.value} ${node.text}`;
    if (seen.has(value)) {
      const message = `${path} has ${JSON.stringify(node.text)} twice`;
      const hint = 'remove one of them';
      findings.add({ code: 'compose/duplicate-item', severity: 'error', message, at: positionOf(node), hint });
    }
    seen.add(value);
  }
}

function checkScalar(node: Scalar, schema: Schema, { path }: Visit, findings: DiagnosticCollector): void {
  const problem = scalarProblem(node, schema);
  if (problem === undefined) {
    warnYaml11(node, schema, path, findings);
    warnBase60(node, path, findings);
    return;
  }
  findings.add({ severity: 'error', at: positionOf(node), ...problem, message: `${path} ${problem.message}` });
}

function scalarProblem(node: Scalar, schema: Schema): { code: string; message: string; hint?: string } | undefined {
  if (node.template) return undefined;
  const shown = JSON.stringify(node.text.slice(0, 80));
  if (schema.enum && !schema.enum.includes(node.text)) {
    const near = suggest(node.text, schema.enum);
    const message = `must be one of ${schema.enum.join(', ')}, not ${shown}`;
    return { code: 'compose/invalid-value', message, ...(near !== undefined && { hint: `did you mean ${near}?` }) };
  }
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(node.text)) {
    return { code: 'compose/invalid-value', message: `does not accept ${shown}` };
  }
  const value = node.value;
  const range = rangeProblem(node, schema);
  if (range !== undefined) return { code: 'compose/invalid-value', message: range };
  const format = FORMATS.get(schema.format ?? '');
  // A leading zero says octal, whatever the other digits.
  const text = schema.format === 'mode' && /^0\d*[89]/.test(sourceText(node)) ? sourceText(node) : value;
  if (typeof text !== 'string' || format === undefined || format.accepts(text)) return undefined;
  const hint = valueHint(text, schema.format);
  const message = `must be ${format.expected}, not ${shown}`;
  return { code: 'compose/invalid-value', message, ...(hint !== undefined && { hint }) };
}

function valueHint(text: string, format: string | undefined): string | undefined {
  if (/^\d+,\d+$/.test(text)) return `write a point: ${text.replace(',', '.')}`;
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt])\w*$/i.exec(text) ?? [];
  if (format === 'bytes' && amount !== undefined) return `write ${amount}${unit.toLowerCase()}`;
  if (format === 'integer' && /^(?:unlimited|infinity)$/i.test(text)) return 'write -1 for no limit';
  const near = format === 'boolean' ? suggest(text, ['true', 'false']) : undefined;
  return near === undefined ? undefined : `did you mean ${near}?`;
}

function rangeProblem({ value, text }: Scalar, { minimum, maximum }: Schema): string | undefined {
  const number = typeof value === 'number' ? value : typeof value === 'string' ? Number(text) : Number.NaN;
  if (!(number < (minimum ?? -Infinity)) && !(number > (maximum ?? Infinity))) return undefined;
  if (maximum === undefined) return `must be at least ${minimum}, not ${text}`;
  return `must be between ${minimum} and ${maximum}, not ${text}`;
}

/** Older YAML readers take digits and a colon for a number to the base of 60; the same file then publishes another port. */
function warnBase60(node: Scalar, path: string, findings: DiagnosticCollector): void {
  if (!/\.ports\[\d+\]$/.test(path) || !/^\d+:[0-5]?\d$/.test(sourceText(node))) return;
  const [high = 0, low = 0] = node.text.split(':').map(Number);
  findings.add({
    code: 'compose/base-60',
    severity: 'warning',
    message: `${path}: older YAML readers take ${node.text} for the number ${high * 60 + low}`,
    at: positionOf(node),
    hint: `put it in quotes: "${node.text}"`,
  });
}

function warnYaml11(node: Scalar, schema: Schema, path: string, findings: DiagnosticCollector): void {
  if (schema.format !== 'boolean' || typeof node.value !== 'string' || /^(true|false)$/i.test(node.value)) return;
  findings.add({
    code: 'compose/yaml11-boolean',
    severity: 'warning',
    message: `${path}: ${JSON.stringify(node.value)} is read as ${readBoolean(node.value)}`,
    at: positionOf(node),
    hint: `write ${readBoolean(node.value)}`,
  });
}

/** Part of stage 8: keys that must be there once all files are merged. */
export function checkRequired(tree: Mapping, findings: DiagnosticCollector): void {
  requireBelow({ node: tree, schema: COMPOSE_SCHEMA, path: '' }, findings);
}

function requireBelow(visit: Visit, findings: DiagnosticCollector): void {
  const { node, schema, path } = visit;
  const alternatives = alternativesOf(schema);
  const fitting = alternatives.find((alternative) => accepts(alternative, node));
  if (!fitting && isNull(node)) reportType(visit, alternatives, findings);
  if (!fitting || node.kind === 'scalar') return;
  if (node.kind === 'list') requireItems(node.items, fitting.items, path, findings);
  else requireEntries(node, fitting, path, findings);
}

function requireItems(
  items: readonly Node[],
  schema: Schema | undefined,
  path: string,
  findings: DiagnosticCollector,
): void {
  if (!schema) return;
  for (const [i, node] of items.entries())
    if (mayLack(node)) requireBelow({ node, schema, path: `${path}[${i}]` }, findings);
}

function requireEntries(node: Mapping, fitting: Schema, path: string, findings: DiagnosticCollector): void {
  for (const key of fitting.required ?? []) {
    if (node.entries.has(key)) continue;
    findings.add({
      code: 'compose/missing-key',
      severity: 'error',
      message: `${path} needs the key ${key}`,
      at: positionOf(node),
    });
  }
  for (const [key, { value }] of node.entries) {
    const below = mayLack(value) ? propertyOf(fitting, key) : undefined;
    if (below) requireBelow({ node: value, schema: below, path: path === '' ? key : `${path}.${key}` }, findings);
  }
}

/** Nothing is missing from a value that is there and has no parts. */
function mayLack(node: Node): boolean {
  return node.kind !== 'scalar' || isNull(node);
}
