import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, cgroupDirectories, RUNTIME } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** Limits, read back from the kernel's files; on the host's own layout, which here has its controllers on cgroup v1. */
const shop = workshopOfFile();
const v1Host = / - cgroup \S+ \S*memory/.test(readFileSync('/proc/self/mountinfo', 'utf8'));
if (!v1Host) process.stderr.write('not run: this host has no cgroup v1 (the virtual machine proves v1 and v2)\n');
/** The first block device there is. */
const [, major = 0, minor = 0] = (/^ +(\d+) +(\d+) /m.exec(readFileSync('/proc/partitions', 'utf8')) ?? []).map(Number);
const disk = { major, minor };

/** A file of the container's group, in whichever hierarchy has it. */
function group(bundle: Bundle, file: string): string {
  const found = cgroupDirectories(`${shop.cgroup}/${bundle.id}`)
    .map((directory) => join(directory, file))
    .find(existsSync);
  if (!found) throw new Error(`no ${file}`);
  return readFileSync(found, 'utf8').trim();
}

async function ok(bundle: Bundle, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await bundle.runtime(...args);
  expect(`${status} ${stderr}`).toBe('0 ');
  return stdout;
}

/** A started container that waits. */
async function live(change?: (config: Config) => void, words: readonly string[] = ['pause']): Promise<Bundle> {
  const bundle = shop.bundle(words, change);
  // Detached with descriptors of its own: ours would stay open as long as it lives.
  const child = spawn(RUNTIME, [...bundle.options, 'run', '--detach', bundle.id], {
    cwd: bundle.directory,
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  expect(await once(child, 'exit')).toEqual([0, null]);
  return bundle;
}

const resources = (value: object) => (config: Config) => {
  config.linux.resources = { ...value };
};

describe.runIf(v1Host)('limits of cgroup v1', () => {
  test('every limit is in its file', async () => {
    const bundle = await live(
      resources({
        memory: { limit: 64 << 20, reservation: 32 << 20, swap: 96 << 20, swappiness: 7, disableOOMKiller: true },
        cpu: { shares: 512, quota: 25_000, period: 50_000, burst: 10_000, cpus: '0', mems: '0' },
        pids: { limit: 40 },
        blockIO: {
          throttleReadBpsDevice: [{ ...disk, rate: 1 << 20 }],
          throttleWriteIOPSDevice: [{ ...disk, rate: 99 }],
        },
      }),
    );
    expect(group(bundle, 'memory.limit_in_bytes')).toBe(String(64 << 20));
    expect(group(bundle, 'memory.soft_limit_in_bytes')).toBe(String(32 << 20));
    expect(group(bundle, 'memory.memsw.limit_in_bytes')).toBe(String(96 << 20));
    expect(group(bundle, 'memory.swappiness')).toBe('7');
    expect(group(bundle, 'memory.oom_control')).toContain('oom_kill_disable 1');
    expect(group(bundle, 'cpu.shares')).toBe('512');
    expect(group(bundle, 'cpu.cfs_quota_us')).toBe('25000');
    expect(group(bundle, 'cpu.cfs_period_us')).toBe('50000');
    expect(group(bundle, 'cpu.cfs_burst_us')).toBe('10000');
    expect(group(bundle, 'cpuset.cpus')).toBe('0');
    expect(group(bundle, 'pids.max')).toBe('40');
    expect(group(bundle, 'blkio.throttle.read_bps_device')).toBe(`${disk.major}:${disk.minor} ${1 << 20}`);
    expect(group(bundle, 'blkio.throttle.write_iops_device')).toBe(`${disk.major}:${disk.minor} 99`);
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  // Such a host has no v1 hierarchy for it.
  const unified = cgroupDirectories('/').find((directory) => existsSync(join(directory, 'cgroup.subtree_control')));
  const v2Controllers = unified ? readFileSync(join(unified, 'cgroup.controllers'), 'utf8') : '';
  test.runIf(v2Controllers.includes('hugetlb'))(
    'a limit of a controller that only the v2 tree has is set there',
    async () => {
      const bundle = await live(resources({ hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }] }));
      expect(group(bundle, 'hugetlb.2MB.max')).toBe(String(4 << 20));
      expect(group(bundle, 'hugetlb.2MB.rsvd.max')).toBe(String(4 << 20));
      await ok(bundle, 'delete', '--force', bundle.id);
    },
  );

  test.each([
    ['unified', { unified: { 'memory.high': '1' } }, 'linux.resources.unified'],
    ['rdma', { rdma: { mlx0: { hcaHandles: 1 } } }, 'no rdma cgroup controller'],
    ['network class', { network: { classID: 0x10001 } }, 'no net_cls cgroup controller'],
    ['leaf weight', { blockIO: { leafWeight: 100 } }, 'linux.resources.blockIO.leafWeight'],
    ['quota', { cpu: { quota: 1, period: 100_000 } }, 'cpu.cfs_quota_us'],
    ['memory check', { memory: { limit: 'x' } }, 'linux.resources.memory.limit'],
  ])('what cannot be had is refused by name: %s', async (_, value, message) => {
    const bundle = shop.bundle(['true'], resources(value));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(message);
    expect(shop.leftovers()).toEqual([]);
  });

  test('network class and priorities, where their hierarchies are mounted', async () => {
    const bundle = shop.bundle(
      ['true'],
      resources({ network: { classID: 0x10001, priorities: [{ name: 'lo', priority: 7 }] } }),
    );
    // The hierarchies are gone again once nobody mounts them.
    const script = `mount --make-rprivate / && mkdir -p net && mount -t tmpfs none net && mkdir net/cls net/prio &&
      mount -t cgroup -o net_cls none net/cls && mount -t cgroup -o net_prio none net/prio || exit 9
      rt="${RUNTIME} ${bundle.options.join(' ')}"; g=${shop.cgroup}/${bundle.id}
      $rt create ${bundle.id} >log 2>&1 && cat net/cls$g/net_cls.classid && grep '^lo ' net/prio$g/net_prio.ifpriomap
      $rt update ${bundle.id} -r - >>log 2>&1 <<END
{"network":{"classID":131073,"priorities":[{"name":"lo","priority":9}]}}
END
      cat net/cls$g/net_cls.classid && grep '^lo ' net/prio$g/net_prio.ifpriomap
      $rt delete --force ${bundle.id}; rmdir net/cls${shop.cgroup} net/prio${shop.cgroup}
      # Unmounted while a removed group is still being released, a hierarchy would stay.
      for i in $(seq 200); do awk '/^net_/ && $3 > 1 {exit 1}' /proc/cgroups && break; sleep 0.05; done
      umount net/cls net/prio; cat log`;
    const result = await runProgram('/usr/bin/unshare', ['-m', '/bin/sh', '-c', script], { cwd: bundle.directory });
    expect(result).toMatchObject({ status: 0, stdout: '65537\nlo 7\n131073\nlo 9\n' });
    await expect.poll(() => readFileSync('/proc/cgroups', 'utf8')).toMatch(/net_cls\t0\t.*net_prio\t0\t/s);
  });
});

describe.runIf(v1Host)('update', () => {
  test('changes a living container by flags and by a document', async () => {
    const bundle = await live(resources({ memory: { limit: 64 << 20, swap: 64 << 20 }, pids: { limit: 10 } }));
    await ok(bundle, 'update', '--memory', '128m', '--memory-swap', '1.5g', '--pids-limit', '20', bundle.id);
    expect(group(bundle, 'memory.limit_in_bytes')).toBe(String(128 << 20));
    expect(group(bundle, 'memory.memsw.limit_in_bytes')).toBe(String(1536 * 2 ** 20));
    expect(group(bundle, 'pids.max')).toBe('20');
    // Down again: the order of the two limits turns round.
    await ok(bundle, 'update', bundle.id, '--memory=32m', '--memory-swap=32m');
    expect(group(bundle, 'memory.memsw.limit_in_bytes')).toBe(String(32 << 20));
    const file = join(bundle.directory, 'resources.json');
    const document = {
      memory: { limit: -1, swap: -1 },
      cpu: { shares: 300, quota: 10_000, period: 20_000, cpus: '0' },
      pids: { limit: -1 },
      blockIO: { throttleReadBpsDevice: [{ ...disk, rate: 4096 }] },
    };
    writeFileSync(file, JSON.stringify(document));
    await ok(bundle, 'update', '-r', file, bundle.id);
    expect(group(bundle, 'memory.limit_in_bytes')).toMatch(/^9223372036854\d+$/);
    expect(group(bundle, 'pids.max')).toBe('max');
    expect(group(bundle, 'cpu.shares')).toBe('300');
    expect(group(bundle, 'cpu.cfs_quota_us')).toBe('10000');
    expect(group(bundle, 'cpuset.cpus')).toBe('0');
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  test('what fails half-way is set back and told', async () => {
    const bundle = await live(resources({ memory: { limit: 64 << 20 }, pids: { limit: 10 }, cpu: { shares: 200 } }));
    const result = await bundle.runtime(
      ...['update', '--memory', '80m', '--cpu-share', '400', '--pids-limit', '11', '--cpuset-cpus', '4000', bundle.id],
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('cpuset.cpus');
    expect(result.stderr).toContain('cpu.shares was set back');
    expect(group(bundle, 'cpu.shares')).toBe('200');
    expect(group(bundle, 'memory.limit_in_bytes')).toBe(String(64 << 20));
    expect(group(bundle, 'pids.max')).toBe('10');
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  test('the device rules stay, and the limit is checked against use when asked', async () => {
    const bundle = await live(undefined, ['memhog', '24', 'pause']);
    const rules = group(bundle, 'devices.list');
    await expect.poll(() => Number(group(bundle, 'memory.usage_in_bytes'))).toBeGreaterThan(24 << 20);
    const file = join(bundle.directory, 'resources.json');
    writeFileSync(file, JSON.stringify({ memory: { limit: 8 << 20, checkBeforeUpdate: true } }));
    const refused = await bundle.runtime('update', '--resources', file, bundle.id);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('bytes are in use');
    writeFileSync(file, JSON.stringify({ devices: [{ allow: true, access: 'rwm' }], pids: { limit: 99 } }));
    expect((await bundle.runtime('update', '--resources', file, bundle.id)).stderr).toContain('device rules');
    expect(group(bundle, 'devices.list')).toBe(rules);
    expect(group(bundle, 'pids.max')).toBe('99');
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  test('misuse is explained', async () => {
    const bundle = await live();
    const attempts: [string[], string][] = [
      [['update', bundle.id], 'nothing to change'],
      [['update', '--memory', 'lots', bundle.id], "--memory: 'lots' is not a size"],
      [['update', '--l3-cache-schema', 'x', bundle.id], '--l3-cache-schema is not supported'],
      [['update', '--pids-limit', '3', 'absent'], 'does not exist'],
      [['events', '--interval', '0', bundle.id], '--interval'],
      [['ps', bundle.id, '-ef'], 'not supported'],
    ];
    for (const [args, message] of attempts) {
      const result = await bundle.runtime(...args);
      expect(result.status).toBe(1);
      expect(result.stderr).toContain(message);
    }
    await ok(bundle, 'delete', '--force', bundle.id);
  });
});

describe.runIf(v1Host)('events and ps', () => {
  test('figures are those of the kernel', async () => {
    const bundle = await live(resources({ memory: { limit: 64 << 20 }, pids: { limit: 33 }, cpu: { quota: 20_000 } }), [
      'memhog',
      '8',
      'pause',
    ]);
    await expect.poll(() => Number(group(bundle, 'memory.usage_in_bytes'))).toBeGreaterThan(8 << 20);
    const { type, id, data } = JSON.parse(await ok(bundle, 'events', '--stats', bundle.id));
    expect({ type, id }).toEqual({ type: 'stats', id: bundle.id });
    expect(data.memory.usage).toMatchObject({ limit: 64 << 20, failcnt: 0 });
    expect(data.memory.usage.usage).toBeGreaterThan(8 << 20);
    expect(data.memory.raw.rss).toBeGreaterThan(8 << 20);
    expect(data.pids).toEqual({ current: 1, limit: 33 });
    expect(data.cpu.usage.total).toBeGreaterThan(0);
    expect(data.cpu.throttling).toHaveProperty('throttledPeriods');
    expect(data.cpuset.cpus[0]).toBe(0);
    expect(data.blkio.ioServicedRecursive).toBeInstanceOf(Array);
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  test('an out-of-memory kill is told, figures come at the interval, the end ends it', async () => {
    const bundle = await live(resources({ memory: { limit: 32 << 20, swap: 32 << 20 } }), ['pause']);
    const child = spawn(RUNTIME, [...bundle.options, 'events', '--interval', '50ms', bundle.id]);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await expect.poll(() => text).toContain('"type":"stats"');
    expect((await bundle.runtime('exec', bundle.id, '/bin/payload', 'memhog', '200')).status).toBe(137);
    await expect.poll(() => text).toContain(`{"type":"oom","id":"${bundle.id}"}\n`);
    await ok(bundle, 'kill', bundle.id, 'KILL');
    const [status] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    expect(status).toBe(0);
    for (const line of text.trim().split('\n')) expect(JSON.parse(line).id).toBe(bundle.id);
    await ok(bundle, 'delete', '--force', bundle.id);
  });

  test('ps lists every process, also of groups the container made', async () => {
    const own = '/sys/fs/cgroup/unified';
    const bundle = await live(
      (config) => {
        for (const mount of config.mounts)
          if (mount.type === 'cgroup') mount.options = ['nosuid', 'noexec', 'nodev', 'rw'];
      },
      ['a', 'a/b', 'c'].flatMap((name) => ['mkdir', `${own}/${name}`, 'inside', `${own}/${name}`]).concat('pause'),
    );
    await expect.poll(async () => JSON.parse(await ok(bundle, 'ps', '--format', 'json', bundle.id)).length).toBe(4);
    const pids: number[] = JSON.parse(await ok(bundle, 'ps', '-f', 'json', bundle.id));
    const { pid } = JSON.parse(await ok(bundle, 'state', bundle.id));
    expect(pids).toContain(pid);
    for (const member of pids)
      expect(readFileSync(`/proc/${member}/cgroup`, 'utf8')).toContain(`${shop.cgroup}/${bundle.id}`);
    const table = await ok(bundle, 'ps', bundle.id);
    expect(table.split('\n')[0]).toMatch(/^UID +PID +PPID STIME TTY +TIME CMD$/);
    expect(table).toContain('/bin/payload mkdir');
    expect(table.trim().split('\n')).toHaveLength(5);
    await ok(bundle, 'delete', '--force', bundle.id);
    expect(shop.leftovers()).toEqual([]);
  });
});
