import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeeperLink } from '../../src/engine/runtime/index.ts';
import { connectUnix, pathExists, runProgram, spawnProgram } from '../../src/host/index.ts';
import { RUNTIME } from '../kit/bundle.ts';
import { identityOf, isAlive, killIfThere, TestKeeper, until } from '../kit/keeper.ts';

const EMPTY_SANDBOX = { links: [], routes: [], sysctls: {}, names: true };

/** What a name server inside the namespace at `path` answers for `name`, or the error code. */
async function resolveInside(path: string, name: string): Promise<string> {
  const script = `const r = new (require('node:dns').promises.Resolver)({ timeout: 500, tries: 4 });
    r.setServers(['127.0.0.11']); r.resolve4('${name}').then((a) => console.log(a.join()), (e) => console.log(e.code))`;
  const result = await runProgram('/usr/bin/nsenter', [`--net=${path}`, process.execPath, '-e', script]);
  return result.stdout.trim() || result.stderr.trim();
}

/** All until the peer's end; the socket stays open for writing. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'end');
  return text;
}

async function listening(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('keeper', () => {
  let keeper: TestKeeper;
  let link: KeeperLink;

  beforeEach(async () => {
    keeper = await TestKeeper.start();
    link = await keeper.link();
  });
  afterEach(() => keeper.stop());

  it('gives the daemon a clean place', async () => {
    const facts = await keeper.daemon();
    expect(facts).toMatchObject({ cwd: '/', umask: 0o022, env: ['LANG', 'PATH', 'TSCOMPOSE_KEPT'] });
    expect((await stat(keeper.socketPath)).mode & 0o777).toBe(0o600);
    (await connectUnix(keeper.socketPath)).destroy();
    expect((await readdir(keeper.directory)).filter((name) => name.startsWith('.'))).toEqual([]);
    const session = (pid: number) => readFile(`/proc/${pid}/stat`, 'utf8').then((text) => text.split(' ')[5]);
    expect(await session(facts.pid)).toBe(String(facts.pid));
  });

  it('in the background leaves session and cgroups of its caller', async () => {
    const background = await TestKeeper.start({ background: true });
    try {
      const { pid } = await background.daemon();
      const session = (await readFile(`/proc/${background.pid}/stat`, 'utf8')).split(' ')[5];
      expect(session).toBe(String(background.pid));
      for (const each of [background.pid, pid]) {
        const groups = (await readFile(`/proc/${each}/cgroup`, 'utf8')).trim().split('\n');
        expect(groups.filter((line) => !line.endsWith(':/'))).toEqual([]);
      }
    } finally {
      await background.stop();
    }
  });

  it('refuses a second keeper and names the first', async () => {
    const second = await TestKeeper.start({ directory: keeper.directory });
    expect(await second.ended).toBe(1);
    expect(second.output).toContain(`${keeper.directory} is held by another keeper, pid ${keeper.pid}`);
    (await connectUnix(keeper.socketPath)).destroy();
    expect((await link.list()).pid).toBe(keeper.pid);
  });

  it('runs programs side by side', async () => {
    const sh = (script: string, stdin?: string) =>
      link.run({ file: '/bin/sh', args: ['-c', script], ...(stdin !== undefined && { stdin }) });
    const results = await Promise.all([
      sh('cat; echo no >&2; exit 4', 'größe\n'),
      sh('kill -9 $$'),
      sh('wc -c', 'x'.repeat(3_000_000)),
      sh('exit 0', 'x'.repeat(200_000)),
      ...Array.from({ length: 20 }, (_, n) => sh(`echo ${n}`)),
    ]);
    expect(results[0]).toEqual({ status: 4, stdout: 'größe\n', stderr: 'no\n' });
    expect(results[1]?.status).toBe(137);
    expect(results[2]?.stdout).toBe('3000000\n');
    expect(results.slice(4).map((result) => result.stdout.trim())).toEqual(
      Array.from({ length: 20 }, (_, n) => `${n}`),
    );
    await expect(sh('head -c 2000000 /dev/zero')).rejects.toMatchObject({ code: 'keeper/exhausted' });
    await expect(link.run({ file: '/no/such', args: [] })).rejects.toMatchObject({ code: 'keeper/not-found' });
    await expect(link.run({ file: 'sh', args: [] })).rejects.toMatchObject({ code: 'keeper/invalid' });
    expect((await link.run({ args: ['keeper'] })).stderr).toContain('usage: tscompose-runtime keeper');
  });

  it('kills the process that is meant, not a later one with its number', async () => {
    const sleeper = spawnProgram('/bin/sleep', ['1000']);
    const ended = once(sleeper, 'exit');
    const { pid, startTime } = await identityOf(sleeper.pid ?? 0);
    for (const other of [startTime - 1, startTime + 1, 0]) await link.kill({ pid, startTime: other });
    expect(await isAlive(pid)).toBe(true);
    await link.kill({ pid, startTime });
    expect(await ended).toEqual([null, 'SIGKILL']);
    await link.kill({ pid, startTime });
  });

  it('ends what takes too long, and goes on', async () => {
    const slow = { file: '/bin/sleep', args: ['1000'], timeout_ms: 200 };
    await expect(link.run(slow)).rejects.toMatchObject({
      code: 'keeper/timeout',
      message: expect.stringContaining('did not end in time'),
    });
    const fifo = join(keeper.directory, 'fifo');
    await runProgram('/usr/bin/mkfifo', [fifo]);
    // A monitor whose orders never come.
    const stuck = link.spawn(['monitor', fifo], 'monitor', { timeout_ms: 200 });
    await expect(stuck).rejects.toThrow('did not report in time');
    expect((await link.run({ file: '/bin/echo', args: ['fine'] })).stdout).toBe('fine\n');
    expect((await link.list()).children).toEqual([]);
  });

  it('keeps a held port from others while no daemon runs', async () => {
    const { port } = await link.holdPort({ key: 'k', protocol: 'tcp', address: '127.0.0.1', port: 0, proxy: null });
    const { pid } = await keeper.daemon();
    killIfThere(pid);
    await until('its end', async () => !(await isAlive(pid)));
    const taker = createServer();
    taker.listen(port, '127.0.0.1');
    const [refusal] = (await once(taker, 'error')) as [NodeJS.ErrnoException];
    expect(refusal.code).toBe('EADDRINUSE');
    await keeper.daemon(pid);
  });

  it('says when a child ends without a report', async () => {
    const exits: number[] = [];
    link.onExit((exit) => exits.push(exit.exitCode));
    await expect(link.spawn(['keeper'])).rejects.toThrow(/ended without a report/);
    await until('the exit notice', () => exits.length === 1);
    expect(exits).toEqual([1]);
  });

  it('holds ports and says when one is taken', async () => {
    const hold = (key: string, address: string, port: number, protocol: 'tcp' | 'udp' = 'tcp') =>
      link.holdPort({ key, protocol, address, port, proxy: null });
    const { port } = await hold('a', '127.0.0.1', 0);
    await expect(hold('b', '127.0.0.1', port)).rejects.toMatchObject({ code: 'network/in-use' });
    await expect(hold('c', '0.0.0.0', port)).rejects.toMatchObject({ code: 'network/in-use' });
    await expect(hold('a', '127.0.0.1', 0)).rejects.toMatchObject({ code: 'network/conflict' });
    await expect(hold('d', '203.0.113.9', 80)).rejects.toMatchObject({ code: 'network/invalid' });
    await expect(hold('e', 'localhost', 80)).rejects.toMatchObject({ code: 'network/invalid' });
    expect((await hold('f', '::1', port)).port).toBe(port);
    expect((await hold('g', '127.0.0.1', port, 'udp')).port).toBe(port);
    await link.releasePort('a');
    await link.releasePort('never held');
    expect((await hold('b', '127.0.0.1', port)).port).toBe(port);
    expect((await link.list()).ports.map((each) => each.key).sort()).toEqual(['b', 'f', 'g']);
  });

  it('serves a proxied tcp port with half-close, and a refused target like a closed port', async () => {
    const server = createServer({ allowHalfOpen: true }, async (socket) => {
      const text = await readAll(socket);
      socket.end(`${text.length} bytes, ${socket.remoteAddress}`);
    });
    const target = await listening(server);
    const { port } = await link.holdPort({
      key: 'p',
      protocol: 'tcp',
      address: '::1',
      port: 0,
      proxy: { address: '127.0.0.1', port: target },
    });
    const ask = async (size: number) => {
      const socket = connect({ port, host: '::1', allowHalfOpen: true });
      socket.end('x'.repeat(size));
      return readAll(socket);
    };
    expect(await Promise.all([1, 70_000, 5_000_000].map(ask))).toEqual([
      '1 bytes, 127.0.0.1',
      '70000 bytes, 127.0.0.1',
      '5000000 bytes, 127.0.0.1',
    ]);
    server.close();
    await once(server, 'close');
    await expect(ask(1)).rejects.toThrow(/ECONNRESET/);
    await link.releasePort('p');
    await expect(ask(1)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('net connect dials into a sandbox, with half-close, and says what keeps it out', async () => {
    const { path } = await link.createSandbox('dialled', EMPTY_SANDBOX);
    const serve = `require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
      let size = 0; socket.on('data', (chunk) => { size += chunk.length; }).on('end', () => socket.end(size + ' bytes'));
    }).listen(7000, '127.0.0.1', () => console.log('listening'))`;
    const server = spawnProgram('/usr/bin/nsenter', [`--net=${path}`, process.execPath, '-e', serve], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      if (server.stdout) await once(server.stdout, 'data');
      const dial = (request: object, input = '') =>
        runProgram(RUNTIME, ['net', 'connect', JSON.stringify(request)], { input });
      const inside = { namespace: path, address: '127.0.0.1', port: 7000 };
      expect(await dial(inside, 'x'.repeat(300_000))).toMatchObject({ status: 0, stdout: '300000 bytes', stderr: '' });
      for (const [request, says] of [
        [{ ...inside, port: 7001 }, 'cannot connect to 127.0.0.1:7001: Connection refused'],
        [{ ...inside, address: 'localhost' }, "'localhost' is not an IPv4 address"],
        [{ ...inside, namespace: '/proc/self/ns/uts' }, 'cannot enter the network namespace /proc/self/ns/uts'],
      ] as const)
        expect(await dial(request)).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining(says) });
    } finally {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
  });

  it('serves a proxied udp port, keeping clients apart', async () => {
    const server = createSocket('udp4', (message, from) => server.send(`${message} ${from.port}`, from.port));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = await link.holdPort({
      key: 'p',
      protocol: 'udp',
      address: '::1',
      port: 0,
      proxy: { address: '127.0.0.1', port: server.address().port },
    });
    const ask = async (text: string) => {
      const socket = createSocket('udp6');
      socket.send(text, port, '::1');
      const [message] = (await once(socket, 'message')) as [Buffer];
      socket.close();
      return message.toString();
    };
    const answers = await Promise.all(['one', 'two'].map(ask));
    expect(answers.map((answer) => answer.split(' ')[0])).toEqual(['one', 'two']);
    expect(new Set(answers.map((answer) => answer.split(' ')[1])).size).toBe(2);
    server.close();
  });

  it('keeps sandboxes, ports and names while the daemon is killed and while itself is replaced', async () => {
    const { path } = await link.createSandbox('one', EMPTY_SANDBOX);
    await expect(link.createSandbox('one', EMPTY_SANDBOX)).rejects.toMatchObject({ code: 'network/conflict' });
    await link.publishZone('net1', { web: ['172.30.9.9'] });
    await link.publishNames({ name: 'one', zones: ['net1'], extra: {}, upstreams: [], internal: true, search: [] } as {
      name: string;
    });
    const { port } = await link.holdPort({ key: 'k', protocol: 'tcp', address: '127.0.0.1', port: 0, proxy: null });
    const namespace = await readlink(path);
    expect(namespace).toMatch(/^net:/);
    expect(await resolveInside(path, 'web')).toBe('172.30.9.9');

    const checkAll = async () => {
      const held = await link.list();
      expect(held).toMatchObject({ pid: keeper.pid, instance: 'tsctest', sandboxes: [{ name: 'one', path }] });
      expect(held.ports).toMatchObject([{ key: 'k', port }]);
      expect(await readlink(path)).toBe(namespace);
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.destroy();
      expect(await resolveInside(path, 'web')).toBe('172.30.9.9');
    };
    let daemon = await keeper.daemon();
    killIfThere(daemon.pid);
    daemon = await keeper.daemon(daemon.pid);
    link = await keeper.link();
    await checkAll();

    const other = join(keeper.directory, 'other-binary');
    await symlink(RUNTIME, other);
    await expect(link.reexec(join(keeper.directory, 'missing'))).rejects.toMatchObject({ code: 'keeper/not-found' });
    await link.reexec(other);
    daemon = await keeper.daemon(daemon.pid);
    link = await keeper.link();
    await checkAll();
    await expect(link.createSandbox('one', EMPTY_SANDBOX)).rejects.toMatchObject({ code: 'network/conflict' });

    await link.removeSandbox('one');
    await link.removeSandbox('one');
    await link.publishZone('net1', null);
    expect((await link.list()).sandboxes).toEqual([]);
  });

  it('starts a name server that died again and tells it everything', async () => {
    const { path } = await link.createSandbox('one', EMPTY_SANDBOX);
    await link.publishZone('net1', { db: ['172.30.9.8'] });
    await link.publishNames({ name: 'one', zones: ['net1'], upstreams: [], internal: true } as { name: string });
    expect(await resolveInside(path, 'db')).toBe('172.30.9.8');
    const namesPid = async () => (await link.list()).names_pid;
    const first = await namesPid();
    killIfThere(first);
    await until('another name server', async () => ![0, first].includes(await namesPid()));
    expect(await resolveInside(path, 'db')).toBe('172.30.9.8');
  });

  it('starts a daemon again that ends without leave, more slowly each time', async () => {
    const times: number[] = [];
    let daemon = await keeper.daemon();
    for (let round = 0; round < 3; round++) {
      const before = performance.now();
      await keeper.endDaemon();
      daemon = await keeper.daemon(daemon.pid);
      times.push(performance.now() - before);
    }
    expect(times[2]).toBeGreaterThan(400);
    expect(times[0]).toBeLessThan(400);
  });

  it('begins only when what a killed keeper had run has ended: it may still change the host', async () => {
    const { directory } = keeper;
    const before = await keeper.daemon();
    const script = `touch ${directory}/begun; until test -e ${directory}/go; do sleep 0.02; done; sleep 0.3; touch ${directory}/late`;
    void link.run({ file: '/bin/sh', args: ['-c', script] }).catch(() => undefined);
    await until('the program', () => pathExists(join(directory, 'begun')));
    process.kill(keeper.pid, 'SIGKILL');
    await keeper.ended;
    keeper = await TestKeeper.start({ directory });
    const holder = async () => (await readFile(join(directory, 'lock'), 'utf8')).trim();
    await until('the next keeper', async () => (await holder()) === String(keeper.pid));
    await writeFile(join(directory, 'go'), '');
    await keeper.daemon(before.pid);
    expect(await pathExists(join(directory, 'late'))).toBe(true);
  });

  it('ends what a killed daemon had run before the next begins', async () => {
    const { pid } = await keeper.daemon();
    const file = join(keeper.directory, 'program');
    void link
      .run({ file: '/bin/sh', args: ['-c', `echo $$ > ${file}.new; mv ${file}.new ${file}; exec sleep 600`] })
      .catch(() => undefined);
    await until('the program', () => pathExists(file));
    const program = Number(await readFile(file, 'utf8'));
    expect(await isAlive(program)).toBe(true);
    process.kill(pid, 'SIGKILL');
    await keeper.daemon(pid);
    expect(await isAlive(program)).toBe(false);
  });

  it('leaves after shutdown when the daemon does, with all it held', async () => {
    const { path } = await link.createSandbox('one', EMPTY_SANDBOX);
    const proxied = await link.holdPort({
      key: 'p',
      protocol: 'tcp',
      address: '127.0.0.1',
      port: 0,
      proxy: { address: '127.0.0.1', port: 1 },
    });
    const held = await link.list();
    await link.shutdown();
    await keeper.endDaemon();
    expect(await keeper.ended).toBe(0);
    expect(await pathExists(path)).toBe(false);
    for (const name of ['lock', 'api.sock']) expect(await pathExists(join(keeper.directory, name))).toBe(false);
    for (const pid of [held.names_pid, held.ports[0]?.proxy_pid ?? 0])
      await until(`process ${pid} to go`, async () => !(await isAlive(pid)));
    const again = createServer().listen(proxied.port, '127.0.0.1');
    await once(again, 'listening');
    again.close();
  });

  it('passes SIGTERM to the daemon and leaves monitors alone', async () => {
    const run = join(keeper.directory, 'exec');
    await runProgram('/bin/mkdir', ['-m', '700', run]);
    const file = join(keeper.directory, 'exec.json');
    await writeFile(
      file,
      JSON.stringify({
        kind: 'exec',
        id: 'x',
        container: 'c',
        run_dir: run,
        runtime_root: '/nonexistent',
        process: '/p',
      }),
    );
    const { pid } = await link.spawn(['monitor', file]);
    const daemon = await keeper.daemon();
    process.kill(keeper.pid, 'SIGTERM');
    expect(await keeper.ended).toBe(0);
    expect(await isAlive(daemon.pid)).toBe(false);
    expect(await isAlive(pid)).toBe(true);
    killIfThere(pid);
  });
});
