import type { Duplex } from 'node:stream';
import { type Room, TscError } from '../../core/index.ts';
import type { ProcessIdentity } from '../../host/index.ts';
import { LineSplitter } from './json-lines.ts';
import { asRecord, nativeError } from './native-error.ts';

/** A spawned child and the line it wrote on descriptor 3. */
export interface SpawnedChild {
  readonly pid: number;
  readonly ready: Readonly<Record<string, unknown>>;
}

/** The end of a spawned child. */
export interface ChildExit {
  readonly pid: number;
  /** 128 + signal for a killed one. */
  readonly exitCode: number;
  readonly signal: number | null;
}

/** A name that a limited sandbox asked for and may not have. */
export interface NameRefusal {
  readonly sandbox: string;
  readonly name: string;
}

/** A short program to run below the keeper. */
export interface KeeperRun {
  /** Absolute path; absent: the native binary itself, `args` beginning with a verb. */
  readonly file?: string;
  readonly args: readonly string[];
  readonly stdin?: string;
  /** How long it may take before it is killed; 2 minutes unless told. */
  readonly timeout_ms?: number;
}

/** How it ended: `status` is the exit status, 128 + signal for a killed one. */
export interface KeeperRunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A bound socket that the keeper holds; with `proxy` a splice process serves it. */
export interface KeeperPortHold {
  readonly key: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly proxy: { readonly address: string; readonly port: number } | null;
  /** Key of a hold whose socket stands for this one, too, until both are released. */
  readonly shares?: string;
}

/** What the keeper holds now. */
export interface KeeperHoldings {
  readonly instance: string;
  readonly pid: number;
  /** Process of the name server, 0 while there is none. */
  readonly names_pid: number;
  readonly sandboxes: readonly { readonly name: string; readonly path: string }[];
  /** `proxy_pid` 0: held only. */
  readonly ports: readonly { readonly key: string; readonly port: number; readonly proxy_pid: number }[];
  readonly children: readonly { readonly pid: number; readonly start_time: number; readonly args: readonly string[] }[];
}

interface Pending {
  resolve(reply: Readonly<Record<string, unknown>>): void;
  reject(error: TscError): void;
  readonly room: Room;
}

/** Namespace paths for config.json; `users` when the network belongs to a user namespace of its own. */
export interface SandboxPaths {
  readonly path: string;
  readonly users?: string;
}

/**
 * The daemon's end of the keeper's control stream. Every call rejects with a TscError whose kind is the keeper's error code;
 * a taken port is `network/in-use`. When the stream ends all calls reject with `keeper/unavailable`.
 */
