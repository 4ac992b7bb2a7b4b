import { readlinkSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeeperLink } from '../../src/engine/runtime/index.ts';
import { type Config, RUNTIME } from '../kit/bundle.ts';
import { TestKeeper } from '../kit/keeper.ts';
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

const users = { uidMappings: MAP, gidMappings: MAP };
const sysctls = { 'net.ipv4.ip_unprivileged_port_start': '77' };

describe('a user and a network namespace as a pair', () => {
  test('are made by the keeper, joined by containers, and outlive a new keeper', async () => {
    const made = await link.createSandbox('pair', { links: [], routes: [], sysctls, names: true, users });
    expect(made.users).toMatch(/^\/proc\/\d+\/fd\/\d+$/);
    const join = (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'network' ? { type: 'network', path: made.path } : item,
      );
      config.linux.namespaces.push({ type: 'user', path: made.users ?? '' });
      config.linux['uidMappings'] = MAP;
      config.linux['gidMappings'] = MAP;
    };
    const created = await containers.created(containers.bundle(['pause'], join));
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
    const adopted = await link.adoptSandbox('again', created.pid, false);
    expect(statSync(adopted.users ?? '').ino).toBe(statSync(made.users ?? '').ino);
    await created.remove();
    await link.removeSandbox('pair');
    await link.removeSandbox('again');
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
