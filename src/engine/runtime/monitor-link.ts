import type { Socket } from 'node:net';
import { TscError } from '../../core/index.ts';
import { type ConnectOptions, connectUnix, type ProcessIdentity } from '../../host/index.ts';
import { type ExitRecord, parseExitRecord } from './exit-record.ts';
import { DATA_FRAME_LIMIT, encodeFrame, encodeFrameHeader, FRAME, type Frame, FrameDecoder } from './frame-codec.ts';
import { asRecord, nativeError } from './native-error.ts';

/**
 * The protocol this side speaks. Versions only add; what an older monitor lacks is absent and has a default here (a monitor
 * that names no version is of version 1). A monitor of a later version says which one a client must know at least.
 */
const PROTOCOL = 3;

/** What of the process a connection carries. */
export interface MonitorAttach {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
}

/** Where the watched process is. */
export interface MonitorState {
  readonly state: 'created' | 'running' | 'stopped';
  /** 0 while there is none. */
  readonly pid: number;
  /** Of that process; 0 while there is none, and from a monitor of a protocol before 3. */
  readonly startTime: number;
  /** Bytes of log lines that could not be written, a full disk for example. */
  readonly logLost: number;
  /** Version of the protocol that the monitor speaks. */
  readonly protocol: number;
}

/** A frame of output. */
export interface OutputFrame {
  readonly stream: 'stdout' | 'stderr';
  readonly payload: Buffer;
}

interface Pending {
  resolve(reply: Readonly<Record<string, unknown>>): void;
  reject(error: TscError): void;
}

/**
 * One connection to a monitor. `exit` resolves with the record when the process has ended and rejects with
 * `monitor/unavailable` when the connection ends before that (the monitor was killed, or this reader was too slow and cut off).
 */
