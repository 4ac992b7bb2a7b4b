import { loadProject } from '../../src/compose/index.ts';
import { readBytesIfExists } from '../../src/host/index.ts';

/** Loads the application of the working directory once and prints how many milliseconds that took. */
const start = performance.now();
await loadProject({
  currentDirectory: process.cwd(),
  environment: process.env,
  purpose: 'show',
  reader: { read: readBytesIfExists },
});
console.log(performance.now() - start);
