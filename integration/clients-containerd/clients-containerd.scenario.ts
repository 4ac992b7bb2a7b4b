import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunResult, runProgram, spawnProgram } from '../../src/host/index.ts';
import { PAYLOAD, RUNTIME } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { peer } from '../kit/peers.ts';
import { openTerminal } from '../kit/terminal.ts';

/** Debian's containerd 1.6: its runc shim calls our binary. Everything of it is in a directory of our own. */
const found = await peer('containerd-1');
const programs = 'path' in found ? dirname(found.path) : '';
const directory = mkdtempSync('/tmp/tsc-ctd-');
const rootfs = join(directory, 'rootfs');
const socket = join(directory, 'c.sock');
const environment = { PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: directory };
const client = [join(programs, 'ctr'), '--address', socket];
const how = ['--runc-binary', RUNTIME, '--rootfs', rootfs];

function ctr(...args: string[]): Promise<RunResult> {
  const [program = '', ...words] = client;
  return runProgram(program, [...words, ...args], { environment, signal: AbortSignal.timeout(30_000) });
}

let stop = (): Promise<unknown> => Promise.resolve();

beforeAll(async () => {
  if (programs === '') return;
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  cpSync(PAYLOAD, join(rootfs, 'bin/payload'));
  const configuration = `
version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "${socket}"
[ttrpc]
address = "${directory}/t.sock"
`;
  writeFileSync(join(directory, 'config.toml'), configuration);
  const daemon = spawnProgram(join(programs, 'containerd'), ['--config', join(directory, 'config.toml')], {
    env: environment,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => daemon.on('close', resolve));
  stop = () => {
    daemon.kill('SIGTERM');
    return ended;
  };
  await until('containerd', async () => existsSync(socket) && (await ctr('version')).status === 0);
});

afterAll(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(programs === '')('containerd 1.6', () => {
  test('runs a container and passes output, status and errors', async () => {
    expect(await ctr('run', '--rm', ...how, 'one', '/bin/payload', 'echo', 'hello', 'exit', '4')).toMatchObject({
      status: 4,
      stdout: 'hello\n',
    });
    const missing = await ctr('run', '--rm', ...how, 'two', '/nonexistent');
    expect(missing.stderr).toContain('cannot execute /nonexistent: No such file or directory');
  });

  test('lives with one: exec, list, figures, pause, resume, kill, remove', async () => {
    const task = (...args: string[]) => ctr('task', ...args);
    const status = async () => (await task('ls')).stdout.match(/^life\s+\d+\s+(\w+)/m)?.[1];
    expect(await ctr('run', '--detach', ...how, 'life', '/bin/payload', 'pause')).toMatchObject({ status: 0 });
    expect(await status()).toBe('RUNNING');
    expect(await task('exec', '--exec-id', 'e1', 'life', '/bin/payload', 'echo', 'inside', 'exit', '5')).toMatchObject({
      status: 5,
      stdout: 'inside\n',
    });
    expect((await task('ps', 'life')).stdout).toMatch(/^\d+\s/m);
    expect((await task('metrics', 'life')).stdout).toMatch(/memory/);
    expect(await task('pause', 'life')).toMatchObject({ status: 0 });
    expect(await status()).toBe('PAUSED');
    expect(await task('resume', 'life')).toMatchObject({ status: 0 });
    expect(await task('kill', '--signal', 'KILL', 'life')).toMatchObject({ status: 0 });
    await until('the end', async () => (await status()) === 'STOPPED');
    await task('rm', 'life');
    expect(await ctr('container', 'rm', 'life')).toMatchObject({ status: 0 });
  });

  test('gives a terminal', async () => {
    const session = openTerminal(
      [...client, 'run', '--rm', '--tty', ...how, 'tty', '/bin/payload', 'tty', 'stdin', 'exit', '3'],
      { environment, rows: 30, columns: 90 },
    );
    await session.waitFor(/tty 1 1 1 /);
    // Read before the end: the shim closes its side of the terminal when the process ends, with what is still in it.
    session.type('word\n');
    await session.waitFor(/word\r+\nword/);
    session.type('\x04');
    expect(await session.ended).toBe(3);
  });
});
