import { createReadStream, statSync } from 'node:fs';
import type { EngineClient } from '../client/index.ts';
import {
  ComposeError,
  formatFindings,
  type LoadOptions,
  type LoadResult,
  loadProject,
  type Project,
} from '../compose/index.ts';
import { isKind, TscError } from '../core/index.ts';
import { readBytesIfExists } from '../host/index.ts';
import type { AnsiMode, Output } from './output.ts';
import { published } from './published.ts';
import { remoteFiles } from './remote/open-remote-files.ts';
import { reportError } from './report-error.ts';
import { printable } from './view/printable.ts';

/** Options given before the verb. */
export interface RootOptions {
  readonly file?: readonly string[];
  readonly projectName?: string;
  readonly projectDirectory?: string;
  readonly envFile?: readonly string[];
  readonly profile?: readonly string[];
  readonly trustRemote?: readonly string[];
  readonly host?: string;
  readonly ansi: AnsiMode;
  readonly progress: 'auto' | 'tty' | 'plain' | 'quiet' | 'json';
  readonly parallel?: number;
  readonly dryRun?: boolean;
}

/** The project a command acts on: loaded from files, or only a name when `-p` says it and there is no file. */
export interface Target {
  readonly name: string;
  readonly project?: Project;
}

/** What every command gets. */
export interface Context {
  readonly root: RootOptions;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly currentDirectory: string;
  readonly output: Output;
  /** The engine, started first when it is the local one and not running. */
  engine(): Promise<EngineClient>;
  /** Whether the engine has been asked for. */
  connected(): boolean;
  /** The project of the files; named services make their profiles active. */
  load(services?: readonly string[], purpose?: 'run' | 'show'): Promise<LoadResult>;
  /** What the command line says about loading, for commands that load in their own way. */
  loadOptions(services?: readonly string[], purpose?: 'run' | 'show'): LoadOptions;
  /** The project of the files, or its bare name. */
  target(services?: readonly string[]): Promise<Target>;
  /** Prints an error once, with its place where it is about a part of the loaded files. */
  report(error: unknown): void;
}

/** Milliseconds the local daemon has to open its socket. */
const DAEMON_DEADLINE = 15_000;

export function createContext(
  root: RootOptions,
  output: Output,
  environment: Readonly<Record<string, string | undefined>>,
): Context {
  const currentDirectory = process.cwd();
  let client: Promise<EngineClient> | undefined;
  let loaded: LoadResult | undefined;
  const remote = remoteFiles(root.trustRemote, environment);
  const loadOptions: Context['loadOptions'] = (services = [], purpose = 'run') => ({
    ...(root.file && { files: root.file }),
    ...(root.projectName && { projectName: root.projectName }),
    ...(root.projectDirectory && { projectDirectory: root.projectDirectory }),
    ...(root.envFile && { envFiles: root.envFile }),
    ...(root.profile && { profiles: root.profile }),
    ...(services.length > 0 && { services }),
    currentDirectory,
    environment,
    purpose,
    remote,
    reader: { read: (path) => streamed(path)?.() ?? readBytesIfExists(path) },
  });
  const streamed = streamsOf(root);
  const load: Context['load'] = async (services, purpose) => {
    const result = await loadProject(loadOptions(services, purpose));
    loaded = result;
    if (result.warnings.length > 0) output.note(printable(formatFindings(result.warnings, result.sources)));
    return purpose === 'show' ? result : { ...result, project: await published(result.project) };
  };
  return {
    root,
    environment,
    currentDirectory,
    output,
    load,
    loadOptions,
    report: (error) => reportError(error, output, loaded),
    connected: () => client !== undefined,
    engine: () => {
      client ??= connect(root, environment);
      return client;
    },
    target: async (services = []) => {
      const name = root.projectName || environment['COMPOSE_PROJECT_NAME'];
      try {
        const { project } = await load(services);
        return { name: project.name, project };
      } catch (error) {
        const noFile = error instanceof ComposeError && isKind(error, 'not-found') && !root.file;
        if (noFile && name) return { name };
        throw error;
      }
    },
  };
}

async function connect(
  root: RootOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<EngineClient> {
  // Commands that only read files never load the client.
  const { openEngine, resolveEndpoint, runDirectory, startDaemon } = await import('../client/index.ts');
  const endpoint = await resolveEndpoint(root.host, environment);
  // The transport loads while the daemon starts.
  const opening = openEngine(endpoint);
  if (endpoint.isLocalDefault && endpoint.socketPath) {
    const dataDirectory = environment['TSCOMPOSE_DATA_DIR'];
    await startDaemon({
      socketPath: endpoint.socketPath,
      runDirectory: runDirectory(environment),
      instance: environment['TSCOMPOSE_INSTANCE'] || 'tsc',
      deadline: DAEMON_DEADLINE,
      ...(dataDirectory && { dataDirectory }),
    });
  }
  return opening;
}

/**
 * What the command line names that is no file: standard input, and `<(command)` of a shell. A file may not name these:
 * some are pipes of this process. Each gives its bytes once, so they are kept.
 */
function streamsOf(root: RootOptions): (path: string) => (() => Promise<Uint8Array>) | undefined {
  const named = new Set([...(root.file ?? []), ...(root.envFile ?? [])]);
  const kept = new Map<string, Promise<Uint8Array>>();
  return (path) => {
    const isPipe = () => /^\/(?:dev|proc\/self)\/fd\/\d+$/.test(path) && named.has(path) && statSync(path).isFIFO();
    if (path !== '-' && !isPipe()) return undefined;
    return () => {
      const bytes = kept.get(path) ?? readStream(path === '-' ? process.stdin : createReadStream(path), path);
      kept.set(path, bytes);
      return bytes;
    };
  };
}

const STREAM_LIMIT = 16 << 20;

async function readStream(stream: AsyncIterable<unknown>, path: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > STREAM_LIMIT) throw new TscError('cli/exhausted', `${path} gives more than ${STREAM_LIMIT} bytes`);
  }
  return Buffer.concat(chunks);
}

/** The project of a target that must come from files. */
export function requireProject(target: Target): Project {
  if (target.project) return target.project;
  throw new TscError('cli/not-found', `project ${target.name} has no compose file here`, {
    hint: 'change to its folder, or name the file with -f',
  });
}
