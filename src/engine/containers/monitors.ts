import { PassThrough, Writable } from 'node:stream';
import { isKind } from '../../core/index.ts';
import { type ProcessIdentity, readJsonIfExists, startTimeOf } from '../../host/index.ts';
import {
  connectMonitor,
  type ExitRecord,
  identityIn,
  type KeeperLink,
  type MonitorLink,
  type MonitorState,
  readExitRecord,
} from '../runtime/index.ts';
import { encodeOutput } from './frames.ts';
import type { MonitorSpawner, ProcessMonitor, ProcessStreams, StreamChoice } from './process-monitor.ts';

/** Bytes of output taken at once: hundreds of attached clients may not read. */
const READ = 16 << 10;
/** As in a session: a stage takes one chunk and then waits. */
const BUFFER = 1 << 10;

/** Monitors as children of the keeper. */
export function createMonitorSpawner(
  keeper: Pick<KeeperLink, 'spawn' | 'run' | 'list' | 'kill'>,
  runtimeRoot: string,
): MonitorSpawner {
  return {
    async spawn(ordersFile, runDirectory) {
      const { ready } = await keeper.spawn(['monitor', ordersFile], 'container');
      const link = await connectMonitor(socketOf(runDirectory));
      return new LinkedMonitor(link, runDirectory, identityIn(ready));
    },
    async find(runDirectory) {
      try {
        const link = await connectMonitor(socketOf(runDirectory));
        const state = await link.state();
        const process = await identify(link, state);
        return { monitor: new LinkedMonitor(link, runDirectory, process), running: state.state !== 'created' };
      } catch (error) {
        if (isKind(error, 'unavailable')) return undefined;
        throw error;
      }
    },
    async abandon(runDirectory) {
      const { children } = await keeper.list();
      const waiting = children.filter(({ args }) => args.some((word) => word.startsWith(`${runDirectory}/`)));
      for (const { pid, start_time } of waiting) await keeper.kill({ pid, startTime: start_time });
    },
    endOrphan: (process) => keeper.kill(process),
    async endRecorded(runDirectory) {
      const record = (await readJsonIfExists(`${runDirectory}/process`)) as Record<string, unknown> | undefined;
      if (record) await keeper.kill(identityIn(record));
    },
    async discard(id) {
      await keeper.run({ args: ['--root', runtimeRoot, 'delete', '--force', id] });
    },
    readExit: (runDirectory) => readExitRecord(`${runDirectory}/exit.json`),
  };
}

const socketOf = (runDirectory: string) => `${runDirectory}/m.sock`;

/**
 * A monitor of an earlier version does not tell when its process was started. It is the one that reaps it: when it still has
 * it after /proc was read, that was about this process.
 */
async function identify(link: MonitorLink, { pid, startTime }: MonitorState): Promise<ProcessIdentity> {
  if (pid === 0 || startTime > 0) return { pid, startTime };
  const read = (await startTimeOf(pid)) ?? 0;
  return (await link.state()).pid === pid ? { pid, startTime: read } : { pid: 0, startTime: 0 };
}

class LinkedMonitor implements ProcessMonitor {
  readonly #link: MonitorLink;
  readonly #runDirectory: string;
  readonly exited: Promise<ExitRecord | undefined>;
  #process: ProcessIdentity;

  constructor(link: MonitorLink, runDirectory: string, process: ProcessIdentity) {
    this.#link = link;
    this.#runDirectory = runDirectory;
    this.#process = process;
    // The record on disk speaks when the connection broke before the event came.
    this.exited = link.exit.catch(() => readExitRecord(`${runDirectory}/exit.json`).catch(() => undefined));
  }

  get process(): ProcessIdentity {
    return this.#process;
  }

  async isRunning(): Promise<boolean> {
    return this.#link.state().then(
      ({ state, pid }) => state === 'running' && pid === this.#process.pid,
      () => false,
    );
  }

  async start(): Promise<void> {
    const process = await this.#link.start();
    if (process.pid > 0) this.#process = process;
  }

  kill(signal: number): Promise<void> {
    return this.#link.kill(signal);
  }

  resize(rows: number, columns: number): Promise<void> {
    return this.#link.resize(rows, columns);
  }

  async attach(choice: StreamChoice): Promise<ProcessStreams> {
    const link = await connectMonitor(socketOf(this.#runDirectory), { readSize: READ });
    let cut = false;
    const output = readOutput(link, choice.terminal);
    link.onCut(() => {
      cut = true;
      output.write(cutNotice(choice.terminal));
    });
    await link.attach({ stdin: choice.stdin, stdout: choice.stdout, stderr: choice.stderr });
    const input = new Writable({
      highWaterMark: BUFFER,
      write: (chunk: Buffer, _encoding, done) => void link.writeStdin(chunk).then(() => done(), done),
      final: (done) => {
        link.endStdin();
        done();
      },
    });
    // The process may end while somebody still writes to it.
    input.on('error', () => undefined);
    return { output, input, wasCut: () => cut, close: () => link.close() };
  }

  onOom(listener: () => void): void {
    this.#link.onOom(listener);
  }

  onLogLost(listener: (bytes: number) => void): void {
    this.#link.onLogLost(listener);
  }

  close(): void {
    this.#link.close();
  }
}

/** The last words to a client that was cut off: its output is not whole, whatever it looks like. */
function cutNotice(terminal: boolean): Buffer {
  const text =
    'tscompose: cut off here: nobody took the output for 10 s while the process was held up by it; the process goes on';
  return terminal ? Buffer.from(`\r\n${text}\r\n`) : encodeOutput('stderr', Buffer.from(`\n${text}\n`));
}

/** The link's output as a stream; a reader that stops reading holds the link back. */
function readOutput(link: MonitorLink, terminal: boolean): PassThrough {
  const output = new PassThrough({ highWaterMark: BUFFER });
  output.on('drain', () => link.resume());
  link.onOutput((frame) => {
    if (output.writableEnded) return;
    const more = output.write(terminal ? Buffer.from(frame.payload) : encodeOutput(frame.stream, frame.payload));
    if (!more) link.pause();
  });
  void link.closed.then(() => output.end());
  output.on('close', () => link.close());
  return output;
}
