import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, PAYLOAD, RUNTIME } from './bundle.ts';
import { until } from './keeper.ts';

/** What `state` prints. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: string;
  readonly pid: number;
  readonly bundle: string;
  readonly annotations?: Record<string, string>;
}

/**
 * A verb after which a process of the container keeps our descriptors: its output goes to a file, a pipe would never
 * end. `stderr` is what the runtime and the container have written there so far.
 */
export async function callDetached(
  bundle: Bundle,
  verb: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<RunResult & { readonly output: () => string }> {
  const out = join(bundle.directory, `${verb}.out`);
  const script = 'out=$1; shift; exec "$@" >"$out" 2>"$out.err" </dev/null';
  const command = [RUNTIME, ...bundle.options, verb, ...args];
  const result = await runProgram('/bin/sh', ['-c', script, 'sh', out, ...command], {
    cwd: bundle.directory,
    environment: { PATH: '/usr/bin:/bin', ...environment },
  });
  return { ...result, stderr: readFileSync(`${out}.err`, 'utf8'), output: () => readFileSync(out, 'utf8') };
}

export interface CreatedContainer {
  readonly pid: number;
  /** What the container has written so far. */
  readonly output: () => string;
  /** What `create` said that did not fail. */
  readonly stderr: string;
}

/** `create` that must succeed, with more options before the id. */
export async function createContainer(bundle: Bundle, ...options: string[]): Promise<CreatedContainer> {
  const pidFile = join(bundle.directory, 'pid');
  const result = await callDetached(bundle, 'create', ['--pid-file', pidFile, ...options, bundle.id]);
  if (result.status !== 0) throw new Error(`create ended with ${result.status}: ${result.stderr}`);
  return { pid: Number(readFileSync(pidFile, 'utf8')), output: result.output, stderr: result.stderr };
}

/** Who waits on a console socket for the terminal: its path, and what came of it in the end. */
export async function listenForConsole(bundle: Bundle): Promise<{ path: string; ended: Promise<RunResult> }> {
  const path = join(bundle.directory, 's');
  const ended = runProgram(PAYLOAD, ['console', path, '']);
  await until('the console socket', () => existsSync(path));
  return { path, ended };
}

export async function stateOf(bundle: Bundle): Promise<State> {
  return JSON.parse((await bundle.runtime('state', bundle.id)).stdout) as State;
}

export function untilStopped(bundle: Bundle): Promise<void> {
  return until(`the end of ${bundle.id}`, async () => (await stateOf(bundle)).status === 'stopped');
}
