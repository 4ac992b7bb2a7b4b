import type { DiagnosticCollector } from '../core/index.ts';
import { childItems, childText, isNull, type Mapping, type Node, positionOf, type Span } from './node.ts';
import { type PathTable, pathTable, stepDown, stepIntoItems } from './path-table.ts';
import { SUPPORT, type Support } from './rules/support-rules.ts';

const TABLE = pathTable<Support>(SUPPORT);

/** What is not carried out, so that nothing is silently ignored. `refuse` false reports only what is kept with a warning. */
export function checkSupport(
  tree: Mapping,
  options: { readonly refuse: boolean; readonly hostPlatform: string | undefined },
  findings: DiagnosticCollector,
): void {
  const report = (support: Support, path: string, at: Span) => {
    if (support === 'hint') {
      const message = `${path} is a hint that no engine acts on; it is kept`;
      findings.add({ code: 'compose/no-effect', severity: 'warning', message, at: positionOf(at) });
    } else if (support !== 'unsupported') {
      const where = support === 'windows' ? 'on Windows' : 'in a cluster';
      const message = `${path} has an effect ${where} only; it is kept and not acted on`;
      findings.add({ code: `compose/${support}-only`, severity: 'warning', message, at: positionOf(at) });
    } else if (options.refuse) {
      findings.add({
        code: 'compose/unsupported-attribute',
        severity: 'error',
        message: `${path} is not supported yet`,
        at: positionOf(at),
        hint: 'remove it; ignoring it silently would change what the stack does',
      });
    }
  };
  walk(tree, TABLE, '', report);
  if (options.refuse) checkKinds(tree, options.hostPlatform, findings);
}

type Report = (support: Support, path: string, at: Span) => void;

function walk(node: Node, table: PathTable<Support>, path: string, report: Report): void {
  if (node.kind === 'list') {
    const below = stepIntoItems(table);
    if (below) for (const [index, item] of node.items.entries()) walk(item, below, `${path}[${index}]`, report);
    return;
  }
  if (node.kind !== 'map') return;
  for (const [key, { key: span, value }] of node.entries) {
    const below = stepDown(table, key);
    if (!below) continue;
    const at = path === '' ? key : `${path}.${key}`;
    if (below.rule !== undefined && !saysNothing(value)) report(below.rule, at, span);
    walk(value, below, at, report);
  }
}

/** Null, false and empty collections ask for nothing. */
function saysNothing(node: Node): boolean {
  if (node.kind === 'list') return node.items.length === 0;
  if (node.kind === 'map') return node.entries.size === 0;
  return isNull(node) || node.value === false || node.text === '';
}

/** Values that this version does not carry out, of attributes that it does. */
function checkKinds(tree: Mapping, hostPlatform: string | undefined, findings: DiagnosticCollector): void {
  const refuse = (at: Node, message: string, hint: string) =>
    findings.add({ code: 'compose/unsupported-attribute', severity: 'error', message, at: positionOf(at), hint });
  const services = tree.entries.get('services')?.value;
  for (const [name, { value: service }] of services?.kind === 'map' ? services.entries : []) {
    for (const mount of childItems(service, 'volumes')) {
      const type = childText(mount, 'type') ?? '';
      if (['image', 'cluster', 'npipe'].includes(type)) {
        refuse(mount, `services.${name}: mounts of type ${type} are not supported yet`, 'use bind, volume or tmpfs');
      }
    }
    const build = service.kind === 'map' ? service.entries.get('build')?.value : undefined;
    for (const platform of childItems(build, 'platforms')) {
      if (hostPlatform === undefined || platform.kind !== 'scalar' || platform.text === hostPlatform) continue;
      refuse(
        platform,
        `services.${name}: images are built for this machine's platform ${hostPlatform} only`,
        'remove this platform',
      );
    }
  }
}
