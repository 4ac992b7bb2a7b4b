import type { DiagnosticCollector } from '../../core/index.ts';
import type { LoadBudget } from '../load-budget.ts';
import { parseMount } from '../mount-codec.ts';
import {
  child,
  isNull,
  type Mapping,
  mappingAt,
  type Node,
  positionOf,
  type Scalar,
  scalarAt,
  sequenceAt,
  withEntry,
} from '../node.ts';
import { pathTable } from '../path-table.ts';
import { parsePort } from '../port-codec.ts';

/** Rewrites one value to its long form; what is long already stays. */
export type CanonicalRule = (node: Node, findings: DiagnosticCollector, budget: LoadBudget) => Node;

const scalars = (node: Node): readonly Scalar[] =>
  node.kind === 'list' ? node.items.filter((item) => item.kind === 'scalar') : [];

/** `[A=1, B]` of variables: the bare one is the caller's. */
const variables: CanonicalRule = (node, findings, budget) => {
  for (const item of scalars(node)) {
    const [name = ''] = item.text.split('=', 1);
    if (item.template || !/\s$/.test(name)) continue;
    const message = `the name of the variable ${JSON.stringify(name)} ends with a blank`;
    report(item, 'compose/invalid-name', message, findings, `write ${name.trim()}=value`);
  }
  return pairs(null)(node, findings, budget);
};

/** `[A=1, B]` to `{A: 1, B: <bare>}`. */
function pairs(bare: null | ''): CanonicalRule {
  return (node) => {
    if (node.kind !== 'list') return node;
    return mappingAt(
      node,
      scalars(node).map((item): [string, Node] => {
        const equals = item.text.indexOf('=');
        if (equals < 0) return [item.text, scalarAt(item, bare)];
        return [item.text.slice(0, equals), scalarAt(item, item.text.slice(equals + 1))];
      }),
    );
  };
}

/** `[a=b]` to `{a: b}`; items in `bare` may go without a value. */
function assignments(form: string, bare: readonly string[]): CanonicalRule {
  return (node, findings, budget) => {
    for (const item of scalars(node)) {
      if (item.template || item.text.includes('=') || bare.includes(item.text)) continue;
      const message = `${JSON.stringify(item.text)} has no value`;
      report(item, 'compose/invalid-value', message, findings, `write ${form}`);
    }
    return pairs('')(node, findings, budget);
  };
}

/** `x` to `[x]`. */
const list: CanonicalRule = (node) => (node.kind === 'scalar' && !isNull(node) ? sequenceAt(node, [node]) : node);

/** `x` to `{key: x}`. */
function wrap(key: string): CanonicalRule {
  return (node) => (node.kind === 'scalar' && !isNull(node) ? mappingAt(node, [[key, node]]) : node);
}

/** `[a, b]` to `{a: null, b: null}`. */
const names: CanonicalRule = (node) =>
  node.kind === 'list'
    ? mappingAt(
        node,
        scalars(node).map((item) => [item.text, scalarAt(item, null)]),
      )
    : node;

const dependencies: CanonicalRule = (node) =>
  node.kind === 'list'
    ? mappingAt(
        node,
        scalars(node).map((item) => [
          item.text,
          mappingAt(item, [
            ['condition', scalarAt(item, 'service_started')],
            ['required', scalarAt(item, true)],
          ]),
        ]),
      )
    : node;

const ports: CanonicalRule = (node, findings, budget) => {
  // One unexpanded port may stand for several: the list stays as it is.
  if (node.kind !== 'list' || node.items.some((item) => item.kind === 'scalar' && item.template)) return node;
  return {
    ...node,
    items: node.items.flatMap((item) => (item.kind === 'scalar' ? portItems(item, findings, budget) : [item])),
  };
};

function portItems(item: Scalar, findings: DiagnosticCollector, budget: LoadBudget): Node[] {
  const result = parsePort(item.text);
  if ('problem' in result) {
    report(item, 'compose/invalid-port', `invalid port ${JSON.stringify(item.text)}: ${result.problem}`, findings);
    return [];
  }
  // Each becomes a mapping of up to five values.
  if (!budget.takeValues(result.length * 5, item)) return [];
  return result.map(({ hostIp, target, published, protocol }) =>
    mappingAt(item, [
      ['mode', scalarAt(item, 'ingress')],
      ...(hostIp === undefined ? [] : [['host_ip', scalarAt(item, hostIp)] as const]),
      ['target', scalarAt(item, target)],
      ...(published === undefined ? [] : [['published', scalarAt(item, published)] as const]),
      ['protocol', scalarAt(item, protocol)],
    ]),
  );
}

