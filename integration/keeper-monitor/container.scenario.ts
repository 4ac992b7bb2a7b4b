import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectMonitor, type KeeperLink, type MonitorLink, readExitRecord } from '../../src/engine/runtime/index.ts';
import { type Bundle, type Config, openWorkshop, type Workshop } from '../kit/bundle.ts';
import { isAlive, killIfThere, TestKeeper, until } from '../kit/keeper.ts';

let shop: Workshop;
let keeper: TestKeeper;
let link: KeeperLink;
beforeAll(() => {
  shop = openWorkshop();
});
afterAll(async () => {
  expect(shop.leftovers()).toEqual([]);
  await shop.close();
});
beforeEach(async () => {
  keeper = await TestKeeper.start();
  link = await keeper.link();
});
afterEach(() => keeper.stop());

interface Watched extends AsyncDisposable {
  readonly bundle: Bundle;
  readonly runDir: string;
  readonly monitorPid: number;
  readonly link: MonitorLink;
  /** What came so far, both streams in order of arrival. */
  output(): string;
}

let count = 0;

async function watch(bundle: Bundle, options: Record<string, unknown>): Promise<Watched> {
  const runDir = join(bundle.directory, `run${++count}`);
  mkdirSync(runDir, { mode: 0o700 });
  const file = join(bundle.directory, `monitor${count}.json`);
  const common = { run_dir: runDir, runtime: null, runtime_root: bundle.options[1], container: bundle.id };
  writeFileSync(file, JSON.stringify({ ...common, ...options }));
  const { pid } = await link.spawn(['monitor', file]);
  const monitor = await connectMonitor(join(runDir, 'm.sock'));
  const chunks: Buffer[] = [];
  monitor.onOutput((frame) => chunks.push(Buffer.from(frame.payload)));
  await monitor.attach({ stdin: true, stdout: true, stderr: true });
  return {
    bundle,
    runDir,
    monitorPid: pid,
    link: monitor,
    output: () => Buffer.concat(chunks).toString(),
    [Symbol.asyncDispose]: () => monitor[Symbol.asyncDispose](),
  };
}

/** A container of the real runtime with its monitor, not started. */
function container(
  words: string[],
  options: Record<string, unknown> = {},
  change: (config: Config) => void = () => undefined,
): Promise<Watched> {
  const bundle = shop.bundle(words, (config) => {
    if (options['terminal']) Object.assign(config.process, { terminal: true });
    change(config);
  });
  const log = { path: join(bundle.directory, 'log'), max_size: 0, max_file: 1 };
  return watch(bundle, { kind: 'container', id: bundle.id, bundle: bundle.directory, log, ...options });
}

function exec(bundle: Bundle, words: string[], options: Record<string, unknown> = {}): Promise<Watched> {
  const file = join(bundle.directory, `process${count}.json`);
  const process = JSON.parse(readFileSync(join(bundle.directory, 'config.json'), 'utf8')).process as object;
  const terminal = options['terminal'] === true;
  // An exec runs at once: its first size must be with the runtime.
  const consoleSize = { height: options['rows'], width: options['cols'] };
  const more = { terminal, args: ['/bin/payload', ...words], ...(terminal && { consoleSize }) };
  writeFileSync(file, JSON.stringify({ ...process, ...more }));
  return watch(bundle, { kind: 'exec', id: `exec${count}`, process: file, ...options });
}

