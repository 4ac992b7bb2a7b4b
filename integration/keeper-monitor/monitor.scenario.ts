import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeFrame, FRAME, type KeeperLink } from '../../src/engine/runtime/index.ts';
import { connectUnix, pathExists } from '../../src/host/index.ts';
import { isAlive, type TestKeeper, until } from '../kit/keeper.ts';
import {
  closeMonitorGround,
  collectOutput,
  FAKE_RUNTIME,
  MonitorCase,
  openMonitorGround,
} from '../kit/monitor-case.ts';

describe('monitor', () => {
  let keeper: TestKeeper;
  let link: KeeperLink;
  let base: string;
  let count = 0;
  const make = () => new MonitorCase(link, base, `case${++count}`);

  beforeEach(async () => {
    ({ keeper, link, base } = await openMonitorGround());
  });
  afterEach(() => closeMonitorGround({ keeper, link, base }));

  it('holds the process until start, keeps its output and tells its end after the last of it', async () => {
    const one = await make().spawn('echo out; echo err >&2; exit 7');
    await using monitor = await one.connect();
    expect(await monitor.state()).toMatchObject({ state: 'created' });
    const output = collectOutput(monitor);
    await monitor.attach({ stdout: true, stderr: true });
    const exited = Promise.withResolvers<number>();
    link.onExit((exit) => exit.pid === one.pid && exited.resolve(exit.exitCode));
    expect((await monitor.start()).pid).toBeGreaterThan(1);
    const record = await monitor.exit;
    expect(record).toMatchObject({ id: one.name, exitCode: 7, signal: null, oomKilled: false, error: null });
    expect([output.stdout(), output.stderr()]).toEqual(['out\n', 'err\n']);
    expect(await one.exitRecord()).toEqual(record);
    expect(await one.logged()).toBe('out\n');
    expect(await one.logged('stderr')).toBe('err\n');
    expect(record.startedAt && record.startedAt < record.finishedAt).toBe(true);
    expect(await exited.promise).toBe(0);
    expect((await readdir(join(one.directory, 'run'))).sort()).toEqual(['exit.json', 'pid']);
    expect(await pathExists(join(one.directory, 'root', one.name))).toBe(false);
  });

  it('reports a failing create with the words of the runtime and leaves nothing', async () => {
    const one = make();
    await mkdir(join(one.directory, 'bundle'), { recursive: true });
    await writeFile(join(one.directory, 'bundle/create-fails'), '');
    await expect(one.spawn('true')).rejects.toMatchObject({
      code: 'monitor/failed',
      message: 'create failed: no such thing',
    });
    const two = make();
    await mkdir(join(two.directory, 'bundle'), { recursive: true });
    await writeFile(join(two.directory, 'bundle/create-mutters'), '');
    await expect(two.spawn('true')).rejects.toMatchObject({ message: 'words on stderr' });
    for (const each of [one, two]) expect(await readdir(join(each.directory, 'run'))).toEqual([]);
    await until('the monitors to go', async () => (await link.list()).children.length === 0);
  });

  it('refuses what it does not offer, and a second monitor in the same directory', async () => {
    await expect(make().spawn('true', { log: { path: '/tmp/x', compress: true } })).rejects.toMatchObject({
      code: 'monitor/invalid',
      message: expect.stringContaining('log.compress: needs max_size'),
    });
    await expect(make().spawn('true', { kind: 'pod' })).rejects.toMatchObject({ code: 'monitor/invalid' });
    const one = await make().spawn('true');
    await expect(one.spawn('true')).rejects.toMatchObject({ code: 'monitor/in-use' });
    await using monitor = await one.connect();
    await monitor.start();
    expect((await monitor.exit).exitCode).toBe(0);
  });

  it('records a failing start', async () => {
    const one = await make().spawn('true');
    await writeFile(join(one.directory, 'root/start-fails'), '');
    await using monitor = await one.connect();
    await expect(monitor.start()).rejects.toThrow('No such file');
    expect(await monitor.exit).toMatchObject({ exitCode: 127, error: 'exec nothing: No such file or directory' });
  });

  it('runs an exec only at start, and records one that cannot run', async () => {
    const one = make();
    const script = join(base, 'process');
    await writeFile(script, 'echo in exec; exit 3');
    await one.spawn('', { kind: 'exec', process: script, log: null });
    await using monitor = await one.connect();
    const output = collectOutput(monitor);
    await monitor.attach({ stdout: true });
    expect(await monitor.state()).toMatchObject({ state: 'created', pid: 0 });
    await monitor.start();
    expect(await monitor.exit).toMatchObject({ exitCode: 3 });
    expect(output.stdout()).toBe('in exec\n');

    const two = await make().spawn('', { kind: 'exec', process: '/nonexistent/process', log: null });
    await using second = await two.connect();
    await expect(second.start()).rejects.toThrow('cannot open /nonexistent/process');
    expect(await second.exit).toMatchObject({ exitCode: 127, startedAt: null });
  });

  it('answers the start of a process that ends at once', async () => {
    for (let round = 0; round < 20; round++) {
      const one = make();
      const script = join(base, 'quick');
      await writeFile(script, 'exit 5');
      await one.spawn('', { kind: 'exec', process: script, log: null });
      await using monitor = await one.connect();
      expect((await monitor.start()).pid).toBeGreaterThan(1);
      expect(await monitor.exit).toMatchObject({ exitCode: 5, error: null });
    }
  });

  it('feeds stdin with backpressure and closes it at the end', async () => {
    const one = await make().spawn('sleep 0.2; cat', { stdin: true });
    await using monitor = await one.connect();
    const output = collectOutput(monitor);
    await monitor.attach({ stdin: true, stdout: true });
    await monitor.start();
    const block = Buffer.alloc(1 << 20, 'abcdefg\n');
    for (let n = 0; n < 4; n++) await monitor.writeStdin(block);
    monitor.endStdin();
    expect((await monitor.exit).exitCode).toBe(0);
    expect(output.stdout() === block.toString().repeat(4)).toBe(true);
  });

  it('closes stdin when the first client is gone, if asked', async () => {
    const one = await make().spawn('cat; echo end', { stdin: true, stdin_once: true });
    await using watcher = await one.connect();
    {
      await using monitor = await one.connect();
      await monitor.attach({ stdin: true });
      await watcher.attach({ stdout: true });
      await monitor.start();
      await monitor.writeStdin('last words\n');
    }
    const output = collectOutput(watcher);
    expect((await watcher.exit).exitCode).toBe(0);
    expect(await one.logged()).toBe('last words\nend\n');
    expect(output.stdout()).toMatch(/end\n$/);
  });

  it('cuts a reader off that takes nothing for ten seconds, and goes on', async () => {
    const one = await make().spawn('head -c 8000000 /dev/zero | tr "\\0" x; echo; echo done');
    await using stuck = await one.connect();
    await using quick = await one.connect();
    await stuck.attach({ stdout: true });
    stuck.pause();
    await quick.start();
    expect((await quick.exit).exitCode).toBe(0);
    expect((await one.logged()).length).toBe(8_000_000 + 6);
    stuck.resume();
    await expect(stuck.exit).rejects.toMatchObject({ code: 'monitor/unavailable' });
  });

  it('holds the output back for a reader that is slow, and loses nothing', async () => {
    const one = await make().spawn('head -c 8000000 /dev/zero | tr "\\0" x; echo; echo done');
    await using slow = await one.connect();
    let bytes = 0;
    slow.onOutput(async (frame) => {
      bytes += frame.payload.length;
      slow.pause();
      await delay(1);
      slow.resume();
    });
    await slow.attach({ stdout: true });
    await slow.start();
    expect((await slow.exit).exitCode).toBe(0);
    expect(bytes).toBe(8_000_000 + 6);
  });

  it('loses none of 500,000 lines, in the log and to a reader', async () => {
    const one = await make().spawn('seq 500000');
    await using monitor = await one.connect();
    let bytes = 0;
    monitor.onOutput((frame) => {
      bytes += frame.payload.length;
    });
    await monitor.attach({ stdout: true });
    await monitor.start();
    await monitor.exit;
    const wanted = `${Array.from({ length: 500_000 }, (_, n) => n + 1).join('\n')}\n`;
    expect(bytes).toBe(wanted.length);
    expect((await one.logged()) === wanted).toBe(true);
  });

  it('rotates by size and keeps the number of files asked for', async () => {
    const log = { max_size: 10_000, max_file: 3 };
    const one = make();
    await one.spawn('seq 1000', { log: { path: one.logPath, ...log } });
    await using monitor = await one.connect();
    await monitor.start();
    await monitor.exit;
    const logged = await one.logged('stdout', 2);
    expect(`${Array.from({ length: 1000 }, (_, n) => n + 1).join('\n')}\n`.endsWith(logged)).toBe(true);
    expect((await readdir(one.directory)).filter((name) => name.startsWith('log')).sort()).toEqual([
      'log',
      'log.1',
      'log.2',
    ]);
    for (const old of ['log.1', 'log.2']) {
      const size = (await readFile(join(one.directory, old))).length;
      expect(size).toBeGreaterThanOrEqual(10_000);
      expect(size).toBeLessThan(10_100);
    }
  });

  it('does not wait for a daemonised grandchild that holds the output', async () => {
    const one = await make().spawn('sleep 30 & echo $!; exit 0');
    await using monitor = await one.connect();
    await monitor.start();
    expect((await monitor.exit).exitCode).toBe(0);
    process.kill(Number(await one.logged()), 'SIGKILL');
  });

  it('signals the process, and only while it runs', async () => {
    const one = await make().spawn('exec sleep 30');
    await using monitor = await one.connect();
    await monitor.start();
    await expect(monitor.resize(10, 10)).rejects.toMatchObject({ code: 'monitor/invalid' });
    await monitor.kill(15);
    expect(await monitor.exit).toMatchObject({ exitCode: 143, signal: 15 });
  });

  it('takes any bytes from a client without harm', async () => {
    const one = await make().spawn('exec sleep 30', { stdin: true });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (bytes, framed) => {
        const socket = await connectUnix(join(one.directory, 'run/m.sock'));
        socket.on('error', () => undefined).resume();
        socket.end(framed ? encodeFrame(FRAME.request, bytes) : bytes);
        socket.destroySoon();
        await once(socket, 'close');
      }),
      { numRuns: 200 },
    );
    await using monitor = await one.connect();
    for (const request of [
      '{}',
      '[]',
      '{"id":1}',
      '{"id":-1,"op":"state"}',
      '{"id":1,"op":7}',
      '{"id":1e99,"op":"state"}',
    ]) {
      const socket = await connectUnix(join(one.directory, 'run/m.sock'));
      socket.on('error', () => undefined).resume();
      socket.end(encodeFrame(FRAME.request, request));
    }
    expect(await monitor.state()).toMatchObject({ state: 'created' });
    await monitor.start();
    await monitor.kill(9);
    expect((await monitor.exit).signal).toBe(9);
  });

  it('drops a client that breaks the protocol and serves the others', async () => {
    const one = await make().spawn('exec sleep 30');
    await using rude = await one.connect();
    await using monitor = await one.connect();
    await monitor.start();
    await rude.writeStdin('not attached');
    await rude.closed;
    expect(await monitor.state()).toMatchObject({ state: 'running' });
    await monitor.kill(9);
    expect((await monitor.exit).signal).toBe(9);
  });

  it.each([3, 60])(
    'mounts the overlay of %i layers for a runtime that does not know it, out of sight of the host',
    async (count) => {
      const one = make();
      const bundle = join(one.directory, 'bundle');
      const lower = Array.from({ length: count }, (_, n) => join(one.directory, 'layer'.repeat(20), `${n}`));
      for (const directory of [
        ...lower,
        join(one.directory, 'upper'),
        join(one.directory, 'work'),
        join(bundle, 'rootfs'),
      ])
        await mkdir(directory, { recursive: true });
      for (const [n, directory] of lower.entries()) {
        await writeFile(join(directory, `from${n}`), '');
        await writeFile(join(directory, 'same'), `${n}`);
      }
      const overlay = { lower, upper: join(one.directory, 'upper'), work: join(one.directory, 'work') };
      const annotations = { 'dev.tscompose.overlay': JSON.stringify(overlay) };
      await writeFile(join(bundle, 'config.json'), JSON.stringify({ root: { path: 'rootfs' }, annotations }));
      await one.spawn(`cd ${bundle}/rootfs; ls | wc -l; cat same; echo new >made`);
      await using monitor = await one.connect();
      await monitor.start();
      expect((await monitor.exit).exitCode).toBe(0);
      expect(await one.logged()).toBe(`${count + 1}\n0`);
      expect(await readFile(join(one.directory, 'upper/made'), 'utf8')).toBe('new\n');
      expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(one.directory);
    },
  );

  it('outlives its daemon, and lets a long path be used', async () => {
    const long = join(base, 'long'.repeat(30));
    await mkdir(long);
    await copyFile(FAKE_RUNTIME, join(long, 'fake'));
    await symlink(long, join(base, 'short'));
    const one = await new MonitorCase(link, long, 'far').spawn('echo before; read -r line; echo "got $line"', {
      stdin: true,
    });
    {
      await using monitor = await one.connect();
      await monitor.start();
    }
    const daemon = await keeper.daemon();
    process.kill(daemon.pid, 'SIGKILL');
    await keeper.daemon(daemon.pid);
    link = await keeper.link();
    expect((await link.list()).children).toMatchObject([{ pid: one.pid }]);
    expect(await isAlive(one.pid)).toBe(true);
    await using monitor = await one.connect();
    await monitor.attach({ stdin: true });
    await monitor.writeStdin('on\n');
    expect((await monitor.exit).exitCode).toBe(0);
    expect(await one.logged()).toBe('before\ngot on\n');
  });
});
