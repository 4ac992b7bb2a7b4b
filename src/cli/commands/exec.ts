import { observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseReplica } from '../select-containers.ts';
import { joinTerminal } from '../terminal-session.ts';

interface Options {
  readonly detach?: boolean;
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  /** Commander's name for `--no-tty`. */
  readonly tty: boolean;
  readonly index?: number;
  readonly privileged?: boolean;
}

/** `tscompose exec`: resolves with the command's exit status. */
export async function run(context: Context, values: readonly string[], options: Options): Promise<number> {
  const [service = '', ...command] = values;
  const target = await context.target();
  const client = await context.engine();
  const have = await observe(client, target.name);
  checkServices(target, have, [service]);
  const { id } = chooseReplica(have, service, options.index);
  const tty = options.tty && process.stdin.isTTY === true && process.stdout.isTTY === true && !options.detach;
  const exec = await client.createExec(id, {
    command,
    tty,
    stdin: !options.detach,
    detach: options.detach === true,
    ...(options.user !== undefined && { user: options.user }),
    ...(options.workdir !== undefined && { workingDir: options.workdir }),
    ...(options.env && { environment: options.env.map((item) => withCallersValue(item, context.environment)) }),
    ...(options.privileged && { privileged: true }),
  });
  if (options.detach) {
    await client.startExecDetached(exec);
    return 0;
  }
  const session = await client.startExec(exec, { tty, stdin: true, ...terminalSize() });
  await joinTerminal(session, {
    tty,
    stdin: true,
    output: context.output,
    resize: (rows, columns) => client.resizeExec(exec, rows, columns),
  });
  return (await client.inspectExec(exec)).exitCode;
}

function terminalSize() {
  const { rows, columns } = process.stdout;
  return rows && columns ? { size: { rows, columns } } : {};
}

/** A bare name takes the caller's value. */
function withCallersValue(item: string, environment: Readonly<Record<string, string | undefined>>): string {
  if (item.includes('=')) return item;
  return `${item}=${environment[item] ?? ''}`;
}