describe('container under its monitor', () => {
  it('runs, reads stdin, ends with its status and leaves nothing', async () => {
    await using one = await container(['echo', 'hello', 'stdin', 'exit', '9'], { stdin: true });
    await one.link.start();
    await one.link.writeStdin('typed\n');
    one.link.endStdin();
    expect(await one.link.exit).toMatchObject({ exitCode: 9, signal: null, oomKilled: false });
    expect(one.output()).toContain('hello\n');
    expect(one.output()).toContain('typed\n');
    expect(shop.leftovers()).toEqual([]);
    expect((await readdir(one.runDir)).sort()).toEqual(['exit.json', 'pid']);
    await until('the monitor to go', async () => !(await isAlive(one.monitorPid)));
  });

  it('says why a create failed and leaves nothing', async () => {
    const create = container([], {}, (config) => {
      config.process.args = ['/bin/nothing'];
    });
    await expect(create).rejects.toMatchObject({
      code: 'monitor/failed',
      message: expect.stringContaining('/bin/nothing'),
    });
    expect(shop.leftovers()).toEqual([]);
  });

  it('gives a terminal of the asked size, resizes it, and takes typing', async () => {
    await using one = await container(['tty', 'stdin', 'tty'], { terminal: true, rows: 33, cols: 44 });
    await one.link.start();
    await until('the first size', () => one.output().includes('33'));
    await one.link.resize(55, 66);
    await one.link.writeStdin('line\r\x04');
    expect((await one.link.exit).exitCode).toBe(0);
    expect(one.output()).toMatch(/33.*44[\s\S]*line\r\n[\s\S]*55.*66/);
  });

  it('tells of an out-of-memory kill', async () => {
    await using one = await container(['memhog', '200'], {}, (config) => {
      config.linux.resources = { memory: { limit: 32 << 20 } };
    });
    let told = 0;
    one.link.onOom(() => told++);
    await one.link.start();
    expect(await one.link.exit).toMatchObject({ exitCode: 137, signal: 9, oomKilled: true });
    expect(told).toBe(1);
  });

  it('keeps what hooks at the end may need', async () => {
    const witness = join(shop.directory, 'poststop-rights');
    await using one = await container(['exit', '2'], {}, (config) => {
      config.hooks = {
        poststop: [{ path: '/bin/sh', args: ['sh', '-c', `grep CapEff /proc/self/status >${witness}`] }],
      };
    });
    await one.link.start();
    expect((await one.link.exit).exitCode).toBe(2);
    const own = /^CapEff:\s+(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 'none';
    expect(readFileSync(witness, 'utf8')).toContain(own);
  });

  it('tells of an out-of-memory kill of something else than its process, at once', async () => {
    await using one = await container(['pause'], {}, (config) => {
      config.linux.resources = { memory: { limit: 32 << 20 } };
    });
    const told = Promise.withResolvers<void>();
    one.link.onOom(() => told.resolve());
    await one.link.start();
    await using greedy = await exec(one.bundle, ['memhog', '200']);
    await greedy.link.start();
    expect(await greedy.link.exit).toMatchObject({ exitCode: 137, oomKilled: true });
    await told.promise;
    expect((await one.link.state()).state).toBe('running');
    await one.link.kill(9);
    await one.link.exit;
  });

  it('runs execs in it, with and without terminal, however short', async () => {
    await using one = await container(['pause']);
    await one.link.start();
    await using typed = await exec(one.bundle, ['tty', 'exit', '4'], { terminal: true, rows: 21, cols: 43 });
    await typed.link.start();
    expect((await typed.link.exit).exitCode).toBe(4);
    expect(typed.output()).toMatch(/21.*43/);
    for (let round = 0; round < 30; round++) {
      await using short = await exec(one.bundle, ['echo', `round ${round}`, 'exit', '3']);
      await short.link.start();
      // The end of stdin meets the end of the process: a write that fails then must not cost the output.
      setTimeout(() => short.link.endStdin(), round % 6);
      expect(await short.link.exit).toMatchObject({ exitCode: 3, error: null });
      expect(short.output()).toBe(`round ${round}\n`);
    }
    await using missing = await exec(one.bundle, []);
    const file = JSON.parse(readFileSync(join(one.bundle.directory, `monitor${count}.json`), 'utf8')).process as string;
    const process = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...process, args: ['/bin/nothing'] }));
    await expect(missing.link.start()).rejects.toThrow('/bin/nothing');
    expect((await missing.link.exit).exitCode).toBe(127);
    await one.link.kill(9);
    expect((await one.link.exit).exitCode).toBe(137);
  });

  it('costs at most 0.6 MiB for each of a few containers', async () => {
    await using stack = new AsyncDisposableStack();
    const all = await Promise.all([1, 2, 3, 4].map(() => container(['pause'])));
    for (const one of all) {
      stack.use(one);
      await one.link.start();
    }
    const sizes = await Promise.all(
      all.map(async (one) => {
        const text = await readFile(`/proc/${one.monitorPid}/smaps_rollup`, 'utf8');
        return { pss: Number(/^Pss:\s+(\d+)/m.exec(text)?.[1]), own: Number(/^Pss_Anon:\s+(\d+)/m.exec(text)?.[1]) };
      }),
    );
    for (const one of all) {
      await one.link.kill(9);
      await one.link.exit;
    }
    expect(sizes.reduce((sum, size) => sum + size.pss, 0) / sizes.length, 'KiB, code shared').toBeLessThan(615);
    expect(Math.max(...sizes.map((size) => size.own)), 'KiB of its own').toBeLessThan(200);
  });

  it('survives keeper and daemon', async () => {
    await using one = await container(['catch']);
    const { pid } = await one.link.start();
    await until('the container', () => one.output().includes('ready'));
    const daemon = await keeper.daemon();
    killIfThere(keeper.pid);
    await keeper.ended;
    await until('the daemon without keeper to end', async () => !(await isAlive(daemon.pid)));
    expect(await isAlive(pid)).toBe(true);
    await one.link.kill(9);
    const record = await one.link.exit;
    expect(await readExitRecord(join(one.runDir, 'exit.json'))).toEqual(record);
    await until('the monitor to go', async () => !(await isAlive(one.monitorPid)));
    expect(shop.leftovers()).toEqual([]);
  });
});
