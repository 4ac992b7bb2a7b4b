import { mkdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectMonitor, type KeeperLink } from '../../src/engine/runtime/index.ts';
import { type Bundle, type Config, RUNTIME } from '../kit/bundle.ts';
import { identityOf, TestKeeper } from '../kit/keeper.ts';
import { Containers, fields, MAP } from './containers.ts';

let containers: Containers;
let keeper: TestKeeper;
let link: KeeperLink;
beforeAll(async () => {
  containers = new Containers();
  keeper = await TestKeeper.start();
  link = await keeper.link();
});
afterAll(async () => {
  await keeper.stop();
  await containers.close();
});

let count = 0;

/** A monitor of the keeper's, attached. */
async function watch(bundle: Bundle, options: Record<string, unknown>) {
  const runDir = join(bundle.directory, `run${++count}`);
  mkdirSync(runDir, { mode: 0o700 });
  const common = {
    runtime: null,
    runtime_root: bundle.options[1],
    container: bundle.id,
    bundle: bundle.directory,
    log: null,
  };
  writeFileSync(`${runDir}.json`, JSON.stringify({ ...common, run_dir: runDir, ...options }));
  await link.spawn(['monitor', `${runDir}.json`]);
  const monitor = await connectMonitor(join(runDir, 'm.sock'));
  const chunks: Buffer[] = [];
  monitor.onOutput((frame) => chunks.push(Buffer.from(frame.payload)));
  await monitor.attach({ stdout: true, stderr: true });
  return { monitor, output: () => Buffer.concat(chunks).toString() };
}

const users = { uidMappings: MAP, gidMappings: MAP };
const sysctls = { 'net.ipv4.ip_unprivileged_port_start': '77' };

describe('a user and a network namespace as a pair', () => {
  test('are made by the keeper, joined by containers, and outlive a new keeper', async () => {
    const made = await link.createSandbox('pair', { links: [], routes: [], sysctls, names: true, users });
    expect(made.users).toMatch(/^\/proc\/\d+\/fd\/\d+$/);
    const both = (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'network' ? { type: 'network', path: made.path } : item,
      );
      config.linux.namespaces.push({ type: 'user', path: made.users ?? '' });
      config.linux['uidMappings'] = MAP;
      config.linux['gidMappings'] = MAP;
    };
    const created = await containers.created(containers.bundle(['pause'], both));
    expect(statSync(`/proc/${created.pid}/ns/user`).ino).toBe(statSync(made.users ?? '').ino);
    expect(statSync(`/proc/${created.pid}/ns/net`).ino).toBe(statSync(made.path).ino);
    expect(fields(created.proc('uid_map'))[0]?.[1]).toBe(String(MAP[0]?.hostID));
    await created.bundle.runtime('start', created.bundle.id);
    const look = ['cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start', 'mounts', 'ls', '/sys/class/net'];
    const { stdout } = await created.exec(...look);
    expect(stdout).toMatch(/^77\n/);
    // Its own sysfs, which only the owner of the network may mount.
    expect(stdout).toContain(' / /sys ro,');
    expect(stdout).toMatch(/\nlo\n$/);
    const { pid, startTime } = await identityOf(created.pid);
    await expect(link.adoptSandbox('again', { pid, startTime: startTime - 1 }, false)).rejects.toThrow(/process/);
    const adopted = await link.adoptSandbox('again', { pid, startTime }, false);
    expect(statSync(adopted.users ?? '').ino).toBe(statSync(made.users ?? '').ino);
    await created.remove();
    await link.removeSandbox('pair');
    await link.removeSandbox('again');
  });

  test('a container in one runs under its monitor: terminal, init, exec, limits of memory', async () => {
    const made = await link.createSandbox('watched', { links: [], routes: [], sysctls, names: true, users });
    const bundle = containers.bundle(['tty', 'id', 'stat', '/dev/console', 'catch', 'exit', '6'], (config) => {
      config.process['terminal'] = true;
      config.annotations['dev.tscompose.init'] = 'true';
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'network' ? { type: 'network', path: made.path } : item,
      );
      config.linux.namespaces.push({ type: 'user', path: made.users ?? '' });
    });
    const watched = await watch(bundle, { kind: 'container', id: bundle.id, terminal: true, rows: 20, cols: 60 });
    await watched.monitor.start();
    await expect.poll(watched.output).toContain('ready');
    expect(watched.output()).toContain('tty 1 1 1 20x60 fg=1');
    expect(watched.output()).toMatch(/uid=0 gid=0 .* pid=2 /);
    expect(watched.output()).toMatch(/\/dev\/console: mode=20620 uid=0 gid=\d+ rdev=136:0/);
    const file = join(bundle.directory, 'process.json');
    const args = ['/bin/payload', 'id', 'cat', '/proc/self/uid_map', 'exit', '5'];
    writeFileSync(file, JSON.stringify({ args, cwd: '/', user: { uid: 3, gid: 4 } }));
    const inner = await watch(bundle, { kind: 'exec', id: 'inner', process: file });
    await inner.monitor.start();
    expect(await inner.monitor.exit).toMatchObject({ exitCode: 5 });
    expect(inner.output()).toMatch(/^uid=3 gid=4 groups=4 /);
    expect(inner.output()).toContain(String(MAP[0]?.hostID));
    await watched.monitor.kill(15);
    expect(await watched.monitor.exit).toMatchObject({ exitCode: 6 });
    expect(watched.output()).toContain('caught 15');
    await expect.poll(() => containers.left(bundle)).toEqual([]);
    await link.removeSandbox('watched');
  });

  test('without maps the network is the host user namespace’s', async () => {
    const made = await link.createSandbox('plain', { links: [], routes: [], sysctls: {}, names: false });
    expect(made).toEqual({ path: expect.stringMatching(/^\/proc\//) });
    const refused = await containers.refusal((config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'network' ? { type: 'network', path: made.path } : item,
      );
      config.linux.namespaces.push({ type: 'user' });
      config.linux['uidMappings'] = MAP;
      config.linux['gidMappings'] = MAP;
    });
    expect(refused).toContain(
      `network namespace ${made.path} belongs to user namespace ${readlinkSync('/proc/self/ns/user')}`,
    );
    await link.removeSandbox('plain');
  });

  test('a wrong map is refused by its key', async () => {
    const wrong = { uidMappings: [{ containerID: 0, hostID: 5 }], gidMappings: MAP };
    await expect(link.createSandbox('wrong', { links: [], users: wrong })).rejects.toThrow('users.uidMappings[0].size');
    await expect(link.createSandbox('wrong', { links: [], users: {} })).rejects.toThrow('users.gidMappings: missing');
  });

  test('the descriptors pass to the next binary', async () => {
    const made = await link.createSandbox('kept', { links: [], routes: [], sysctls: {}, names: false, users });
    const before = [made.path, made.users ?? ''].map((path) => statSync(path).ino);
    const { pid } = await keeper.daemon();
    await link.reexec(RUNTIME);
    await keeper.daemon(pid);
    const next = await keeper.link();
    expect([made.path, made.users ?? ''].map((path) => statSync(path).ino)).toEqual(before);
    expect(JSON.stringify(await next.list())).toContain(made.users);
    await next.removeSandbox('kept');
  });
});
