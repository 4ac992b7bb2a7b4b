import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import type { Config } from '../kit/bundle.ts';
import { Containers, withUsers } from './containers.ts';

let containers: Containers;
beforeAll(() => {
  containers = new Containers();
});
afterAll(() => containers.close());

/** A user namespace, and one kind of namespace less: the host's is shared. */
const without = (kind: string) => (config: Config) => {
  withUsers(config);
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== kind);
};

describe('a user namespace that shares a namespace with the host', () => {
  test("network: the host's sysfs, read-only with all below", async () => {
    const text = await containers.inside(['ls', '/sys/class/net', 'mounts'], without('network'));
    for (const name of readdirSync('/sys/class/net')) expect(text).toContain(`${name}\n`);
    const below = text.split('\n').filter((line) => / \/sys(\/\S*)? /.test(line.split(' - ')[0] ?? ''));
    expect(below.length).toBeGreaterThan(1);
    for (const line of below) expect(line).toMatch(/ ro,nosuid,nodev,noexec/);
  });

  test("pid: a procfs of its own is refused with the reason, the host's can be bound", async () => {
    expect(await containers.refusal(without('pid'))).toContain(
      "/proc: the pid namespace must belong to the user namespace, and the host's /proc be uncovered",
    );
    const text = await containers.inside(
      ['id', 'stat', '/proc/1/ns', 'write', '/proc/sys/kernel/core_pattern', 'x'],
      (config) => {
        without('pid')(config);
        const procfs = config.mounts.find(({ type }) => type === 'proc');
        Object.assign(procfs ?? {}, { type: 'bind', source: '/proc', options: ['rbind', 'nosuid', 'noexec', 'nodev'] });
      },
    );
    expect(text).toMatch(/pid=\d{2,}/);
    expect(text).toMatch(/write \/proc\/sys\/kernel\/core_pattern: (Permission denied|Read-only file system)/);
  });

  test("ipc: the host's message queues, where they are mounted", async () => {
    const bundle = containers.bundle(['mounts'], without('ipc'));
    const { status, stdout, stderr } = await bundle.runtime('run', bundle.id);
    expect(stderr).toContain("bound from the host's /dev/mqueue: its namespace belongs to another user namespace");
    expect(status).toBe(existsSync('/dev/mqueue') ? 0 : 1);
    if (status === 0) expect(stdout).toContain(' / /dev/mqueue ');
    expect(containers.left(bundle)).toEqual([]);
  });

  test.each(['uts', 'cgroup'])('%s', async (kind) => {
    const text = await containers.inside(['id'], (config) => {
      without(kind)(config);
      if (kind === 'uts') delete (config as { hostname?: string }).hostname;
    });
    expect(text).toContain('uid=0 gid=0');
  });
});

describe('inside a user namespace', () => {
  test('sysctls of the namespaces it owns, names too', async () => {
    const sysctl = {
      'kernel.shm_rmid_forced': '1',
      'fs.mqueue.msg_max': '11',
      'kernel.domainname': 'example.test',
      'net.core.somaxconn': '1000',
    };
    const words = Object.keys(sysctl).flatMap((key) => ['cat', `/proc/sys/${key.replaceAll('.', '/')}`]);
    const text = await containers.inside(words, (config) => {
      withUsers(config);
      config.linux['sysctl'] = sysctl;
    });
    expect(text).toBe('1\n11\nexample.test\n1000\n');
  });

  test('hooks of the runtime run outside, createContainer hooks inside', async () => {
    const log = join(containers.shop.directory, 'hooks');
    const script = join(containers.shop.directory, 'hook.sh');
    writeFileSync(log, '');
    writeFileSync(script, `#!/bin/sh\necho "$1 $(readlink /proc/self/ns/user)" >>${log}\n`);
    chmodSync(containers.shop.directory, 0o755);
    chmodSync(script, 0o755);
    chmodSync(log, 0o666);
    const kinds = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'];
    const created = await containers.created(
      containers.bundle(['pause'], (config) => {
        withUsers(config);
        for (const kind of kinds) config.hooks[kind] = [{ path: script, args: ['hook', kind] }];
      }),
    );
    const inner = readlinkSync(`/proc/${created.pid}/ns/user`);
    await created.bundle.runtime('start', created.bundle.id);
    await created.remove();
    const outer = readlinkSync('/proc/self/ns/user');
    const expected = kinds.map((kind) => `${kind} ${kind === 'createContainer' ? inner : outer}\n`);
    expect(readFileSync(log, 'utf8')).toBe(expected.join(''));
  });

  test('a hook or a step that fails leaves nothing', async () => {
    const message = await containers.refusal((config) => {
      withUsers(config);
      config.hooks['createContainer'] = [{ path: '/bin/false' }];
    });
    expect(message).toContain('createContainer hook: /bin/false ended with status 1');
    const missing = await containers.refusal((config) => {
      withUsers(config);
      config.process.args = ['/bin/nothing'];
    });
    expect(missing).toContain('cannot execute /bin/nothing: No such file or directory');
  });
});

describe('a mount namespace by path', () => {
  /** A process that holds a mount namespace of its own, a copy of the host's. */
  const holder = async () => {
    const child = spawnProgram(
      '/usr/bin/unshare',
      ['-m', '--propagation', 'private', '/bin/sh', '-c', 'echo ready; exec sleep 1000'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    return child;
  };

  test('the container is in it, with its own root; what is in there keeps its own', async () => {
    const held = await holder();
    try {
      const created = await containers.created(
        containers.bundle(
          ['pause'],
          (config) => {
            config.linux.namespaces = config.linux.namespaces.map((item) =>
              item.type === 'mount' ? { type: 'mount', path: `/proc/${held.pid}/ns/mnt` } : item,
            );
          },
          0,
        ),
      );
      expect(readlinkSync(`/proc/${created.pid}/ns/mnt`)).toBe(readlinkSync(`/proc/${held.pid}/ns/mnt`));
      expect(readlinkSync(`/proc/${held.pid}/root`)).toBe('/');
      expect(existsSync(`/proc/${held.pid}/root/usr/bin/unshare`)).toBe(true);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(created.bundle.rootfs);
      await created.bundle.runtime('start', created.bundle.id);
      const { stdout, stderr } = await created.exec('ls', '/', 'cwd', 'write', '/proc/sys/kernel/core_pattern', 'x');
      expect(stderr).toBe('');
      expect(stdout.split('\n').sort().slice(0, 6).join()).toMatch(/\bbin,dev,proc,sys\b/);
      expect(stdout).toContain('core_pattern: Read-only file system');
      await created.remove();
    } finally {
      held.kill('SIGKILL');
      await new Promise((resolve) => held.on('close', resolve));
    }
  });

  test("the host's is refused", async () => {
    const message = await containers.refusal((config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'mount' ? { type: 'mount', path: '/proc/self/ns/mnt' } : item,
      );
    });
    expect(message).toContain("is the runtime's own mount namespace: the container's mounts would be the host's");
  });
});
