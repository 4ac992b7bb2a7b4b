import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

/** The data directory is a small file system of its own that runs out of inodes, breaks, or answers with errors. */
let place: string;
let data: string;
let daemon: TestDaemon;
const image = () => join(place, 'image');

beforeAll(async () => {
  place = mkdtempSync('/tmp/tsc-disk-');
  data = join(place, 'data');
  mkdirSync(data);
  writeFileSync(image(), '');
  truncateSync(image(), 96 << 20);
  execFileSync('mkfs.ext4', ['-q', '-F', '-N', '1024', image()]);
  execFileSync('mount', ['-o', 'loop', image(), data]);
  daemon = await startTestDaemon({ flags: [`--data-dir=${data}`] });
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
  execFileSync('umount', [data]);
  rmSync(place, { recursive: true });
});

const create = (name: string, command: readonly string[]) =>
  daemon.call('POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: command });
const start = async (name: string) => (await daemon.call('POST', `/containers/${name}/start`)).status;
const remove = async (name: string) => (await daemon.call('DELETE', `/containers/${name}?force=1`)).status;
const names = async () =>
  (await daemon.call('GET', '/containers/json?all=1')).json<{ Names: string[] }[]>().map(({ Names }) => Names[0]);

/** Runs to its end and is gone. */
async function works(name: string): Promise<void> {
  const made = await create(name, ['echo', 'fine']);
  expect(made.status, made.text()).toBe(201);
  expect(await start(name)).toBe(204);
  expect((await daemon.call('POST', `/containers/${name}/wait`)).json()).toMatchObject({ StatusCode: 0 });
  expect((await daemon.call('GET', `/containers/${name}/logs?stdout=1`)).text()).toContain('fine');
  expect(await remove(name)).toBe(204);
}

/** A process of its own, in the background, for as long as the test needs it. */
async function running(name: string, script: string): Promise<{ pid: number; log: string }> {
  expect((await create(name, ['sh', '-c', script])).status).toBe(201);
  expect(await start(name)).toBe(204);
  const { State, LogPath } = (await daemon.call('GET', `/containers/${name}/json`)).json<{
    State: { Pid: number };
    LogPath: string;
  }>();
  return { pid: State.Pid, log: LogPath };
}

describe('no inode left', () => {
  it('is said, leaves nothing half made, and what runs goes on; removal makes room', async () => {
    const { log } = await running('kept', 'while :; do echo tick; usleep 100000; done');
    let count = 0;
    try {
      for (; ; count++) writeFileSync(join(data, `filler-${count}`), '');
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
    }
    const before = await names();
    const failed = await create('none', ['true']);
    expect(failed.status, failed.text()).toBe(500);
    expect(failed.text()).toMatch(/no space left|ENOSPC/i);
    expect(await names()).toEqual(before);
    const size = readFileSync(log, 'utf8').length;
    await until('more output', () => readFileSync(log, 'utf8').length > size);
    expect(await remove('kept')).toBe(204);
    for (let n = 0; n < count; n++) unlinkSync(join(data, `filler-${n}`));
    await works('after-inodes');
  });
});

describe('errors of the disk (EIO)', () => {
  const lacks = existsSync('/usr/bin/strace') ? '' : 'strace is not installed';
  // biome-ignore lint/suspicious/noConsole: a skip says why.
  if (lacks) console.warn(`not run: ${lacks}`);

  /** Every one of these calls on files of the data directory fails in that process until the promise's function is called. */
  async function failing(pid: number, calls: string, paths: readonly string[]): Promise<() => Promise<void>> {
    const options = [
      '-f',
      '-o',
      join(place, 'trace'),
      '-e',
      `inject=${calls}:error=EIO`,
      ...paths.flatMap((path) => ['-P', path]),
    ];
    const strace = spawnProgram('/usr/bin/strace', [...options, '-p', String(pid)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(strace.stderr ?? strace, 'data');
    return async () => {
      strace.kill('SIGINT');
      await once(strace, 'close');
    };
  }

  it.skipIf(lacks)('under the daemon fail what it does, with the file named, and nothing else', async () => {
    const before = await names();
    const stop = await failing(await daemon.daemonPid(), 'fsync,fdatasync', []);
    const failed = await create('eio', ['true']);
    expect(failed.status, failed.text()).toBe(500);
    expect(failed.text()).toMatch(/EIO|i\/o error|input\/output error/i);
    expect((await daemon.call('GET', '/_ping')).status).toBe(200);
    await stop();
    expect(await names()).toEqual(before);
    await works('after-eio');
  });
});

describe('a file system that went read-only after an error', () => {
  it('is said; what runs can be stopped; with the disk repaired all is there again', async () => {
    const kept = await running('survivor', 'i=0; while :; do echo line $i; i=$((i+1)); usleep 20000; done');
    execFileSync('mount', ['-o', 'remount,abort', data]);
    await until('a read-only file system', () => {
      try {
        writeFileSync(join(data, 'probe'), 'x');
        return false;
      } catch {
        return true;
      }
    });
    const failed = await create('refused', ['true']);
    expect(failed.status, failed.text()).toBe(500);
    expect(failed.text()).toMatch(/read-only file system|EROFS/i);
    expect(await names()).toContain('/survivor');
    expect(await names()).not.toContain('/refused');
    expect((await daemon.call('GET', '/info')).status).toBe(200);
    await until('words about lost lines', () => daemon.log().includes('lines of a container are missing in its log'));
    expect((await daemon.call('POST', '/containers/survivor/stop?t=0')).status).toBe(204);
    await until('its end', () => !existsSync(`/proc/${kept.pid}`));
    expect((await daemon.call('GET', '/containers/survivor/json')).json()).toMatchObject({
      State: { Status: 'exited', ExitCode: 137 },
    });

    const pid = await daemon.daemonPid();
    execFileSync('umount', ['-l', data]);
    try {
      execFileSync('e2fsck', ['-f', '-y', image()], { stdio: 'ignore' });
    } catch (error) {
      expect((error as { status: number }).status).toBe(1); // Repaired.
    }
    execFileSync('mount', ['-o', 'loop', image(), data]);
    process.kill(pid, 'SIGKILL');
    await until('another daemon', async () => (await daemon.daemonPid()) !== pid);
    await until(
      'its answer',
      async () => (await daemon.call('GET', '/_ping').catch(() => ({ status: 0 }))).status === 200,
    );
    expect((await daemon.call('GET', '/containers/survivor/json')).json()).toMatchObject({
      State: { Status: 'exited' },
    });
    const again = await daemon.call('POST', '/containers/survivor/start');
    expect(again.status, again.text()).toBe(204);
    expect(await remove('survivor')).toBe(204);
    await works('after-repair');
  });
});
