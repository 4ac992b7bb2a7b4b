import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cgroupDirectories } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { containersOf } from './containers.ts';

/** Namespaces, control groups and sysctls: what of the host a container sees, and how much of it it may use. */
const shop = workshopOfFile();
const { created, inside } = containersOf(shop);

describe('namespaces', () => {
  test('all are new, and none is left of the host', async () => {
    const { bundle, pid } = await created();
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'])
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`), kind).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('those of another container are joined by path', async () => {
    const first = await created();
    const second = await created((config) => {
      config.linux.namespaces = config.linux.namespaces.map(({ type }) =>
        type === 'mount' || type === 'cgroup'
          ? { type }
          : { type, path: `/proc/${first.pid}/ns/${type === 'network' ? 'net' : type}` },
      );
      delete (config as { hostname?: string }).hostname;
    });
    for (const kind of ['pid', 'net', 'ipc', 'uts'])
      expect(readlinkSync(`/proc/${second.pid}/ns/${kind}`), kind).toBe(readlinkSync(`/proc/${first.pid}/ns/${kind}`));
    await second.bundle.runtime('delete', '--force', second.bundle.id);
    await first.bundle.runtime('delete', '--force', first.bundle.id);
  });

  test('lo is up in a new network', async () => {
    expect(await inside(['cat', '/proc/net/if_inet6', 'cat', '/sys/class/net/lo/operstate'])).toContain(' lo');
  });
});

describe('cgroups', () => {
  test('limits are in the files, the view inside is the own group, read-only', async () => {
    const { bundle, pid } = await created((config) => {
      config.linux.resources = {
        memory: { limit: 64 << 20, swap: 64 << 20 },
        pids: { limit: 40 },
        cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: '0' },
      };
    });
    const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
    for (const line of groups) expect(line.endsWith(`${shop.cgroup}/${bundle.id}`), line).toBe(true);
    const directories = cgroupDirectories(`${shop.cgroup}/${bundle.id}`);
    const read = (...names: string[]) =>
      directories
        .flatMap((directory) => names.map((name) => join(directory, name)))
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file, 'utf8').trim());
    expect(read('memory.limit_in_bytes', 'memory.max')).toContain(String(64 << 20));
    expect(read('pids.max')).toContain('40');
    expect(read('cpu.cfs_quota_us', 'cpu.max').join()).toMatch(/^50000( 100000)?$/);
    expect(read('cpuset.cpus')).toContain('0');
    await bundle.runtime('start', bundle.id);
    const inner = await bundle.runtime(
      'exec',
      bundle.id,
      '/bin/payload',
      'cat',
      '/proc/self/cgroup',
      'mkdir',
      '/sys/fs/cgroup/memory/x',
      'ls',
      '/sys/fs/cgroup',
    );
    expect(inner.stdout).not.toContain(bundle.id);
    expect(inner.stdout).toContain('mkdir: Read-only file system');
    await bundle.runtime('delete', '--force', bundle.id);
    expect(shop.leftovers()).toEqual([]);
  });

  test('the pids limit ends a fork bomb, the memory limit a hog', async () => {
    const bomb = await inside(['forkbomb', '500'], (config) => {
      config.linux.resources = { pids: { limit: 20 } };
    });
    expect(bomb).toContain('Resource temporarily unavailable');
    const bundle = shop.bundle(['memhog', '200'], (config) => {
      config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 } };
    });
    expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 137 });
    expect(shop.leftovers()).toEqual([]);
  });

  test('an occupied group is refused', async () => {
    const first = await created();
    const second = shop.bundle(['true'], (config) => {
      config.linux['cgroupsPath'] = `${shop.cgroup}/${first.bundle.id}`;
    });
    expect((await second.runtime('run', second.id)).stderr).toContain('has processes already');
    expect(
      existsSync(`/proc/${first.pid}/exe`) && (await first.bundle.runtime('state', first.bundle.id)).stdout,
    ).toContain('"created"');
    await first.bundle.runtime('delete', '--force', first.bundle.id);
  });

  test('sysctls land in the container alone', async () => {
    const before = readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8');
    const text = await inside(
      ['cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start', 'cat', '/proc/sys/kernel/msgmax'],
      (config) => {
        config.linux['sysctl'] = { 'net.ipv4.ip_unprivileged_port_start': '7', 'kernel.msgmax': '4097' };
      },
    );
    expect(text).toBe('7\n4097\n');
    expect(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')).toBe(before);
  });
});
