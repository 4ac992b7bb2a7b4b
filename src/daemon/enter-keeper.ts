import { join } from 'node:path';
import { TscError } from '../core/index.ts';
import { pathExists } from '../host/index.ts';
import { DAEMON_HELP, formatDaemonOptions, parseDaemonOptions } from './options.ts';

/**
 * Becomes the keeper with this daemon under it: the process is replaced. `program` is the directory and `entry` the file of
 * the running bundle or sources.
 */
export async function enterKeeper(argv: readonly string[], program: string, entry: string): Promise<never> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(DAEMON_HELP);
    process.exit(0);
  }
  const options = parseDaemonOptions(argv, process.env, program);
  const native = join(options.nativeDir, 'tscompose-runtime');
  if (!(await pathExists(native))) {
    throw new TscError('daemon/not-found', `${native} is missing`, { hint: 'build it with npm run build' });
  }
  const args = [
    ...[native, 'keeper', '--run-dir', options.runDir, '--instance', options.instance, '--socket', options.socket],
    ...(options.socketGroup === undefined ? [] : ['--socket-group', options.socketGroup]),
    ...(options.replaceKeeper ? [] : ['--foreground']),
    ...['--', process.execPath, ...process.execArgv, entry, '--daemon', ...formatDaemonOptions(options)],
  ];
  if (process.execve === undefined) throw new TscError('daemon/unsupported', 'this Node cannot replace a process');
  return process.execve(native, args, { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin' });
}
