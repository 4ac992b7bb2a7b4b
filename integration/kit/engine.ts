import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type AttachSession, type ContainerSpec, createEngine, type Engine } from '../../src/engine/index.ts';
import { connectUnix } from '../../src/host/index.ts';
import { busyboxRootfsTar } from './images.ts';
import { killIfThere, RUNTIME_BINARY, TestKeeper } from './keeper.ts';
import { type Ledger, takeLedger } from './ledger.ts';

/** An engine in this process, below a keeper of its own, with the busybox test image. */
export class TestEngine {
  readonly instance = `t${randomBytes(8).toString('hex').slice(0, 5)}`;
  // Short: a socket's path has at most 107 bytes.
  readonly directory = mkdtempSync('/tmp/tsc-');
  readonly notes: string[] = [];
  #keeper: TestKeeper | undefined;
  #engine: Engine | undefined;
  #ownHostFiles = false;
  /** The process that passes the keeper's control stream on; it ends with the stream, and the keeper starts another. */
  #daemonPid = 0;

  /** With `hostFiles: 'own'` the host's resolv.conf and hosts are those of the test's directory. */
  static async start(options: { readonly hostFiles?: 'own' } = {}): Promise<TestEngine> {
    const test = new TestEngine();
    test.#ownHostFiles = options.hostFiles === 'own';
    test.#keeper = await TestKeeper.start({ directory: join(test.directory), instance: test.instance });
    await test.open();
    await test.engine.images.importRootfs(busyboxRootfsTar(), {
      repository: 'busybox',
      tag: 'latest',
      changes: ['CMD ["sh"]'],
    });
    return test;
  }

  get engine(): Engine {
    if (!this.#engine) throw new Error('the engine is not open');
    return this.#engine;
  }

  /** Opens the engine, again after `detach`: what a restarted daemon does. */
  async open(): Promise<void> {
    const keeper = this.#keeper;
    if (!keeper) throw new Error('no keeper');
    // A broken connection does not always end it by itself.
    if (this.#daemonPid > 0) killIfThere(this.#daemonPid);
    this.#daemonPid = (await keeper.daemon(this.#daemonPid)).pid;
    const note = (fields: object, message: string) => void this.notes.push(`${message} ${JSON.stringify(fields)}`);
    this.#engine = await createEngine({
      dataDir: join(this.directory, 'data'),
      runDir: join(this.directory, 'run'),
      instance: this.instance,
      nativeDir: join(RUNTIME_BINARY, '..'),
      keeper: await connectUnix(join(keeper.directory, 'bridge.sock')),
      ...(this.#ownHostFiles && {
        network: {
          hostFiles: { resolvConf: join(this.directory, 'resolv.conf'), hosts: join(this.directory, 'hosts') },
        },
      }),
      logger: { debug: () => undefined, info: note, warn: note, error: note },
    });
  }

  /** Kills keeper and engine, and starts both again on the same directories. */
  async loseKeeper(): Promise<void> {
    const old = this.#keeper;
    if (!old) throw new Error('no keeper');
    killIfThere(old.pid);
    await old.ended;
    await this.engine.detach();
    this.#keeper = await TestKeeper.start({ directory: this.directory, instance: this.instance });
    await this.open();
  }

  /** Creates a container of the busybox image; without a network unless the host part says otherwise. */
  async create(
    name: string,
    command: readonly string[],
    spec: { config?: Partial<ContainerSpec['config']>; host?: ContainerSpec['host'] } = {},
  ): Promise<string> {
    const { id } = await this.engine.containers.create({
      name,
      config: { image: 'busybox', command, ...spec.config },
      host: { networkMode: 'none', ...spec.host },
    });
    return id;
  }

  /** Runs to the end and returns exit code and both streams of output as text. */
  async run(name: string, command: readonly string[], spec: Parameters<TestEngine['create']>[2] = {}) {
    const { containers } = this.engine;
    await this.create(name, command, spec);
    const session = await containers.attach(name, {
      stdin: false,
      stdout: true,
      stderr: true,
      logs: false,
      stream: true,
    });
    const ended = containers.wait(name, 'next-exit');
    ended.catch(() => undefined);
    await containers.start(name);
    const output = await readSession(session);
    return { ...(await ended), ...output };
  }

  /** Runs a command in a running container. */
  async exec(name: string, command: readonly string[], options: { user?: string; workdir?: string } = {}) {
    const id = await this.engine.exec.create(name, { command, ...options });
    const session = this.engine.exec.start(id);
    if (!session) throw new Error('no session');
    const output = await readSession(session);
    return { exitCode: await this.engine.exec.wait(id), ...output };
  }

  /** Removes everything and ends engine and keeper; returns what of them is left. */
  async stop(): Promise<Ledger> {
    try {
      for (const { id } of await this.engine.containers.list({ all: true }))
        await this.engine.containers.remove(id, { force: true, volumes: true });
      await this.engine.networks.dismantle();
      await this.engine.detach();
    } finally {
      await this.#keeper?.stop();
      rmSync(this.directory, { recursive: true, force: true });
    }
    return takeLedger(this.instance, this.directory);
  }
}

/** Splits a session's multiplexed output into its two streams. */
export async function readSession(session: AttachSession): Promise<{ stdout: string; stderr: string }> {
  const parts: Buffer[] = [];
  for await (const chunk of session.output) parts.push(chunk);
  let rest = Buffer.concat(parts);
  if (session.tty) return { stdout: rest.toString('utf8'), stderr: '' };
  const texts = { 1: '', 2: '' };
  while (rest.length >= 8) {
    const end = 8 + rest.readUInt32BE(4);
    texts[rest[0] === 2 ? 2 : 1] += rest.toString('utf8', 8, end);
    rest = rest.subarray(end);
  }
  return { stdout: texts[1], stderr: texts[2] };
}
