import { once } from 'node:events';
import { chmod, open, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeeperLink } from '../../src/engine/runtime/index.ts';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { RUNTIME } from '../kit/bundle.ts';
import { type TestKeeper, until } from '../kit/keeper.ts';
import { closeMonitorGround, collectOutput, MonitorCase, openMonitorGround } from '../kit/monitor-case.ts';

let keeper: TestKeeper;
let link: KeeperLink;
let base: string;
beforeEach(async () => {
  ({ keeper, link, base } = await openMonitorGround());
});
afterEach(() => closeMonitorGround({ keeper, link, base }));

/** A server that gives back what it gets. */
async function echoServer(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => void socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return { server, port: address.port };
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let answer = '';
  while (answer.length < text.length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    answer += chunk.toString();
  }
  return answer;
}

/** Another binary with the same content: what an upgrade brings. */
async function otherBinary(): Promise<string> {
  const path = join(base, 'tscompose-runtime');
  await writeFile(path, await readFile(RUNTIME));
  await chmod(path, 0o755);
  return path;
}

describe('an upgrade of the keeper', () => {
  it('goes unnoticed by a running container, its reader, an open connection, a sandbox and a held port', async () => {
    const { server, port: target } = await echoServer();
    const { path } = await link.createSandbox('one', { links: [], routes: [], sysctls: {}, names: false });
    const proxy = { address: '127.0.0.1', port: target };
    const held = await link.holdPort({ key: 'p', protocol: 'tcp', address: '::1', port: 0, proxy });
    const socket = connect(held.port, '::1');
    await once(socket, 'connect');
    expect(await ask(socket, 'before')).toBe('before');
    const before = await link.list();

    const script = `i=0; while [ ! -e ${base}/stop ]; do echo $i; i=$((i+1)); sleep 0.01; done; exit 5`;
    const one = await new MonitorCase(link, base, 'one').spawn(script);
    await using monitor = await one.connect();
    const output = collectOutput(monitor);
    await monitor.attach({ stdout: true });
    const { pid } = await monitor.start();

    const daemon = await keeper.daemon();
    await link.reexec(await otherBinary());
    await keeper.daemon(daemon.pid);
    link = await keeper.link();

    expect(await ask(socket, 'after')).toBe('after');
    const after = await link.list();
    expect(after).toMatchObject({ pid: before.pid, sandboxes: [{ name: 'one', path }], ports: before.ports });
    expect(after.children.map(({ pid: child }) => child)).toEqual([one.pid]);
    const fresh = connect(held.port, '::1');
    expect(await ask(fresh, 'a new connection')).toBe('a new connection');
    expect((await monitor.state()).pid).toBe(pid);
    const exits: number[] = [];
    link.onExit((exit) => exits.push(exit.pid));
    await writeFile(join(base, 'stop'), '');
    expect((await monitor.exit).exitCode).toBe(5);
    const numbers = output.stdout().trimEnd().split('\n').map(Number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    await until('the notice of its end', () => exits.includes(one.pid));
    for (const each of [socket, fresh]) each.destroy();
    await link.releasePort('p');
    server.close();
  });

  it('does not happen with a binary that would lose something: nothing is changed, and the reason is told', async () => {
    const held = await link.holdPort({ key: 'k', protocol: 'tcp', address: '127.0.0.1', port: 0, proxy: null });
    const { pid } = await keeper.daemon();
    const older = join(base, 'older');
    await writeFile(older, '#!/bin/sh\necho "usage: an older one" >&2\nexit 1\n');
    await chmod(older, 0o755);
    await expect(link.reexec(older)).rejects.toMatchObject({
      code: 'keeper/unsupported',
      message: expect.stringMatching(
        /older cannot take over from this version \(usage: an older one\); nothing was changed/,
      ),
    });
    await expect(link.reexec('/bin/false')).rejects.toMatchObject({ code: 'keeper/unsupported' });
    expect((await keeper.daemon()).pid).toBe(pid);
    expect((await link.list()).ports).toMatchObject([{ key: 'k', port: held.port }]);
  });

  it.each([
    ['garbage', 'not json', /json|parse|invalid/i],
    ['an unknown version', '{"version":99}', /version 99; this binary understands/],
    ['missing parts', '{"version":1}', /run_dir/],
    ['nothing', '', /./],
  ])('refuses a table with %s, and says so', async (_, text, reason) => {
    const file = join(base, 'table');
    await writeFile(file, text);
    for (const args of [
      ['keeper', '--check'],
      ['keeper', '--resume', '3'],
    ]) {
      const table = await open(file, 'r');
      const child = spawnProgram(RUNTIME, args, { stdio: ['ignore', 'ignore', 'pipe', table.fd] });
      let words = '';
      child.stderr?.on('data', (chunk: Buffer) => (words += chunk));
      const [status] = (await once(child, 'close')) as [number];
      await table.close();
      expect(status, words).toBe(1);
      expect(words).toMatch(reason);
      if (args.includes('--resume')) expect(words).toContain('cannot take up what the old keeper held');
    }
    expect((await runProgram(RUNTIME, ['keeper', '--check'])).status).not.toBe(0);
  });
});
