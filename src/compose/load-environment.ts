import { join } from 'node:path/posix';
import type { DiagnosticCollector } from '../core/index.ts';
import { parseDotenv } from './dotenv.ts';
import type { LoadBudget } from './load-budget.ts';
import { readSource } from './load-context.ts';
import { absolutePath } from './paths.ts';
import type { SourceReader } from './source.ts';

/** The caller's variables over those of env files. */
export interface LoadedEnvironment {
  readonly variables: ReadonlyMap<string, string>;
  /** Absolute paths of the files read. */
  readonly files: readonly string[];
}

interface EnvironmentRequest {
  /** Named by `--env-file`; undefined: COMPOSE_ENV_FILES, else `.env` of the folder. */
  readonly envFiles: readonly string[] | undefined;
  readonly folder: string;
  readonly currentDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads the env files for interpolation; later files win over earlier ones, the caller over all. */
export async function loadEnvironment(
  request: EnvironmentRequest,
  context: {
    readonly reader: SourceReader;
    readonly findings: DiagnosticCollector;
    readonly sources: Map<string, string>;
    readonly budget: LoadBudget;
  },
): Promise<LoadedEnvironment> {
  const { environment, folder } = request;
  const caller = new Map<string, string>();
  for (const [key, value] of Object.entries(environment)) if (value !== undefined) caller.set(key, value);
  const files = await chooseFiles(request, context.reader);
  const found = new Map<string, string>();
  for (const file of files) {
    const source = await readSource(file, folder, undefined, context);
    if (!source) continue;
    const { entries, problems } = parseDotenv(
      source.text,
      (name) => caller.get(name),
      (name) => found.get(name),
    );
    for (const { message, line, column } of problems) {
      context.findings.add({
        code: 'compose/invalid-env-file',
        severity: 'error',
        message,
        at: { file, line, column },
      });
    }
    for (const { key, value } of entries) if (value !== null) found.set(key, value);
  }
  return { variables: new Map([...found, ...caller]), files };
}

async function chooseFiles(request: EnvironmentRequest, reader: SourceReader): Promise<readonly string[]> {
  const { environment, folder, currentDirectory } = request;
  const listed = environment['COMPOSE_ENV_FILES'] || undefined;
  const named = request.envFiles?.length ? request.envFiles : listed?.split(',').map((path) => path.trim());
  if (named !== undefined) return named.map((path) => absolutePath(path, currentDirectory, undefined));
  if (/^(?:1|true|yes)$/i.test(environment['COMPOSE_DISABLE_ENV_FILE'] ?? '')) return [];
  const path = join(folder, '.env');
  return (await isOffered(path, reader)) ? [path] : [];
}

/** Whether there is an env file that nobody named. A folder of that name is none; what cannot be read is one: reading it tells why. */
export async function isOffered(path: string, reader: SourceReader): Promise<boolean> {
  const isThere = (at: string) =>
    reader.read(at).then(
      (content) => content !== undefined,
      () => true,
    );
  // Nothing but a folder has a `.` in it.
  return (await isThere(path)) && !(await isThere(`${path}/.`));
}
