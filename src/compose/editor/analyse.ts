import { type Diagnostic, DiagnosticCollector } from '../../core/index.ts';
import { lint } from '../lint/lint.ts';
import { startRun } from '../load.ts';
import type { LoadOptions } from '../load-options.ts';
import { ALL_STAGES, type LoadedTree, type LoadRun, loadTree } from '../load-tree.ts';
import type { Mapping } from '../node.ts';
import { parse } from '../parse.ts';
import type { Source } from '../source.ts';
import { type Mention, mentionsIn } from './mentions.ts';

/** What an editor knows about a set of files. */
export interface Analysis {
  readonly diagnostics: readonly Diagnostic[];
  readonly run: LoadRun;
  /** Absent when the files cannot be merged. */
  readonly loaded: LoadedTree | undefined;
  /** Texts of all files read, by path. */
  readonly sources: ReadonlyMap<string, string>;
  /** Documents of all compose files as they are written, by path. */
  readonly documents: ReadonlyMap<string, readonly Mapping[]>;
  /** Where services and resources are defined and named. */
  readonly mentions: readonly Mention[];
}

/** Loads files as the command line does, and keeps what an editor asks for. */
export async function analyse(options: LoadOptions): Promise<Analysis> {
  const showing = { ...options, purpose: 'show' } as const;
  const run = startRun(showing, ALL_STAGES);
  const loaded = await loadTree(run);
  const { diagnostics } = await lint(showing);
  const documents = await documentsOf(run);
  const mentions = [...documents.values()].flat().flatMap((tree) => mentionsIn(tree));
  return { diagnostics, run, loaded, sources: run.sources, documents, mentions };
}

/** Every compose file that took part; one with errors that could be read counts. */
async function documentsOf({ journal, sources, options }: LoadRun): Promise<Map<string, readonly Mapping[]>> {
  const files = new Map<string, Source>();
  for (const tree of [...journal.layers.map((layer) => layer.tree), ...[...journal.extended.values()].flat()])
    files.set(tree.source.file, tree.source);
  for (const file of options.files ?? []) {
    const text = sources.get(file);
    if (text !== undefined && !files.has(file)) files.set(file, { file, text, base: options.currentDirectory });
  }
  const silent = new DiagnosticCollector();
  const read = Array.from(files, async ([file, source]) => [file, await parse(source, silent)] as const);
  return new Map(await Promise.all(read));
}
