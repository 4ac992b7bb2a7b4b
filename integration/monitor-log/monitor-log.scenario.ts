import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLogs } from '../../src/engine/logs/index.ts';
import type { KeeperLink, MonitorLink } from '../../src/engine/runtime/index.ts';
import { runProgram } from '../../src/host/index.ts';
import { isAlive, type TestKeeper, until } from '../kit/keeper.ts';
import { closeMonitorGround, MonitorCase, openMonitorGround } from '../kit/monitor-case.ts';

let keeper: TestKeeper;
let link: KeeperLink;
let base: string;
let count = 0;
const make = () => new MonitorCase(link, base, `case${++count}`);
beforeEach(async () => {
  ({ keeper, link, base } = await openMonitorGround());
});
afterEach(() => closeMonitorGround({ keeper, link, base }));

const numbers = (first: number, last: number) =>
  `${Array.from({ length: last - first + 1 }, (_, n) => first + n).join('\n')}\n`;

/** Most memory the process ever had, in KiB. */
async function peak(pid: number): Promise<number> {
  return Number(/^VmHWM:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

async function readAll(path: string, query: { tail?: number; follow?: boolean } = {}, finished?: Promise<unknown>) {
  let text = '';
  const source = { path, finished: finished ?? Promise.resolve() };
  for await (const frame of readLogs(source, { stdout: true, stderr: true, ...query })) text += frame.data;
  return text;
}

/** Lets `script` run to its end under its monitor. */
async function runToEnd(one: MonitorCase): Promise<void> {
  await using monitor = await one.connect();
  await monitor.start();
  expect((await monitor.exit).error).toBeNull();
}

describe('compressed rotation', () => {
  it('keeps every line, and readers see them all, whatever is compressed by then', async () => {
    const one = make();
    const log = { path: one.logPath, max_size: 1_000_000, max_file: 50, compress: true };
    await one.spawn('seq 200000; while [ ! -e stop ]; do sleep 0.05; done'.replaceAll('stop', `${base}/stop`), { log });
    await using monitor = await one.connect();
    await monitor.start();
    const names = async () => (await readdir(one.directory)).filter((name) => name.startsWith('log')).sort();
    // Read while the compressor works: nothing twice, nothing missing.
    await until('the last line', async () => (await readAll(one.logPath)) === numbers(1, 200_000));
    await until('all to be compressed', async () => (await names()).every((name) => !/\.\d+$/.test(name)), 30_000);
    expect((await names()).length).toBeGreaterThan(10);
    expect(await readAll(one.logPath)).toBe(numbers(1, 200_000));
    expect(await readAll(one.logPath, { tail: 150_000 })).toBe(numbers(50_001, 200_000));
    for (const name of (await names()).filter((each) => each.endsWith('.gz')))
      expect((await runProgram('/bin/gzip', ['-t', join(one.directory, name)])).status, name).toBe(0);
    await runProgram('/bin/touch', [join(base, 'stop')]);
    await monitor.exit;
    expect(await names()).not.toContain('log.gz-new');
  });

  it('lets a follower miss nothing while files are rotated and compressed under it', async () => {
    const one = make();
    const log = { path: one.logPath, max_size: 100_000, max_file: 200, compress: true };
    await one.spawn('i=0; while [ $i -lt 40 ]; do seq $((i*500+1)) $((i*500+500)); i=$((i+1)); sleep 0.02; done', {
      log,
    });
    await using monitor = await one.connect();
    await monitor.start();
    expect(await readAll(one.logPath, { follow: true }, monitor.exit)).toBe(numbers(1, 20_000));
  });

  it('does not wait for the compressor at the end, and the next run of the container catches up', async () => {
    const one = make();
    const log = { path: one.logPath, max_size: 20_000_000, max_file: 3, compress: true };
    await runToEnd(await one.spawn('seq 500000', { log }));
    expect(await readdir(one.directory)).not.toContain('log.gz-new');
    await one.spawn('sleep 30', { log });
    await using monitor = await one.connect();
    await monitor.start();
    await until('the compressed file', async () => (await readdir(one.directory)).includes('log.1.gz'), 30_000);
    await monitor.kill(9);
    await monitor.exit;
    expect(await readAll(one.logPath)).toBe(numbers(1, 500_000));
  });
});

describe('a flood', () => {
  const files = { max_size: 1_000_000, max_file: 2 };

  it('is bounded on disk and in memory, with and without newlines, binary too', async () => {
    for (const script of [
      'yes short | head -c 60000000',
      'head -c 100000000 /dev/zero',
      'head -c 30000000 /dev/urandom',
    ]) {
      const one = make();
      await one.spawn(script, { log: { path: one.logPath, ...files } });
      await using monitor = await one.connect();
      await monitor.start();
      const end = await monitor.exit;
      expect(end).toMatchObject({ exitCode: 0, logLost: 0 });
      const names = (await readdir(one.directory)).filter((name) => name.startsWith('log')).sort();
      expect(names).toEqual(['log', 'log.1']);
      for (const name of names) expect((await readFile(join(one.directory, name))).length).toBeLessThan(1_200_000);
    }
  });

  it('costs the monitor a bounded amount of memory, however many readers stall', async () => {
    const one = make();
    await one.spawn('exec yes', { log: { path: one.logPath, ...files } });
    await using monitor = await one.connect();
    const before = await peak(one.pid);
    const stalled: MonitorLink[] = [];
    for (let n = 0; n < 200; n++) {
      const each = await one.connect();
      await each.attach({ stdout: true });
      each.pause();
      stalled.push(each);
    }
    await monitor.start();
    await delay(3000);
    // Still served, and cut off readers do not come back into the account.
    expect((await monitor.state()).state).toBe('running');
    expect((await peak(one.pid)) - before, 'KiB').toBeLessThan(40_000);
    await monitor.kill(9);
    await monitor.exit;
    for (const each of stalled) each.close();
  });

  it('gives a slow reader everything, and memory stays small meanwhile', async () => {
    const one = make();
    await one.spawn('seq 2000000', { log: null });
    await using monitor = await one.connect();
    let bytes = 0;
    monitor.onOutput(async (frame) => {
      const first = bytes;
      bytes += frame.payload.length;
      if (Math.floor(first / 1_000_000) === Math.floor(bytes / 1_000_000)) return;
      monitor.pause();
      await delay(30);
      monitor.resume();
    });
    await monitor.attach({ stdout: true });
    const before = await peak(one.pid);
    let highest = before;
    await monitor.start();
    const looking = setInterval(async () => {
      highest = Math.max(highest, await peak(one.pid).catch(() => 0));
    }, 50);
    await monitor.exit;
    clearInterval(looking);
    expect(bytes).toBe(numbers(1, 2_000_000).length);
    expect(highest - before, 'KiB').toBeLessThan(6_000);
  });
});

describe('a full disk', () => {
  it('does not lose the exit of a process that nobody listens to', async () => {
    const place = join(base, 'tiny');
    await mkdir(place);
    expect((await runProgram('/bin/mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place])).status).toBe(0);
    try {
      const one = new MonitorCase(link, place, 'one');
      await one.spawn(`while [ ! -e ${base}/stop ]; do sleep 0.05; done; exit 9`, { log: null });
      {
        await using monitor = await one.connect();
        await monitor.start();
      }
      await writeFile(join(place, 'ballast'), Buffer.alloc(1 << 20)).catch(() => undefined);
      await writeFile(join(base, 'stop'), '');
      await delay(700);
      expect(await one.exitRecord()).toBeUndefined();
      await rm(join(place, 'ballast'));
      await until('the record', async () => (await one.exitRecord())?.exitCode === 9);
      await until('the monitor to go', async () => !(await isAlive(one.pid)));
    } finally {
      await runProgram('/bin/umount', ['-l', place]);
    }
  });

  it('never stops the container; what is lost is counted and told, what is kept is whole', async () => {
    const place = join(base, 'small');
    await mkdir(place);
    expect((await runProgram('/bin/mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', place])).status).toBe(0);
    try {
      const one = make();
      await one.spawn('seq 100000; echo end', { log: { path: join(place, 'log'), max_size: 0, max_file: 1 } });
      await using monitor = await one.connect();
      const told: number[] = [];
      monitor.onLogLost((bytes) => told.push(bytes));
      let output = '';
      monitor.onOutput((frame) => {
        output += frame.payload;
      });
      await monitor.attach({ stdout: true });
      await monitor.start();
      const end = await monitor.exit;
      expect(end.exitCode).toBe(0);
      expect(output).toBe(`${numbers(1, 100_000)}end\n`);
      const lines = (await readFile(join(place, 'log'), 'utf8')).split('\n').slice(0, -1);
      const kept = lines.map((line) => JSON.parse(line) as { log: string });
      expect(kept.length).toBeGreaterThan(1000);
      // Up to the full disk all is there, later what still fits between the last whole line and the end.
      expect(kept.slice(0, 3000).map(({ log }) => Number(log))).toEqual(Array.from({ length: 3000 }, (_, n) => n + 1));
      expect(kept.map(({ log }) => (log === 'end\n' ? Infinity : Number(log)))).toEqual(
        kept.map(({ log }) => (log === 'end\n' ? Infinity : Number(log))).toSorted((a, b) => a - b),
      );
      // Bytes of lines as they would have stood in the file.
      const each = (lines[9]?.length ?? 0) + 1;
      expect(end.logLost).toBeGreaterThan((100_000 - kept.length) * each);
      expect(told.length).toBeGreaterThan(0);
      expect(told).toEqual(told.toSorted((a, b) => a - b));
      expect(told.at(-1)).toBeLessThanOrEqual(end.logLost);
    } finally {
      await runProgram('/bin/umount', [place]);
    }
  });
});
