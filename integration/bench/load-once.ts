import { resolve } from 'node:path';
import { compiledFolder, openBundle } from '../../src/bundle/open-bundle.ts';

/**
 * Checks the application of the working directory with the program as it is shipped, once, and prints how many milliseconds
 * that took after its start-up, for which `version` stands.
 */
const dist = resolve(import.meta.dirname, '../../dist');
process.argv = [process.execPath, 'tscompose', 'version', '--short'];
const program = openBundle(dist, compiledFolder(dist, 'command')).load('main.cjs') as {
  readonly finished: Promise<void>;
  readonly runCommand: (argv: readonly string[]) => Promise<number>;
};
await program.finished;
const start = performance.now();
const status = await program.runCommand(['config', '-q']);
console.log(performance.now() - start);
if (status !== 0) throw new Error(`config ended with ${status}`);
