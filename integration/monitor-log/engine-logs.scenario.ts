import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

async function start(name: string, command: readonly string[], log: Record<string, string>): Promise<void> {
  const host = { LogConfig: { Type: 'json-file', Config: log } };
  const made = await daemon.call('POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: command,
    HostConfig: host,
  });
  expect(made.status, made.text()).toBe(201);
  expect((await daemon.call('POST', `/containers/${name}/start`)).status).toBe(204);
}

/** Payloads of the frames of a log answer, joined. */
function textOf(body: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 4);
    parts.push(body.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString();
}

async function logs(name: string, query = ''): Promise<string> {
  const answer = await daemon.call('GET', `/containers/${name}/logs?stdout=1&stderr=1${query}`);
  expect(answer.status).toBe(200);
  return textOf(answer.body);
}

const numbers = (first: number, last: number) =>
  `${Array.from({ length: last - first + 1 }, (_, n) => first + n).join('\n')}\n`;

it('a settled monitor rotates and compresses, and all of the log is read back', async () => {
  await start('many', ['sh', '-c', 'sleep 0.3; seq 100000; exec sleep 1000'], {
    'max-size': '1m',
    'max-file': '20',
    compress: 'true',
  });
  await until('the last line', async () => (await logs('many', '&tail=1')) === '100000\n');
  const { LogPath } = (await daemon.call('GET', '/containers/many/json')).json<{ LogPath: string }>();
  const files = () => readdirSync(dirname(LogPath)).filter((name) => name.includes('-json.log'));
  await until(
    'all to be compressed',
    () => files().every((name) => name.endsWith('.gz') || name.endsWith('.log')),
    30_000,
  );
  expect(files().filter((name) => name.endsWith('.gz')).length).toBeGreaterThan(5);
  expect(await logs('many')).toBe(numbers(1, 100_000));
  expect(await logs('many', '&tail=60000')).toBe(numbers(40_001, 100_000));
  expect((await daemon.call('DELETE', '/containers/many?force=1')).status).toBe(204);
});

it('the daemon says when a full disk cost lines, and the container and its waiters do not suffer', async () => {
  const made = await daemon.call('POST', '/containers/create?name=full', { Image: 'busybox', Cmd: ['seq', '100000'] });
  expect(made.status, made.text()).toBe(201);
  const { LogPath } = (await daemon.call('GET', '/containers/full/json')).json<{ LogPath: string }>();
  // The log alone is on a disk of 256 KiB.
  const small = join(daemon.directory, 'small');
  const prepare = `mkdir "$1" && mount -t tmpfs -o size=256k tmpfs "$1" && touch "$1/log" "$2" && mount --bind "$1/log" "$2"`;
  const prepared = await runProgram('/bin/sh', ['-c', prepare, 'sh', small, LogPath]);
  expect(prepared.status, prepared.stderr).toBe(0);
  try {
    expect((await daemon.call('POST', '/containers/full/start')).status).toBe(204);
    expect((await daemon.call('POST', '/containers/full/wait')).json()).toMatchObject({ StatusCode: 0 });
    expect(daemon.log()).toContain('lines of a container are missing in its log');
    expect(numbers(1, 100_000).startsWith((await logs('full')).slice(0, 10_000))).toBe(true);
  } finally {
    await runProgram('/bin/umount', ['-l', LogPath, small]);
  }
  expect((await daemon.call('DELETE', '/containers/full?force=1')).status).toBe(204);
});

it('refuses to compress a log of one file', async () => {
  const host = { LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', compress: 'true' } } };
  const made = await daemon.call('POST', '/containers/create', { Image: 'busybox', HostConfig: host });
  expect(made.status).toBe(400);
  expect(made.text()).toContain('log option compress needs max-file of at least 2');
});

it('200 attached clients that never read cost the daemon little, and others are served', async () => {
  await start('floods', ['yes'], { 'max-size': '1m', 'max-file': '2' });
  const pid = await daemon.daemonPid();
  const resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  const before = resident();
  const lines = [
    'POST /v1.44/containers/floods/attach?stream=1&stdout=1 HTTP/1.1',
    'Host: docker',
    'Connection: Upgrade',
    'Upgrade: tcp',
  ];
  const sockets = Array.from({ length: 200 }, () => {
    const socket = connect(daemon.socket).pause();
    socket.on('error', () => undefined);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    return socket;
  });
  let highest = before;
  for (let turn = 0; turn < 15; turn++) {
    await delay(200);
    highest = Math.max(highest, resident());
    expect((await daemon.call('GET', '/_ping')).status).toBe(200);
  }
  expect(highest - before, 'MiB').toBeLessThan(100);
  for (const socket of sockets) socket.destroy();
  expect((await daemon.call('DELETE', '/containers/floods?force=1')).status).toBe(204);
});