const mount: CanonicalRule = (node, findings) => {
  if (node.kind !== 'scalar') return node;
  const spec = parseMount(node.text, { hasTemplates: node.template === true });
  if ('problem' in spec) {
    report(node, 'compose/invalid-volume', `invalid volume ${JSON.stringify(node.text)}: ${spec.problem}`, findings);
    return mappingAt(node, [['type', scalarAt(node, 'volume')]]);
  }
  warnWindowsPath(node, spec.source ?? spec.target, findings);
  const optional = (key: string, value: string | boolean | undefined): [string, Node][] =>
    value === undefined || value === false ? [] : [[key, scalarAt(node, value)]];
  const options: [string, Node][] =
    spec.type === 'bind'
      ? [
          ...optional('selinux', spec.selinux),
          ...optional('propagation', spec.propagation),
          ...optional('create_host_path', true),
        ]
      : [...optional('nocopy', spec.nocopy), ...optional('subpath', spec.subpath)];
  return mappingAt(node, [
    ['type', scalarAt(node, spec.type)],
    ...optional('source', spec.source),
    ['target', scalarAt(node, spec.target)],
    ...optional('read_only', spec.readOnly),
    // The label is an option of bind mounts, and asked for of a named volume too.
    ...(spec.type === 'volume' && spec.selinux !== undefined
      ? [['bind', mappingAt(node, optional('selinux', spec.selinux))] as const]
      : []),
    ...(spec.type === 'bind' && spec.nocopy ? [['volume', mappingAt(node, optional('nocopy', true))] as const] : []),
    // One of one or two characters is only a target to the reference, in whose output it has no options.
    ...(node.text.length <= 2 ? [] : [[spec.type, mappingAt(node, options)] as const]),
  ]);
};

function warnWindowsPath(at: Node, path: string, findings: DiagnosticCollector): void {
  if (!/^(?:[a-zA-Z]:[\\/]|\.{0,2}\\)/.test(path)) return;
  findings.add({
    code: 'compose/windows-path',
    severity: 'warning',
    message: `${path} is read as a Windows path, which no Linux machine has`,
    at: positionOf(at),
    hint: path.startsWith('.')
      ? `write ${path.replaceAll('\\', '/')}`
      : 'use a longer name for a volume, or a path of this machine',
  });
}

const device: CanonicalRule = (node, findings) => {
  if (node.kind !== 'scalar' || node.template) return node;
  const [source = '', target = source, permissions = 'rwm', ...more] = node.text.split(':');
  if (more.length > 0 || source === '') {
    report(
      node,
      'compose/invalid-device',
      `invalid device ${JSON.stringify(node.text)}: write host[:container[:rwm]]`,
      findings,
    );
  }
  return mappingAt(node, [
    ['source', scalarAt(node, source)],
    ['target', scalarAt(node, target)],
    ['permissions', scalarAt(node, permissions)],
  ]);
};

/** `host=address` or `host:address` lists and maps to a map of lists. */
const hosts: CanonicalRule = (node, findings) => {
  if (node.kind === 'scalar' || scalars(node).some((item) => item.template)) return node;
  const rows =
    node.kind === 'map' ? [...node.entries].map(([key, { value }]) => [key, value] as const) : hostRows(node, findings);
  const found = new Map<string, Node[]>();
  for (const [host, value] of rows) {
    const values = value.kind === 'list' ? value.items : [value];
    found.set(host, [...(found.get(host) ?? []), ...values.map(unbracket)]);
  }
  return mappingAt(
    node,
    [...found].map(([host, values]) => [host, sequenceAt(values[0] ?? node, values)]),
  );
};

