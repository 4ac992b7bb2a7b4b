import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, RUNTIME } from './bundle.ts';

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

export async function stateOf(bundle: Bundle): Promise<State> {
  return JSON.parse((await bundle.runtime('state', bundle.id)).stdout) as State;
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function untilStopped(bundle: Bundle): Promise<void> {
  return until(`the end of ${bundle.id}`, async () => (await stateOf(bundle)).status === 'stopped');
}
