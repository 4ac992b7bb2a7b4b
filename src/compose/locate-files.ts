import { dirname } from 'node:path/posix';
import type { DiagnosticCollector } from '../core/index.ts';
import { findFiles } from './find-files.ts';
import { type LoadedEnvironment, loadEnvironment } from './load-environment.ts';
import type { LoadOptions } from './load-options.ts';
import { absolutePath, isRemote } from './paths.ts';

/** What a load starts from. */
export interface Located {
  readonly files: readonly string[];
  /** The project folder. */
  readonly folder: string;
  readonly environment: LoadedEnvironment;
}

/** The files of a project, its folder and its variables; undefined after a problem, which is reported. */
export async function locateFiles(
  options: LoadOptions,
  findings: DiagnosticCollector,
  sources: Map<string, string>,
): Promise<Located | undefined> {
  const { currentDirectory, reader, envFiles, environment } = options;
  const context = { reader, findings, sources };
  const given =
    options.projectDirectory === undefined
      ? undefined
      : absolutePath(options.projectDirectory, currentDirectory, undefined);
  const start = given ?? currentDirectory;
  // COMPOSE_FILE and its like may stand in the .env beside the caller.
  const first = await loadEnvironment({ envFiles, folder: start, currentDirectory, environment }, context);
  const files = await chooseFiles(options, first.variables, start, findings);
  const main = files[0];
  if (main === undefined) {
    findings.add({
      code: 'compose/no-file',
      severity: 'error',
      message: `there is no compose file in ${start} or its parents`,
      hint: 'create compose.yaml, or name a file with -f',
    });
    return undefined;
  }
  const folder = given ?? (main === '-' ? currentDirectory : dirname(main));
  if (folder === start || envFiles?.length) return { files, folder, environment: first };
  const second = await loadEnvironment({ envFiles, folder, currentDirectory, environment }, context);
  return { files, folder, environment: second.files.length > 0 ? second : first };
}

async function chooseFiles(
  options: LoadOptions,
  variables: ReadonlyMap<string, string>,
  start: string,
  findings: DiagnosticCollector,
): Promise<string[]> {
  const separator = variables.get('COMPOSE_PATH_SEPARATOR') || ':';
  const listed = variables.get('COMPOSE_FILE');
  for (const file of (options.files ?? []).filter(isRemote)) {
    const message = `remote compose files are not supported yet: ${file}`;
    findings.add({ code: 'compose/remote-file', severity: 'error', message, hint: 'fetch it and name the copy' });
  }
  const named = options.files?.length
    ? options.files
    : listed
      ? listed.split(separator).filter((path) => path !== '')
      : [];
  if (named.length === 0) return findFiles(start, options.reader, findings);
  return named.map((file) => (file === '-' ? file : absolutePath(file, options.currentDirectory, undefined)));
}
