import { type Diagnostic, TscError } from '../../core/index.ts';
import { bind } from '../bind.ts';
import { ComposeError } from '../compose-error.ts';
import { loadOrThrow } from '../load.ts';
import type { LoadOptions } from '../load-options.ts';
import { ALL_STAGES, type LoadedTree, locateIn } from '../load-tree.ts';
import { child, type Node, positionOf } from '../node.ts';
import { orderFindings } from '../order-findings.ts';
import type { Breach, Level, LintRule } from './lint-rule.ts';
import { LINT_RULES } from './lint-rules.ts';

/** What linting found: findings of the loader first, then breaches of rules, by file and line. */
export interface LintResult {
  readonly diagnostics: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
}

const LEVELS: readonly string[] = ['off', 'warning', 'error'] satisfies readonly Level[];

/**
 * Checks files for what is allowed and rarely wanted. `levels` (by rule name, from flags) win over `x-lint` of a service, that
 * over `x-lint` of the file. Files with errors give those errors only. Throws `compose/invalid` for unknown rules.
 */
export async function lint(options: LoadOptions, levels: ReadonlyMap<string, string> = new Map()): Promise<LintResult> {
  const asked = checkLevels(levels);
  try {
    const { loaded, run } = await loadOrThrow({ ...options, purpose: 'show' }, ALL_STAGES);
    const own = levelsIn(loaded.whole, run.findings.add.bind(run.findings));
    for (const diagnostic of breaches(loaded, (rule, service) => asked.get(rule) ?? own.of(rule, service)))
      run.findings.add(diagnostic);
    return { diagnostics: orderFindings(run.findings.all, run.sources), sources: run.sources };
  } catch (error) {
    if (error instanceof ComposeError) return error;
    throw error;
  }
}

function checkLevels(levels: ReadonlyMap<string, string>): ReadonlyMap<string, Level> {
  for (const [name, level] of levels) {
    if (!LINT_RULES.some((rule) => rule.name === name))
      throw new TscError('compose/invalid', `there is no lint rule ${JSON.stringify(name)}`, {
        hint: `the rules are: ${LINT_RULES.map((rule) => rule.name).join(', ')}`,
      });
    if (!LEVELS.includes(level))
      throw new TscError('compose/invalid', `${JSON.stringify(level)} is no level of the lint rule ${name}`, {
        hint: `the levels are: ${LEVELS.join(', ')}`,
      });
  }
  return levels as ReadonlyMap<string, Level>;
}

function* breaches(
  loaded: LoadedTree,
  levelOf: (rule: LintRule['name'], service: string | undefined) => Level | undefined,
) {
  const project = bind(loaded.tree, loaded.active, loaded.inactive, loaded.facts);
  const services = new Map([...project.services, ...project.disabledServices]);
  for (const rule of LINT_RULES) {
    for (const breach of rule.check({ project, services, tree: loaded.whole })) {
      const [section, name] = breach.path;
      const severity = levelOf(rule.name, section === 'services' ? name : undefined) ?? rule.level;
      if (severity !== 'off') yield toDiagnostic(rule, severity, breach, loaded);
    }
  }
}

function toDiagnostic(
  rule: LintRule,
  severity: Diagnostic['severity'],
  { path, at, message, hint }: Breach,
  { whole }: LoadedTree,
): Diagnostic {
  return { code: `lint/${rule.name}`, severity, message, at: at ? positionOf(at) : locateIn(whole, path), hint };
}

interface OwnLevels {
  readonly of: (rule: string, service: string | undefined) => Level | undefined;
}

/** `x-lint`: a mapping of rules to levels, or a list of rules that are off. */
function levelsIn(tree: Node, report: (diagnostic: Diagnostic) => void): OwnLevels {
  const top = readLevels(child(tree, 'x-lint'), report);
  const services = child(tree, 'services');
  const known = new Map<string, ReadonlyMap<string, Level>>();
  for (const [name, { value }] of services?.kind === 'map' ? services.entries : [])
    known.set(name, readLevels(child(value, 'x-lint'), report));
  return { of: (rule, service) => known.get(service ?? '')?.get(rule) ?? top.get(rule) };
}

function readLevels(node: Node | undefined, report: (diagnostic: Diagnostic) => void): ReadonlyMap<string, Level> {
  const rows: (readonly [string, Level, Node])[] = [];
  for (const item of node?.kind === 'list' ? node.items : [])
    if (item.kind === 'scalar') rows.push([item.text, 'off', item]);
  for (const [name, { value }] of node?.kind === 'map' ? node.entries : []) {
    const level = value.kind === 'scalar' && value.value === false ? 'off' : value.kind === 'scalar' ? value.text : '';
    if (LEVELS.includes(level)) rows.push([name, level as Level, value]);
    else report(problem(value, `the level of the lint rule ${name} must be one of ${LEVELS.join(', ')}`));
  }
  for (const [name, , at] of rows)
    if (!LINT_RULES.some((rule) => rule.name === name))
      report(problem(at, `there is no lint rule ${JSON.stringify(name)}`));
  return new Map(rows.map(([name, level]) => [name, level]));
}

function problem(at: Node, message: string): Diagnostic {
  const hint = `the rules are: ${LINT_RULES.map((rule) => rule.name).join(', ')}`;
  return { code: 'lint/unknown-rule', severity: 'warning', message, at: positionOf(at), hint };
}
