import { Command, CommanderError, Option } from 'commander';
import { TscError } from '../core/index.ts';
import { createContext, type RootOptions } from './context.ts';
import { exitCodeOf } from './exit-codes.ts';
import { type Output, processOutput } from './output.ts';
import { reportError } from './report-error.ts';
import { VERBS, type Verb } from './verbs.ts';
import { VERSION } from './version.ts';

/** Runs the command line (without node and script); resolves with the exit status. */
export async function runCli(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  let status = 0;
  const program = buildProgram(async (verb, values, root, options) => {
    const output = processOutput(root.ansi, environment);
    status = await runVerb(verb, { values, root, options, output, environment });
  }, meaning(argv));
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    // Help, version and usage errors have been printed by the parser.
    if (error instanceof CommanderError) return error.exitCode;
    reportError(error, processOutput('auto', environment));
    return exitCodeOf(error);
  }
  return status;
}

interface Invocation {
  readonly values: readonly string[];
  readonly root: RootOptions;
  readonly options: object;
  readonly output: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

async function runVerb(verb: Verb, invocation: Invocation): Promise<number> {
  const { values, root, options, output, environment } = invocation;
  const context = createContext(root, output, environment);
  try {
    if (root.dryRun) refuseDryRun(verb);
    const { run } = await verb.load();
    return await run(context, values, options as never);
  } catch (error) {
    context.report(error);
    return exitCodeOf(error);
  } finally {
    if (context.connected()) (await context.engine().catch(() => undefined))?.close();
  }
}

function refuseDryRun(verb: Verb): void {
  if (verb.dryRun) return;
  const able = VERBS.filter(({ dryRun }) => dryRun).map(({ usage }) => usage.split(' ')[0]);
  throw new TscError('cli/unsupported', `--dry-run is not supported by ${verb.usage.split(' ')[0]}`, {
    hint: `it is by: ${able.join(', ')}`,
  });
}

type Act = (verb: Verb, values: readonly string[], root: RootOptions, options: object) => Promise<void>;

/** What the parser must know to read a command line. */
interface Meaning {
  readonly verbs: readonly Verb[];
  /** Whether options before the verb are described; otherwise only their defaults. */
  readonly rootOptions: boolean;
}

const EVERYTHING: Meaning = { verbs: VERBS, rootOptions: true };

/**
 * The verb that a command line certainly means, everything otherwise: describing every option of every verb takes longer
 * than running some of them.
 */
function meaning(argv: readonly string[]): Meaning {
  const isOption = (word: string | undefined) => word?.startsWith('-') === true;
  const named = (word: string | undefined) => VERBS.find(({ usage }) => usage.split(' ', 1)[0] === word);
  // A word after an option may be its value, or the verb after a switch.
  const at = argv.findIndex((word, index) => !isOption(word) && !isOption(argv[index - 1]));
  const verb = named(argv[at]);
  const isCertain = !argv.slice(0, at).some(named) && !argv.includes('-h') && !argv.includes('--help');
  return verb !== undefined && isCertain ? { verbs: [verb], rootOptions: at > 0 } : EVERYTHING;
}

/** The command tree: root options, then one command per verb. */
export function buildProgram(act: Act, { verbs, rootOptions } = EVERYTHING): Command {
  const program = new Command('tscompose')
    .enablePositionalOptions()
    .helpCommand(false)
    .showHelpAfterError('(add --help for the options)')
    .exitOverride();
  if (rootOptions) describeRoot(program);
  for (const verb of verbs) addVerb(program, verb, act);
  return program;
}

function describeRoot(program: Command): void {
  program
    .description('Define and run stacks of containers, without Docker')
    .version(VERSION, '-v, --version', 'show the version')
    .usage('[OPTIONS] COMMAND')
    .option('-f, --file <path>', 'compose file, git or oci:// address; repeat to merge several', collect)
    .option('-p, --project-name <name>', 'project name')
    .option('--project-directory <path>', 'folder that relative paths start from')
    .option('--env-file <path>', 'file of variables for interpolation; repeatable', collect)
    .option('--profile <name>', 'profile to activate; repeatable', collect)
    .option(
      '--trust-remote <address>',
      'remote file that may use files and rights of this machine; repeatable',
      collect,
    )
    .option('-H, --host <address>', 'engine to talk to: unix:///path or tcp://host:port')
    .option('--parallel <number>', 'calls on the engine at once', parseCount)
    .option('--dry-run', 'print what would be done, and do nothing')
    .addOption(
      new Option('--ansi <when>', 'colours and cursor movement')
        .choices(['never', 'always', 'auto'])
        .default(DEFAULTS.ansi),
    )
    .addOption(
      new Option('--progress <kind>', 'how progress is shown')
        .choices(['auto', 'tty', 'plain', 'quiet', 'json'])
        .default(DEFAULTS.progress),
    );
}

const DEFAULTS: RootOptions = { ansi: 'auto', progress: 'auto' };

function addVerb(program: Command, verb: Verb, act: Act): void {
  const command = program.command(verb.usage).summary(verb.summary).description(verb.summary);
  command.exitOverride();
  if (verb.alias !== undefined) command.alias(verb.alias);
  if (verb.passThrough) command.passThroughOptions();
  for (const [flags, description, kind] of verb.options) {
    if (kind === 'list') command.option(flags, description, collect);
    else if (kind === 'count') command.option(flags, description, parseCount);
    else command.option(flags, description);
  }
  command.action(async (...input: unknown[]) => {
    const options = command.opts();
    const values = input.slice(0, -2).flatMap((value) => (Array.isArray(value) ? value : [value]));
    const given = values.filter((value): value is string => typeof value === 'string');
    await act(verb, given, { ...DEFAULTS, ...program.opts<Partial<RootOptions>>() }, options);
  });
}

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function parseCount(value: string): number {
  if (!/^-?\d+$/.test(value))
    throw new CommanderError(1, 'tscompose.number', `${JSON.stringify(value)} is not a whole number`);
  return Number(value);
}
