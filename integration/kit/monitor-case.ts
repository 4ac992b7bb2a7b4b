import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectMonitor, type KeeperLink, type MonitorLink, readExitRecord } from '../../src/engine/runtime/index.ts';
import { killIfThere, TestKeeper } from './keeper.ts';

/** What the monitors of one test need. */
export interface MonitorGround {
  readonly keeper: TestKeeper;
  readonly link: KeeperLink;
  /** A directory for their files. */
  readonly base: string;
}

export async function openMonitorGround(): Promise<MonitorGround> {
  const keeper = await TestKeeper.start();
  const link = await keeper.link();
  return { keeper, link, base: await mkdtemp(join(tmpdir(), 'tsc-monitor-')) };
}

/** Kills what the keeper has left of them and removes the directory. */
export async function closeMonitorGround({ keeper, link, base }: MonitorGround): Promise<void> {
  for (const child of (await link.list()).children) killIfThere(child.pid);
  await keeper.stop();
  await rm(base, { recursive: true, force: true });
}

/** The smallest thing with an OCI runtime's command line. */
export const FAKE_RUNTIME = join(import.meta.dirname, 'fake-runtime.sh');

/** One container (or exec) of the fake runtime under its monitor, running shell text. */
export class MonitorCase {
  readonly directory: string;
  readonly name: string;
  readonly #link: KeeperLink;
  pid = 0;

  constructor(link: KeeperLink, base: string, name: string) {
    this.#link = link;
    this.name = name;
    this.directory = join(base, name);
  }

  async spawn(script: string, options: Record<string, unknown> = {}): Promise<this> {
    await mkdir(join(this.directory, 'bundle'), { recursive: true });
    await mkdir(join(this.directory, 'run'), { mode: 0o700, recursive: true });
    await writeFile(join(this.directory, 'bundle/command'), script);
    const file = join(this.directory, 'monitor.json');
    const config = {
      kind: 'container',
      id: this.name,
      container: this.name,
      run_dir: join(this.directory, 'run'),
      runtime: FAKE_RUNTIME,
      runtime_root: join(this.directory, 'root'),
      bundle: join(this.directory, 'bundle'),
      terminal: false,
      stdin: false,
      log: { path: this.logPath, max_size: 0, max_file: 1 },
      ...options,
    };
    await writeFile(file, JSON.stringify(config));
    this.pid = (await this.#link.spawn(['monitor', file])).pid;
    return this;
  }

  get logPath(): string {
    return join(this.directory, 'log');
  }

  connect(): Promise<MonitorLink> {
    return connectMonitor(join(this.directory, 'run/m.sock'));
  }

  exitRecord() {
    return readExitRecord(join(this.directory, 'run/exit.json'));
  }

  /** All `log` values of one stream in the live file and `older` rotated ones, joined. */
  async logged(stream = 'stdout', older = 0): Promise<string> {
    const names = [...Array(older).keys()].map((n) => `${this.logPath}.${older - n}`);
    const texts = await Promise.all([...names, this.logPath].map((name) => readFile(name, 'utf8')));
    const lines = texts.flatMap((text) => text.trimEnd().split('\n'));
    return lines
      .map((line) => JSON.parse(line) as { log: string; stream: string })
      .filter((line) => line.stream === stream)
      .map((line) => line.log)
      .join('');
  }
}

/** What a connection receives from now on. */
export function collectOutput(link: MonitorLink): { stdout: () => string; stderr: () => string } {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  link.onOutput((frame) => chunks[frame.stream].push(Buffer.from(frame.payload)));
  return {
    stdout: () => Buffer.concat(chunks.stdout).toString(),
    stderr: () => Buffer.concat(chunks.stderr).toString(),
  };
}