export class KeeperLink implements AsyncDisposable {
  readonly #stream: Duplex;
  readonly #lines = new LineSplitter();
  readonly #pending = new Map<number, Pending>();
  readonly #exitListeners = new Set<(exit: ChildExit) => void>();
  readonly #refusalListeners = new Set<(refusal: NameRefusal) => void>();
  readonly #closed = Promise.withResolvers<void>();
  #ended: TscError | undefined;
  #next = 1;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('error', (error) => this.#fail(error));
    stream.on('end', () => this.#fail());
    stream.on('close', () => this.#fail());
  }

  /** Resolves when the control stream has ended: the keeper is gone, and with it the reason to go on. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Calls `listener` for the end of every spawned child; returns the way to stop. */
  onExit(listener: (exit: ChildExit) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  /** Calls `listener` for every name that the name server refuses to a limited sandbox; returns the way to stop. */
  onRefusal(listener: (refusal: NameRefusal) => void): () => void {
    this.#refusalListeners.add(listener);
    return () => this.#refusalListeners.delete(listener);
  }

  /** Starts a child of the native binary that reports on descriptor 3. A refusal it reports is thrown with room `room`. */
  async spawn(
    args: readonly string[],
    room: Room = 'monitor',
    options: { readonly timeout_ms?: number } = {},
  ): Promise<SpawnedChild> {
    const reply = await this.#request('spawn', { ...options, args }, room);
    const ready = asRecord(reply['ready']) ?? {};
    if (ready['ok'] !== true) throw nativeError(room, ready['error']);
    return { pid: Number(reply['pid']), ready };
  }

  /** Runs a program to its end; resolves whatever its status is. */
  async run(request: KeeperRun): Promise<KeeperRunResult> {
    const reply = await this.#request('run', { ...request });
    return { status: Number(reply['status']), stdout: String(reply['stdout']), stderr: String(reply['stderr']) };
  }

  /** SIGKILL to this process and no later one with its number; one that has ended is fine. */
  async kill({ pid, startTime }: ProcessIdentity): Promise<void> {
    await this.#request('process.kill', { pid, start_time: startTime });
  }

  /** Makes a network namespace; `path` can be used as a namespace path in config.json. */
  async createSandbox(name: string, config: object): Promise<SandboxPaths> {
    return pathOf(await this.#request('sandbox.create', { name, config }, 'network'));
  }

  /** Takes the namespace of a running container over, after a keeper was lost. */
  async adoptSandbox(name: string, { pid, startTime }: ProcessIdentity, names: boolean): Promise<SandboxPaths> {
    return pathOf(await this.#request('sandbox.adopt', { name, pid, start_time: startTime, names }, 'network'));
  }

  /** Adds links and routes to a live sandbox. */
  async linkSandbox(
    name: string,
    change: { readonly links: object; readonly routes: object; readonly sysctls?: object; readonly names?: boolean },
  ): Promise<void> {
    const { links, routes, sysctls = {}, names = false } = change;
    await this.#request('sandbox.link', { name, links, routes, sysctls, names }, 'network');
  }

  /** Removes one interface from a live sandbox. */
  async unlinkSandbox(name: string, interfaceName: string): Promise<void> {
    await this.#request('sandbox.unlink', { name, interface: interfaceName }, 'network');
  }

  /** Lets a sandbox go; an unknown one is fine. */
  async removeSandbox(name: string): Promise<void> {
    await this.#request('sandbox.remove', { name }, 'network');
  }

  /** Binds and keeps a port; `network/in-use` when another program has it. */
  async holdPort(hold: KeeperPortHold): Promise<{ readonly port: number }> {
    const reply = await this.#request('port.hold', { ...hold }, 'network');
    return { port: Number(reply['port']) };
  }

  /** What serves a held port from now on; null: nothing. Connections that went through a process of before end. */
  async serveProxy(key: string, proxy: KeeperPortHold['proxy']): Promise<void> {
    await this.#request('port.proxy', { key, proxy }, 'network');
  }

  /** Lets a port go, with its proxy; an unknown key is fine. */
  async releasePort(key: string): Promise<void> {
    await this.#request('port.release', { key }, 'network');
  }

  /** Replaces the names of one network; null drops the zone. */
  async publishZone(zone: string, hosts: Readonly<Record<string, readonly string[]>> | null): Promise<void> {
    await this.#request('names.zone', { zone, hosts }, 'network');
  }

  /** Says what a sandbox's name server answers; absent keys stay as they are. */
  async publishNames(names: { readonly name: string }): Promise<void> {
    await this.#request('names.sandbox', { ...names }, 'network');
  }

  /** What it holds now, for recovery. */
  async list(): Promise<KeeperHoldings> {
    const reply = await this.#request('list', {});
    // The keeper is ours and of the same build: its answer has the documented form.
    return reply as unknown as KeeperHoldings;
  }

  /**
   * Makes the keeper execute another binary and keep every descriptor. Resolves when the new one has taken over; it then ends
   * this process (SIGTERM) and starts the daemon again.
   */
  async reexec(file: string): Promise<void> {
    await this.#request('reexec', { file });
  }

  /** The next exit of this process with status 0 ends the keeper as well. */
  async shutdown(): Promise<void> {
    await this.#request('shutdown', {});
  }

  /** Closes the stream; pending calls reject. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy();
    this.#fail();
    await this.closed;
  }

  #request(op: string, fields: object, room: Room = 'keeper'): Promise<Readonly<Record<string, unknown>>> {
    const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    if (this.#ended) {
      reject(this.#ended);
      return promise;
    }
    const id = this.#next++;
    this.#pending.set(id, { resolve, reject, room });
    this.#stream.write(`${JSON.stringify({ ...fields, id, op })}\n`);
    return promise;
  }

  #take(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      try {
        this.#dispatch(asRecord(JSON.parse(line)) ?? {});
      } catch (error) {
        this.#fail(error);
        this.#stream.destroy();
        return;
      }
    }
  }

  #dispatch(message: Readonly<Record<string, unknown>>): void {
    if (message['event'] === 'exit') {
      const exit = childExit(Number(message['pid']), Number(message['status']));
      for (const listener of this.#exitListeners) listener(exit);
      return;
    }
    if (message['event'] === 'refused') {
      const refusal = { sandbox: String(message['sandbox']), name: String(message['name']) };
      for (const listener of this.#refusalListeners) listener(refusal);
      return;
    }
    const id = Number(message['id']);
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    if (message['ok'] === true) pending.resolve(message);
    else pending.reject(nativeError(pending.room, message['error']));
  }

  #fail(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = new TscError('keeper/unavailable', 'the control stream of the keeper ended', cause ? { cause } : {});
    for (const pending of this.#pending.values()) pending.reject(this.#ended);
    this.#pending.clear();
    this.#closed.resolve();
  }
}

function pathOf(reply: Readonly<Record<string, unknown>>): SandboxPaths {
  const users = reply['users'];
  return { path: String(reply['path']), ...(typeof users === 'string' && { users }) };
}

/** A status as from waitpid(2). */
function childExit(pid: number, status: number): ChildExit {
  const signal = status & 0x7f;
  return signal ? { pid, exitCode: 128 + signal, signal } : { pid, exitCode: (status >> 8) & 0xff, signal: null };
}