export class MonitorLink implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #pending = new Map<number, Pending>();
  readonly #outputListeners = new Set<(frame: OutputFrame) => void>();
  readonly #oomListeners = new Set<() => void>();
  readonly #logLostListeners = new Set<(bytes: number) => void>();
  readonly #cutListeners = new Set<() => void>();
  readonly #exit = Promise.withResolvers<ExitRecord>();
  readonly #closed = Promise.withResolvers<void>();
  #ended: TscError | undefined;
  #next = 1;

  constructor(socket: Socket) {
    this.#socket = socket;
    // Whoever does not ask for the exit must not fail for the lack of it.
    this.#exit.promise.catch(() => undefined);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('end', () => this.#fail());
    socket.on('close', () => this.#fail());
  }

  /** The end of the process, see the class. */
  get exit(): Promise<ExitRecord> {
    return this.#exit.promise;
  }

  /** Resolves when the connection is gone, whatever the reason. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Lets the held process go. Resolves when it runs; rejects with the runtime's words when it cannot. */
  async start(): Promise<ProcessIdentity> {
    return identityIn(await this.#request('start', {}));
  }

  /** Output from now on comes to the `onOutput` listeners; with `stdin` this connection may write. */
  async attach(streams: MonitorAttach): Promise<void> {
    await this.#request('attach', { ...streams });
  }

  /** Calls `listener` for every frame of output, in order; returns the way to stop. */
  onOutput(listener: (frame: OutputFrame) => void): () => void {
    this.#outputListeners.add(listener);
    return () => this.#outputListeners.delete(listener);
  }

  /** Calls `listener` when the kernel killed a process of the container for memory; returns the way to stop. */
  onOom(listener: () => void): () => void {
    this.#oomListeners.add(listener);
    return () => this.#oomListeners.delete(listener);
  }

  /** Calls `listener` with all bytes of log lines lost so far, at the first loss and when it has doubled; returns the way to stop. */
  onLogLost(listener: (bytes: number) => void): () => void {
    this.#logLostListeners.add(listener);
    return () => this.#logLostListeners.delete(listener);
  }

  /** Calls `listener`, after the last output, when this reader was cut off because it took nothing for too long; returns the way to stop. */
  onCut(listener: () => void): () => void {
    this.#cutListeners.add(listener);
    return () => this.#cutListeners.delete(listener);
  }

  /** Sends a signal (its number) to the process, never to another one that got its pid. */
  async kill(signal: number): Promise<void> {
    await this.#request('kill', { signal });
  }

  /** Sets the size of the terminal; before the start it is kept for then. */
  async resize(rows: number, cols: number): Promise<void> {
    await this.#request('resize', { rows, cols });
  }

  async state(): Promise<MonitorState> {
    const reply = await this.#request('state', {});
    const state = reply['state'];
    if (state !== 'created' && state !== 'running' && state !== 'stopped')
      throw new TscError('monitor/corrupt', `a monitor reports the state ${JSON.stringify(state)}`);
    const protocol = Number(reply['protocol'] ?? 1);
    const compatible = Number(reply['compatible'] ?? 1);
    if (compatible > PROTOCOL) {
      throw new TscError(
        'monitor/unsupported',
        `a running monitor needs protocol ${compatible}, this daemon knows ${PROTOCOL}`,
        {
          hint: 'the container was started by a later version: go on with that one, or stop the container with it first',
        },
      );
    }
    return { state, ...identityIn(reply), logLost: Number(reply['log_lost'] ?? 0), protocol };
  }

  /** Writes to the process's stdin, after `attach` with `stdin`. Resolves when more may come: that is the backpressure. */
  async writeStdin(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let at = 0; at < bytes.length; at += DATA_FRAME_LIMIT) {
      const part = bytes.subarray(at, at + DATA_FRAME_LIMIT);
      this.#socket.write(encodeFrameHeader(FRAME.stdin, part.length));
      if (!this.#socket.write(part)) await this.#drained();
    }
  }

  /** Closes the process's stdin once it has read everything before; without effect on a terminal. */
  endStdin(): void {
    if (!this.#ended) this.#socket.write(encodeFrame(FRAME.endOfStdin));
  }

  /** Stops and goes on reading: a consumer that cannot keep up holds the output back (the monitor keeps 1 MiB, then cuts). */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Leaves; the process is not touched. */
  close(): void {
    this.#socket.destroy();
    this.#fail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  async #drained(): Promise<void> {
    if (this.#ended) throw this.#ended;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once('drain', resolve);
    await Promise.race([promise, this.closed]);
    this.#socket.off('drain', resolve);
    if (this.#ended) throw this.#ended;
  }

  #request(op: string, fields: object): Promise<Readonly<Record<string, unknown>>> {
    const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    if (this.#ended) {
      reject(this.#ended);
      return promise;
    }
    const id = this.#next++;
    this.#pending.set(id, { resolve, reject });
    this.#socket.write(encodeFrame(FRAME.request, JSON.stringify({ ...fields, id, op })));
    return promise;
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#dispatch(frame);
    } catch (error) {
      this.#fail(error);
      this.#socket.destroy();
    }
  }

  #dispatch(frame: Frame): void {
    if (frame.type === FRAME.stdout || frame.type === FRAME.stderr) {
      const output: OutputFrame = { stream: frame.type === FRAME.stdout ? 'stdout' : 'stderr', payload: frame.payload };
      for (const listener of this.#outputListeners) listener(output);
      return;
    }
    const message = asRecord(JSON.parse(frame.payload.toString('utf8'))) ?? {};
    if (frame.type === FRAME.reply) this.#settle(message);
    else if (message['event'] === 'oom') for (const listener of this.#oomListeners) listener();
    else if (message['event'] === 'cut') for (const listener of this.#cutListeners) listener();
    else if (message['event'] === 'log-lost')
      for (const listener of this.#logLostListeners) listener(Number(message['bytes']));
    else if (message['event'] === 'exit') {
      const record = parseExitRecord(message);
      if (record) this.#exit.resolve(record);
    }
  }

  #settle(reply: Readonly<Record<string, unknown>>): void {
    const id = Number(reply['id']);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (reply['ok'] === true) pending?.resolve(reply);
    else pending?.reject(nativeError('monitor', reply['error']));
  }

  #fail(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = new TscError('monitor/unavailable', 'the connection to the monitor ended', cause ? { cause } : {});
    for (const pending of this.#pending.values()) pending.reject(this.#ended);
    this.#pending.clear();
    // Without effect when the exit was told.
    this.#exit.reject(this.#ended);
    this.#closed.resolve();
  }
}

/** The process in a monitor's reply or ready line; zeroes for what it does not say. */
export function identityIn(reply: Readonly<Record<string, unknown>>): ProcessIdentity {
  return { pid: Number(reply['pid'] ?? 0), startTime: Number(reply['start_time'] ?? 0) };
}

/** Connects to a monitor's socket. Rejects with `monitor/unavailable` when nobody listens there. */
export async function connectMonitor(socketPath: string, options: ConnectOptions = {}): Promise<MonitorLink> {
  try {
    return new MonitorLink(await connectUnix(socketPath, options));
  } catch (error) {
    throw new TscError('monitor/unavailable', `no monitor answers at ${socketPath}`, { cause: error });
  }
}
