import { type Diagnostic, DiagnosticCollector, type Position } from '../core/index.ts';
import { bind } from './bind.ts';
import { ComposeError } from './compose-error.ts';
import { emptyJournal } from './journal.ts';
import { LoadBudget } from './load-budget.ts';
import type { LoadOptions } from './load-options.ts';
import { type LoadedTree, type LoadRun, loadTree, locateIn, type OptionalStage, stagesWithout } from './load-tree.ts';
import { orderFindings } from './order-findings.ts';
import type { Project } from './project.ts';

/** A loaded application. */
export interface LoadResult {
  readonly project: Project;
  /** Warnings in the order of files and lines. */
  readonly warnings: readonly Diagnostic[];
  /** Text of every file that was read, by path; for excerpts. */
  readonly sources: ReadonlyMap<string, string>;
  /** Where a value of the model was written, for example `['services', 'web', 'ports', '0']`; the nearest known ancestor otherwise. */
  readonly locate: (path: readonly string[]) => Position | undefined;
}

/**
 * Loads an application. Throws only {@link ComposeError}, carrying every problem found in the run. Lists of an application that is
 * not finished yet ask for `check-consistency` to be left out.
 */
export async function loadProject(
  options: LoadOptions,
  without: readonly 'check-consistency'[] = [],
): Promise<LoadResult> {
  const { loaded, warnings, run } = await loadOrThrow(options, stagesWithout(without));
  return {
    project: bind(loaded.tree, loaded.active, loaded.inactive, loaded.facts),
    warnings,
    sources: run.sources,
    locate: (path) => locateIn(loaded.whole, path),
  };
}

/** Runs the given stages; throws {@link ComposeError} when they find errors. */
export async function loadOrThrow(
  options: LoadOptions,
  stages: ReadonlySet<OptionalStage>,
): Promise<{ readonly loaded: LoadedTree; readonly warnings: readonly Diagnostic[]; readonly run: LoadRun }> {
  const run = startRun(options, stages);
  const loaded = await loadTree(run);
  const found = orderFindings(run.findings.all, run.sources);
  if (loaded === undefined || run.findings.hasErrors) throw new ComposeError(found, run.sources);
  return { loaded, warnings: found, run };
}

/** An empty run of the given stages. */
export function startRun(options: LoadOptions, stages: ReadonlySet<OptionalStage>): LoadRun {
  const findings = new DiagnosticCollector();
  return { options, stages, findings, sources: new Map(), journal: emptyJournal(), budget: new LoadBudget(findings) };
}
