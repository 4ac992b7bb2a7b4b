import { dirname } from 'node:path/posix';
import { findFiles } from './find-files.ts';
import type { LoadBudget } from './load-budget.ts';
import { type LoadedEnvironment, loadEnvironment } from './load-environment.ts';
import type { LoadOptions } from './load-options.ts';
import { absolutePath } from './paths.ts';
import { locateRemote, type RemoteContext, type RemotePlace } from './remote/locate-remote.ts';
import { isRemoteFile } from './remote/remote-address.ts';

/** What a load starts from. */
export interface Located {
  readonly files: readonly RemotePlace[];
  /** The project folder: where relative paths start. */
  readonly folder: string;
  /** The folder that may give the project its name: that of the caller for remote files. */
  readonly namingFolder: string;
  readonly environment: LoadedEnvironment;
}

/** The files of a project, its folder and its variables; undefined after a problem, which is reported. */
export async function locateFiles(
  options: LoadOptions,
  context: Omit<RemoteContext, 'remote'> & { readonly sources: Map<string, string>; readonly budget: LoadBudget },
): Promise<Located | undefined> {
  const { currentDirectory, reader, envFiles, environment } = options;
  const { findings, sources, journal, budget } = context;
  const reading = { reader, findings, sources, budget };
  const given =
    options.projectDirectory === undefined
      ? undefined
      : absolutePath(options.projectDirectory, currentDirectory, undefined);
  const start = given ?? currentDirectory;
  // COMPOSE_FILE and its like may stand in the .env beside the caller.
  const first = await loadEnvironment({ envFiles, folder: start, currentDirectory, environment }, reading);
  const named = await chooseFiles(options, first.variables, start, findings);
  const main = named[0];
  if (main === undefined) {
    findings.add({
      code: 'compose/no-file',
      severity: 'error',
      message: `there is no compose file in ${start} or its parents`,
      hint: 'create compose.yaml, or name a file with -f',
    });
    return undefined;
  }
  const beside = main === '-' || isRemoteFile(main) ? currentDirectory : dirname(main);
  const namingFolder = given ?? beside;
  const placed = await placeFiles(named, given, { findings, journal, remote: options.remote });
  if (!placed) return undefined;
  const place = { files: placed.files, folder: given ?? placed.folder ?? beside, namingFolder };
  if (namingFolder === start || envFiles?.length) return { ...place, environment: first };
  // With -f only what lies beside the file counts; otherwise the caller's folder goes before it, as in docker compose.
  const isNamed = (options.files?.length ?? 0) > 0;
  const over = isNamed ? environment : Object.fromEntries(first.variables);
  const second = await loadEnvironment(
    { envFiles, folder: namingFolder, currentDirectory, environment: over },
    reading,
  );
  const files = isNamed ? second.files : [...new Set([...first.files, ...second.files])];
  return { ...place, environment: { ...second, files } };
}

/**
 * Fetches those that are remote. Then relative paths of all files start beside the first of these, as in docker compose. Undefined when one
 * cannot be had.
 */
async function placeFiles(
  named: readonly string[],
  given: string | undefined,
  context: RemoteContext,
): Promise<{ readonly files: readonly RemotePlace[]; readonly folder: string | undefined } | undefined> {
  const files: RemotePlace[] = [];
  let folder: string | undefined;
  for (const name of named) {
    if (!isRemoteFile(name)) {
      files.push({ file: name });
      continue;
    }
    const place = await locateRemote(name, undefined, context);
    if (!place) continue;
    folder ??= dirname(place.file);
    const { file, origin } = place;
    // A project folder that the user names is one that the file may use.
    files.push({
      file,
      ...(origin && { origin: { ...origin, folders: [...origin.folders, ...(given ? [given] : [])] } }),
    });
  }
  return files.length < named.length ? undefined : { files, folder };
}

async function chooseFiles(
  options: LoadOptions,
  variables: ReadonlyMap<string, string>,
  start: string,
  findings: RemoteContext['findings'],
): Promise<string[]> {
  const separator = variables.get('COMPOSE_PATH_SEPARATOR') || ':';
  const listed = variables.get('COMPOSE_FILE');
  const named = options.files?.length ? options.files : listed ? splitList(listed, separator) : [];
  if (named.length === 0) return findFiles(start, options.reader, findings);
  return named.map((file) =>
    file === '-' || isRemoteFile(file) ? file : absolutePath(file, options.currentDirectory, undefined),
  );
}

function splitList(listed: string, separator: string): string[] {
  return listed.split(separator).filter((path) => path !== '');
}
