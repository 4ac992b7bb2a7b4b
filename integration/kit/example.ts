import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { waitUntil } from './daemon.ts';
import { leftovers, takeLedger } from './ledger.ts';

const ROOT = resolve(import.meta.dirname, '../..');
type Environment = Readonly<Record<string, string>>;

/** A copy of one of `examples/`, used through the command as its owner would, on an instance of its own. */
export class Example {
  static readonly COMMAND = join(ROOT, 'src/launch/tscompose');
  readonly directory = mkdtempSync('/tmp/tsc-');
  readonly instance = `t${randomBytes(3).toString('hex').slice(0, 5)}`;
  readonly socket = join(this.directory, 'run/tscompose.sock');
  /** The copy. */
  readonly folder: string;
  readonly environment: Environment;

  constructor(name: string, environment: Environment) {
    this.folder = join(this.directory, name);
    cpSync(join(ROOT, 'examples', name), this.folder, { recursive: true });
    this.environment = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: this.directory,
      LANG: 'C.UTF-8',
      TSCOMPOSE_RUN_DIR: join(this.directory, 'run'),
      TSCOMPOSE_DATA_DIR: join(this.directory, 'data'),
      TSCOMPOSE_INSTANCE: this.instance,
      ...environment,
    };
  }

  /** Runs any program in the copy's folder. */
  run(file: string, args: readonly string[], environment: Environment = {}): Promise<RunResult> {
    return runProgram(file, args, { cwd: this.folder, environment: { ...this.environment, ...environment } });
  }

  /** Runs a program that must succeed, and tells what it wrote, standard output first. */
  async succeed(file: string, args: readonly string[], environment: Environment = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(file, args, environment);
    expect(status, `${file} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
    return stdout + stderr;
  }

  /** Our command, which must succeed. */
  readonly tscompose = (...args: string[]): Promise<string> => this.succeed(Example.COMMAND, args);

  /** Runs a script of `examples/` on the Node of the project. */
  script(path: string): Promise<string> {
    return this.succeed(join(ROOT, 'src/launch/node'), [join(ROOT, 'examples', path)]);
  }

  /** The process of this instance whose command line fits; NaN when there is none. */
  async processOf(pattern: RegExp): Promise<number> {
    const { processes } = await takeLedger(this.instance, this.directory);
    return Number.parseInt(processes.find((line) => pattern.test(line)) ?? '', 10);
  }

  /** Takes the stack down, ends keeper and daemon, waits until nothing of them is left, and removes the files. */
  async remove(): Promise<void> {
    const down = await this.run(Example.COMMAND, ['down', '-v', '-t', '1']);
    const keeper = await this.processOf(/ keeper --run-dir /);
    if (keeper) process.kill(keeper, 'SIGTERM');
    await waitUntil(
      20_000,
      async () => leftovers({ ...(await takeLedger(this.instance, this.directory)), files: [] }).length === 0,
    );
    rmSync(this.directory, { recursive: true, force: true });
    expect(down.status, down.stderr).toBe(0);
  }
}
