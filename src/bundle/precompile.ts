/**
 * Makes the compiled code of the bundle, a step of the build: `node precompile.ts DIST`. Code is compiled under the very
 * flags that the launcher gives to Node: V8 takes no other.
 */
import { join, resolve } from 'node:path';
import { runProgram } from '../host/index.ts';
import { launcherFlags } from './launcher-flags.ts';
import { HALVES } from './open-bundle.ts';

const dist = resolve(process.argv[2] ?? 'dist');
for (const half of HALVES) {
  const args = [...launcherFlags(half), join(import.meta.dirname, 'rehearse.ts'), dist, half];
  const { status, stderr } = await runProgram(process.execPath, args);
  if (status !== 0) throw new Error(`the rehearsal of the ${half} ended with ${status}: ${stderr}`);
}
