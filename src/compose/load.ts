import { type Diagnostic, DiagnosticCollector, type Position } from '../core/index.ts';
import { bind } from './bind.ts';
import { ComposeError } from './compose-error.ts';
import { emptyJournal } from './journal.ts';
import type { LoadOptions } from './load-options.ts';
import { ALL_STAGES, type LoadedTree, type LoadRun, loadTree, locateIn, type OptionalStage } from './load-tree.ts';
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

/** Loads an application. Throws only {@link ComposeError}, carrying every problem found in the run. */
export async function loadProject(options: LoadOptions): Promise<LoadResult> {
  const { loaded, warnings, run } = await loadOrThrow(options, ALL_STAGES);
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
  return { options, stages, findings: new DiagnosticCollector(), sources: new Map(), journal: emptyJournal() };
}
