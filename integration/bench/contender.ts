import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { Readable } from 'node:stream';

/** An engine with the command that drives stacks on it. */
export interface Contender {
  readonly name: string;
  /** Path of the Engine API socket. */
  readonly socket: string;
  /** Program and leading arguments of the compose command. */
  readonly compose: readonly string[];
  /** Program and leading arguments of the one-container command (`run --rm`). */
  readonly docker: readonly string[];
  /** First process of the engine. */
  readonly pid: number;
  /** Directory that the command lines of its detached helpers (shims, monitors) name. */
  readonly directory: string;
  stop(): Promise<void>;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

const agents = new Map<string, Agent>();

/** One call over a kept connection. */
export function call(contender: Contender, method: string, path: string, body?: object | Readable): Promise<ApiAnswer> {
  const agent = agents.get(contender.socket) ?? new Agent({ keepAlive: true, maxSockets: 8 });
  agents.set(contender.socket, agent);
  const { promise, resolve, reject } = Promise.withResolvers<ApiAnswer>();
  const isStream = body !== undefined && 'pipe' in body;
  const text = body === undefined || isStream ? undefined : JSON.stringify(body);
  const outgoing = request(
    {
      socketPath: contender.socket,
      method,
      path: `/v1.44${path}`,
      agent,
      headers:
        text !== undefined
          ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
          : { 'content-type': 'application/x-tar' },
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8');
        let parsed: unknown = answer;
        if (response.headers['content-type']?.startsWith('application/json')) {
          try {
            parsed = JSON.parse(answer);
          } catch {
            // A stream of JSON lines: the text is kept.
          }
        }
        resolve({ status: response.statusCode ?? 0, body: parsed });
      });
    },
  );
  outgoing.on('error', reject);
  if (isStream) (body as Readable).pipe(outgoing);
  else outgoing.end(text);
  return promise;
}

/** The same, for calls that must succeed. */
export async function callOk(
  contender: Contender,
  method: string,
  path: string,
  body?: object | Readable,
): Promise<unknown> {
  const answer = await call(contender, method, path, body);
  if (answer.status >= 400)
    throw new Error(`${contender.name}: ${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Runs a command against the contender's engine; throws with its output when it fails. */
export function runAgainst(contender: Contender, command: readonly string[], cwd: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const [file = '', ...args] = command;
  const child = spawn(file, args, {
    cwd,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: cwd,
      DOCKER_HOST: `unix://${contender.socket}`,
      COMPOSE_MENU: 'false',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.on('error', reject);
  child.on('close', (status) =>
    status === 0 ? resolve() : reject(new Error(`${command.join(' ')}: status ${status}\n${output}`)),
  );
  return promise;
}

/**
 * Proportional set size in MiB of everything the engine runs on the host: its descendants and its detached helpers.
 * The processes inside containers are left out.
 */
export function memoryOf(contender: Contender): number {
  const processes = new Map<number, { parent: number; command: string; inside: boolean }>();
  for (const name of readdirSync('/proc').filter((item) => /^\d+$/.test(item))) {
    const stat = readProc(name, 'stat');
    if (stat === '') continue;
    const inside = (/^NSpid:\s+(.*)$/m.exec(readProc(name, 'status'))?.[1] ?? '').trim().split(/\s+/).length > 1;
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    processes.set(Number(name), { parent, command: readProc(name, 'cmdline'), inside });
  }
  const isOurs = (pid: number): boolean => {
    const found = processes.get(pid);
    return (
      pid === contender.pid ||
      (found !== undefined && (found.command.includes(contender.directory) || isOurs(found.parent)))
    );
  };
  let total = 0;
  for (const [pid, { inside }] of processes) {
    if (!inside && isOurs(pid)) total += Number(/^Pss:\s+(\d+)/m.exec(readProc(String(pid), 'smaps_rollup'))?.[1] ?? 0);
  }
  return total / 1024;
}

/** A file of a process; empty when the process ended while we looked. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
