/** argv decides what this program is: the daemon, the way into the keeper, or the command. Each loads only its own half. */
const DIRECTORY = import.meta.dirname;

/** Settles when the program has done its work. */
export const finished: Promise<void> = run(process.argv.slice(2));

async function run(argv: readonly string[]): Promise<void> {
  const [first, ...rest] = argv;
  if (first === '--daemon' || first === '--daemon-entry') return runDaemon(first, rest);
  process.exitCode = await runCommand(argv);
  // All is written when the loop is empty: leaving there spares Node taking its heap apart, 1 ms.
  process.once('exit', () => process.exit());
}

/** A command line of `tscompose`; resolves with its exit status. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const { runCli } = await import('./cli/index.ts');
  return runCli(argv);
}

async function runDaemon(kind: '--daemon' | '--daemon-entry', argv: readonly string[]): Promise<void> {
  const { enterKeeper, startDaemon } = await loadDaemon();
  try {
    if (kind === '--daemon') await startDaemon(argv, DIRECTORY);
    else await enterKeeper(argv, DIRECTORY, process.argv[1] ?? import.meta.filename);
    // What was let go of may still hold the loop; the daemon has nothing left to do.
    process.exit(0);
  } catch (error) {
    const { describeError } = await import('./core/index.ts');
    console.error(`tscomposed: ${describeError(error)}`);
    process.exit(1);
  }
}

/** The daemon's half, not started. */
export function loadDaemon(): Promise<typeof import('./daemon/index.ts')> {
  return import('./daemon/index.ts');
}
