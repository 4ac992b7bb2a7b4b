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
  /** First process of the engine; its memory is that of all its descendants. */
  readonly pid: number;
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

/** Proportional set size in MiB of a process and all its descendants, container processes left out. */
export function memoryOf(contender: Contender): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((item) => /^\d+$/.test(item))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // The process ended while we looked.
    }
  }
  const isOurs = (pid: number): boolean => pid === contender.pid || (pid > 1 && isOurs(parents.get(pid) ?? 0));
  const own = namespaceOf(contender.pid);
  let total = 0;
  for (const pid of parents.keys()) {
    if (!isOurs(pid) || namespaceOf(pid) !== own) continue;
    try {
      total += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // The process ended while we looked.
    }
  }
  return total / 1024;
}

/** Processes of containers live in pid namespaces of their own. */
function namespaceOf(pid: number): string {
  try {
    return (
      readFileSync(`/proc/${pid}/status`, 'utf8')
        .match(/^NSpid:\s+(.*)$/m)?.[1]
        ?.split(/\s+/)
        .length.toString() ?? ''
    );
  } catch {
    return '';
  }
}
