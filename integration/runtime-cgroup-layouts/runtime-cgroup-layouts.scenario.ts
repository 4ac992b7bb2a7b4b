import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, RUNTIME } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/**
 * The host's layout is one of three; the others are made of it in a mount namespace by taking hierarchies away.
 * (On a hybrid host the v2 tree has no controllers: limits there are proven in a virtual machine.)
 */
const layouts = {
  v2: `for m in $(awk '$0 ~ / - cgroup2? /{print $5}' /proc/self/mountinfo | sort -r); do umount $m; done
       mountpoint -q /sys/fs/cgroup && umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup`,
  v1: `for m in $(awk '$0 ~ / - cgroup2 /{print $5}' /proc/self/mountinfo | sort -r); do umount $m; done`,
};

const shop = workshopOfFile();
const v1Host = / - cgroup /.test(readFileSync('/proc/self/mountinfo', 'utf8'));

/** Shell lines in a mount namespace with that layout; `$rt` is the runtime with its options. */
function within(layout: keyof typeof layouts, bundle: Bundle, script: string): Promise<RunResult> {
  const prelude = `set -e; mount --make-rprivate /; ${layouts[layout]}\nset +e; cd ${bundle.directory}\nrt="${RUNTIME} ${bundle.options.join(' ')}"\n`;
  return runProgram('/usr/bin/unshare', ['-m', '/bin/sh', '-c', prelude + script]);
}

describe('cgroup v2 alone', () => {
  test('runs in one group, sees it as the root, has the device list', async () => {
    const bundle = shop.bundle([
      'cat',
      '/proc/self/cgroup',
      'ls',
      '/sys/fs/cgroup',
      'mkdir',
      '/sys/fs/cgroup/x',
      'mounts',
      'mknod',
      '/disk',
      '254',
      '0',
    ]);
    const result = await within('v2', bundle, `$rt run ${bundle.id}`);
    expect(result).toMatchObject({ status: 0 });
    expect(result.stdout).toContain('0::/\n');
    expect(result.stdout).toContain('cgroup.procs\n');
    expect(result.stdout).toContain('mkdir: Read-only file system');
    expect(result.stdout).toMatch(/ \/ \/sys\/fs\/cgroup ro,nosuid,nodev,noexec\S* - cgroup2 /);
    expect(result.stdout).toContain('mknod: ok\nopen: Operation not permitted');
    expect(shop.leftovers()).toEqual([]);
  });

  test.runIf(v1Host)('a limit without its controller is refused', async () => {
    const bundle = shop.bundle(['true'], (config) => {
      config.linux.resources = { memory: { limit: 64 << 20 } };
    });
    const result = await within('v2', bundle, `$rt run ${bundle.id}`);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('memory.max');
    expect(shop.leftovers()).toEqual([]);
  });
});

describe.runIf(v1Host)('cgroup v1 alone', () => {
  test('limits hold, and what lingers is frozen and killed', async () => {
    const bundle = shop.bundle(['linger', 'linger', 'forkbomb', '50'], (config) => {
      config.linux.resources = { pids: { limit: 20 } };
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    const result = await within('v1', bundle, `$rt run ${bundle.id}`);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain('Resource temporarily unavailable');
    expect(shop.leftovers()).toEqual([]);
  });

  test('is paused through the freezer, and deleted while it is', async () => {
    const bundle = shop.bundle(['pause']);
    const result = await within(
      'v1',
      bundle,
      `$rt create ${bundle.id} >log 2>&1 && $rt start ${bundle.id} && $rt pause ${bundle.id} && cat /sys/fs/cgroup/freezer${shop.cgroup}/${bundle.id}/freezer.state
      $rt state ${bundle.id} | grep -o '"paused"'; $rt resume ${bundle.id}; $rt state ${bundle.id} | grep -o '"running"'
      $rt update --pids-limit 7 ${bundle.id}; cat /sys/fs/cgroup/pids${shop.cgroup}/${bundle.id}/pids.max
      $rt events --stats ${bundle.id} | grep -o '"pids":{[^}]*}'
      $rt pause ${bundle.id}; $rt delete --force ${bundle.id}`,
    );
    expect(result).toMatchObject({
      status: 0,
      stderr: '',
      stdout: 'FROZEN\n"paused"\n"running"\n7\n"pids":{"current":1,"limit":7}\n',
    });
    expect(shop.leftovers()).toEqual([]);
  });

  test('exec enters every hierarchy', async () => {
    const bundle = shop.bundle(['pause']);
    const log = join(bundle.directory, 'log');
    const result = await within(
      'v1',
      bundle,
      `$rt create ${bundle.id} >${log} 2>&1 && $rt start ${bundle.id} && $rt exec ${bundle.id} /bin/payload cat /proc/self/cgroup; $rt delete --force ${bundle.id}`,
    );
    expect(result).toMatchObject({ status: 0, stderr: '' });
    const places = result.stdout
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('0::'));
    expect(places.length).toBeGreaterThan(3);
    for (const line of places) expect(line, line).toMatch(/:\/$/);
    expect(shop.leftovers()).toEqual([]);
  });
});
