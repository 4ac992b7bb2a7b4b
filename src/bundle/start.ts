/** The file that node is given: opens the bundle beside it. */
import { existsSync } from 'node:fs';
import { compiledFolder, openBundle } from './open-bundle.ts';

const half = process.argv[2]?.startsWith('--daemon') ? 'daemon' : 'command';
const compiled = compiledFolder(import.meta.dirname, half);
if (existsSync(compiled)) openBundle(import.meta.dirname, compiled).load('main.cjs');
else {
  // No code for this Node: the plain way, with what Node itself keeps from one run to the next. Beside the bundle, where
  // only its owner writes: a cache in a shared /tmp could be planted by somebody else.
  const { createRequire, enableCompileCache } = process.getBuiltinModule('node:module');
  enableCompileCache(`${import.meta.dirname}/cache`);
  createRequire(import.meta.filename)('./main.cjs');
}
