import { type SpawnOptions, spawn } from 'node:child_process';
import { TscError } from '../core/index.ts';
import { readTextIfExists } from './files.ts';

export interface RunResult {
  /** Exit status; 128 + signal number is not applied, see `signal`. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Bytes of output kept per stream; more makes the call fail. 16 MiB unless told. */
  readonly limit?: number;
}

/** Environment of every helper on the host: nothing of an image or a caller reaches it. */
export const CLEAN_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/** Runs a program to its end without a shell and collects its output. Throws `host/not-found` when it cannot be started. */
export function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const spawnOptions: SpawnOptions = {
    cwd: options.cwd ?? '/',
    env: options.environment ?? CLEAN_ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal && { signal: options.signal }),
  };
  const child = spawn(file, [...args], spawnOptions);
  const limit = options.limit ?? 16 << 20;
  const collect = (stream: NodeJS.ReadableStream | null) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream?.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else child.kill('SIGKILL');
    });
    return () => Buffer.concat(chunks).toString('utf8');
  };
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.on('error', (error) => reject(new TscError('host/not-found', `cannot run ${file}`, { cause: error })));
  child.on('close', (status, signal) => resolve({ status, signal, stdout: stdout(), stderr: stderr() }));
  // The program may end without reading its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  return promise;
}

/** Starts a program that reads and writes streams; the caller owns the process. */
export function spawnProgram(file: string, args: readonly string[], options: SpawnOptions = {}) {
  return spawn(file, [...args], { cwd: '/', env: CLEAN_ENVIRONMENT, ...options });
}

/** A process by more than its number, which a later one may have. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, as in /proc/PID/stat. */
  readonly startTime: number;
}

/** When the process that has the number now was started; undefined when none has it. */
export async function startTimeOf(pid: number): Promise<number | undefined> {
  const stat = await readTextIfExists(`/proc/${pid}/stat`).catch(() => undefined);
  // The name in parentheses may contain anything: fields are counted from its end.
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}
