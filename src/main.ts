/** argv decides what this program is: the daemon, the way into the keeper, or the command. Each loads only its own half. */
import { enableCompileCache } from 'node:module';

// Beside the bundle, where only its owner writes: a cache in a shared /tmp could be planted by somebody else.
if (import.meta.dirname.endsWith('/dist')) enableCompileCache(`${import.meta.dirname}/cache`);

const [first, ...rest] = process.argv.slice(2);

if (first === '--daemon' || first === '--daemon-entry') {
  const { enterKeeper, startDaemon } = await import('./daemon/index.ts');
  const { describeError } = await import('./core/index.ts');
  try {
    if (first === '--daemon') await startDaemon(rest, import.meta.dirname);
    else await enterKeeper(rest, import.meta.dirname, import.meta.filename);
    // What was let go of may still hold the loop; the daemon has nothing left to do.
    process.exit(0);
  } catch (error) {
    console.error(`tscomposed: ${describeError(error)}`);
    process.exit(1);
  }
} else {
  const { runCli } = await import('./cli/index.ts');
  process.exitCode = await runCli(process.argv.slice(2));
}