function hostRows(node: Node, findings: DiagnosticCollector): (readonly [string, Node])[] {
  return scalars(node).flatMap((item) => {
    const match = /^([^=:]+)[=:](.+)$/.exec(item.text);
    const addresses = match?.[2]?.split(',').map((address) => address.trim()) ?? [''];
    const name = match?.[1]?.trim();
    if (name !== undefined && !addresses.includes(''))
      return addresses.map((address) => [name, scalarAt(item, address)] as const);
    report(
      item,
      'compose/invalid-host',
      `invalid extra host ${JSON.stringify(item.text)}: write name=address`,
      findings,
    );
    return [];
  });
}

function unbracket(node: Node): Node {
  if (node.kind !== 'scalar') return node;
  const inner = /^\[(.*)\]$/.exec(node.text)?.[1];
  return inner === undefined ? node : scalarAt(node, inner);
}

/** A server that a variable leaves empty is none. */
const servers: CanonicalRule = (node, findings, budget) => {
  const made = list(node, findings, budget);
  return made.kind === 'list'
    ? { ...made, items: made.items.filter((item) => item.kind !== 'scalar' || item.template || item.text !== '') }
    : made;
};

const gpus: CanonicalRule = (node) =>
  node.kind === 'scalar' && node.text === 'all'
    ? sequenceAt(node, [mappingAt(node, [['count', scalarAt(node, 'all')]])])
    : node;

/** `external: {name: x}` to `external: true` with the name one level up. */
const external: CanonicalRule = (node, findings) => {
  const value = child(node, 'external');
  if (node.kind !== 'map' || value?.kind !== 'map') return node;
  const name = child(value, 'name');
  const flagged: Mapping = withEntry(node, 'external', scalarAt(value, true));
  if (name === undefined) return flagged;
  const own = child(node, 'name');
  if (own?.kind === 'scalar' && name.kind === 'scalar' && own.text !== name.text) {
    const message = `name and external.name differ: ${own.text} and ${name.text}`;
    report(name, 'compose/conflict', message, findings, 'keep name and write external: true');
  }
  return withEntry(flagged, 'name', name);
};

function report(at: Node, code: string, message: string, findings: DiagnosticCollector, hint?: string): void {
  findings.add({ code, severity: 'error', message, at: positionOf(at), ...(hint !== undefined && { hint }) });
}

const SERVICE_ROWS: readonly (readonly [string, CanonicalRule])[] = [
  ['annotations', pairs('')],
  ['build', wrap('context')],
  ['build.additional_contexts', assignments('name=context', [])],
  ['build.args', variables],
  ['build.extra_hosts', hosts],
  ['build.labels', pairs('')],
  ['build.no_cache_filter', list],
  ['build.secrets[]', wrap('source')],
  ['build.ssh', assignments('default, or id=path of a key or socket', ['default'])],
  ['configs[]', wrap('source')],
  ['depends_on', dependencies],
  ['deploy.labels', pairs('')],
  ['deploy.resources.reservations.devices[].options', pairs('')],
  ['develop.watch[].exec.environment', variables],
  ['develop.watch[].ignore', list],
  ['develop.watch[].include', list],
  ['devices[]', device],
  ['dns', servers],
  ['dns_search', list],
  ['env_file', list],
  ['env_file[]', wrap('path')],
  ['environment', variables],
  ['extends', wrap('service')],
  ['extra_hosts', hosts],
  ['gpus', gpus],
  ['gpus[].options', pairs('')],
  ['label_file', list],
  ['labels', pairs('')],
  ['models', names],
  ['networks', names],
  ['ports', ports],
  ['post_start[].environment', variables],
  ['pre_start[].environment', variables],
  ['pre_stop[].environment', variables],
  ['secrets[]', wrap('source')],
  ['sysctls', pairs('')],
  ['tmpfs', list],
  ['volumes[]', mount],
  ['volumes[].volume.labels', pairs('')],
];

/** All short forms of the specification. */
export const CANONICAL_RULES = pathTable<CanonicalRule>([
  ['include[]', wrap('path')],
  ['include[].path', list],
  ['include[].env_file', list],
  ...SERVICE_ROWS.map(([path, rule]) => [`services.*.${path}`, rule] as const),
  ...['networks', 'volumes', 'secrets', 'configs'].flatMap((section) => [
    [`${section}.*`, external] as const,
    [`${section}.*.labels`, pairs('')] as const,
  ]),
]);
