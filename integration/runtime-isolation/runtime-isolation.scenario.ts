import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, cgroupDirectories, statusOf } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

const shop = workshopOfFile();

/** Output of a container that runs the payload with these words. */
async function inside(
  words: readonly string[],
  change?: (config: Config) => void,
  prepare?: (bundle: Bundle) => void,
): Promise<string> {
  const bundle = shop.bundle([...words], change);
  prepare?.(bundle);
  const result = await bundle.runtime('run', bundle.id);
  expect(result).toMatchObject({ status: 0 });
  expect(shop.leftovers()).toEqual([]);
  return result.stdout;
}

async function created(change?: (config: Config) => void): Promise<{ bundle: Bundle; pid: number }> {
  const bundle = shop.bundle(['pause'], change);
  const file = join(bundle.directory, 'pid');
  const result = await runProgram('/bin/sh', ['-c', '"$@" >/dev/null 2>"$0"', `${file}.err`, ...command(bundle, file)]);
  expect({ ...result, errors: readFileSync(`${file}.err`, 'utf8') }).toMatchObject({ status: 0, errors: '' });
  return { bundle, pid: Number(readFileSync(file, 'utf8')) };
}

function command(bundle: Bundle, pidFile: string): string[] {
  const runtime = join(import.meta.dirname, '../../dist/native/tscompose-runtime');
  return [runtime, ...bundle.options, 'create', '--bundle', bundle.directory, '--pid-file', pidFile, bundle.id];
}

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

describe('privileges', () => {
  test('capabilities, no_new_privs, seccomp and ids are what was asked', async () => {
    const text = await inside(['status'], (config) => {
      config.process.user = { uid: 1000, gid: 1001, additionalGids: [5, 7], umask: 0o27 };
      config.process['capabilities'] = {
        bounding: ['CAP_CHOWN', 'CAP_KILL'],
        effective: ['CAP_CHOWN'],
        permitted: ['CAP_CHOWN'],
        inheritable: ['CAP_CHOWN'],
        ambient: ['CAP_CHOWN'],
      };
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat', 'not_a_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    expect(statusOf(text)).toMatchObject({
      Uid: '1000\t1000\t1000\t1000',
      Gid: '1001\t1001\t1001\t1001',
      Groups: '5 7 1001',
      Umask: '0027',
      CapInh: '0000000000000001',
      CapPrm: '0000000000000001',
      CapEff: '0000000000000001',
      CapBnd: '0000000000000021',
      CapAmb: '0000000000000001',
      NoNewPrivs: '1',
      Seccomp: '2',
      Seccomp_filters: '1',
    });
  });

  test('without no_new_privs the filter still holds, and root keeps nothing inheritable', async () => {
    const text = await inside(['status', 'mkdir', '/x'], (config) => {
      config.process['noNewPrivileges'] = false;
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    expect(statusOf(text)).toMatchObject({
      CapInh: '0000000000000000',
      CapAmb: '0000000000000000',
      NoNewPrivs: '0',
      Seccomp: '2',
    });
    expect(text).toContain('mkdir: Operation not supported');
  });

  test('a profile that allows next to nothing does not hinder the set-up', async () => {
    const text = await inside(['echo', 'alive'], (config) => {
      const names = [
        'execve',
        'write',
        'exit_group',
        'brk',
        'arch_prctl',
        'set_tid_address',
        'set_robust_list',
        'rseq',
      ];
      names.push('prlimit64', 'readlink', 'readlinkat', 'getrandom', 'mprotect', 'newfstatat', 'fstat');
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_KILL_PROCESS',
        syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }],
      };
    });
    expect(text).toBe('alive\n');
  });

  test('exec gets the filter of its container', async () => {
    const { bundle } = await created((config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    await bundle.runtime('start', bundle.id);
    const { stdout } = await bundle.runtime('exec', bundle.id, '/bin/payload', 'mkdir', '/x');
    expect(stdout).toBe('mkdir: Operation not supported\n');
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('a seccomp program is compiled once, and anew when it was damaged', async () => {
    const profile = (config: Config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 90 }],
      };
    };
    await inside(['mkdir', '/x'], profile);
    const cache = join(shop.directory, 'state/.seccomp');
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    const before = readdirSync(cache);
    await inside(['mkdir', '/x'], profile);
    expect(readdirSync(cache)).toEqual(before);
    for (const name of readdirSync(cache)) {
      const bytes = readFileSync(join(cache, name));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      writeFileSync(join(cache, name), bytes);
    }
    expect(await inside(['mkdir', '/x'], profile)).toBe('mkdir: Message too long\n');
  });

  test('limits, environment, working directory', async () => {
    const text = await inside(['rlimit', 'env', 'cwd', 'stat', '/work/dir'], (config) => {
      config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 }];
      config.process['cwd'] = '/work/dir';
    });
    expect(text).toContain('nofile 512 1024\nPATH=/bin\nHOME=/root\n/work/dir\nstat /work/dir: mode=40755');
  });

  test('only the three standard descriptors reach the process', async () => {
    expect((await inside(['fds'])).match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
  });
});

describe('file systems', () => {
  test('masked paths are empty, read-only ones refuse writes', async () => {
    const masked = ['/proc/keys', '/proc/timer_list', '/sys/firmware', '/proc/acpi'].filter((path) => existsSync(path));
    expect(masked).not.toEqual([]);
    const words = masked.flatMap((path) => (statSync(path).isDirectory() ? ['ls', path] : ['cat', path]));
    expect(await inside(words)).toBe('');
    const text = await inside([
      'write',
      '/proc/sys/kernel/core_pattern',
      'x',
      'write',
      '/proc/keys',
      'x',
      'write',
      '/sys/kernel/x',
      'x',
      'mounts',
    ]);
    expect(text).toContain('write /proc/sys/kernel/core_pattern: Read-only file system');
    expect(text).toMatch(/ \/proc\/sys ro,nosuid,nodev,noexec/);
  });

  test('the root can be read-only, the container keeps its tmpfs', async () => {
    const text = await inside(
      ['write', '/file', 'x', 'write', '/dev/shm/file', 'x', 'mounts'],
      (config) => {
        config.root.readonly = true;
        config.process.cwd = '/srv/made';
      },
      (bundle) => {
        for (const name of ['proc', 'dev', 'sys']) mkdirSync(join(bundle.rootfs, name));
      },
    );
    expect(text).toContain('write /file: Read-only file system\nwrite /dev/shm/file: ok\n');
  });

  test('bind mounts take their options, recursively on request', async () => {
    const source = join(shop.directory, 'source');
    mkdirSync(join(source, 'below'), { recursive: true });
    writeFileSync(join(source, 'file'), 'content');
    const text = await inside(
      [
        'write',
        '/ro/file',
        'x',
        'write',
        '/rw/new',
        'x',
        'cat',
        '/etc/one',
        'write',
        '/rro/proc/sys/kernel/hostname',
        'x',
        'mounts',
      ],
      (config) => {
        config.mounts.push(
          { destination: '/ro', type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'rprivate'] },
          { destination: '/rw', type: 'bind', source, options: ['bind', 'noexec'] },
          { destination: '/etc/one', type: 'bind', source: join(source, 'file'), options: ['bind', 'ro'] },
          { destination: '/rro', type: 'bind', source: '/', options: ['rbind', 'rro'] },
        );
      },
    );
    expect(text).toContain(
      'write /ro/file: Read-only file system\nwrite /rw/new: ok\ncontentwrite /rro/proc/sys/kernel/hostname: Read-only file system',
    );
    expect(text).toMatch(/ \/ro ro,nosuid/);
    expect(text).toMatch(/ \/rw rw,noexec/);
    expect(text).not.toMatch(/ \/rro\/\S* rw/);
  });

  test('nothing propagates to the host or back', async () => {
    const { bundle, pid } = await created();
    const text = readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
    expect(text).not.toMatch(/ (shared|master):/);
    expect(shop.leftovers().filter((line) => line.includes('rootfs'))).toEqual([]);
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('the overlay is mounted inside, and shows no path of the host', async () => {
    const layers = ['top', 'middle', 'bottom'].map((name) => join(shop.directory, 'layers:x', name));
    for (const [index, layer] of layers.entries()) {
      mkdirSync(layer, { recursive: true });
      writeFileSync(join(layer, 'same'), `from ${index}\n`);
    }
    const bundle = shop.bundle(['cat', '/same', 'write', '/new', 'kept', 'mounts'], (config) => {
      const upper = join(shop.directory, 'upper');
      const work = join(shop.directory, 'work');
      for (const directory of [upper, work]) mkdirSync(directory, { recursive: true });
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower: layers, upper, work });
    });
    mkdirSync(join(layers[2] ?? '', 'bin'), { recursive: true });
    await runProgram('/bin/cp', [join(bundle.rootfs, 'bin/payload'), join(layers[2] ?? '', 'bin/payload')]);
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain('from 0\nwrite /new: ok\n');
    expect(result.stdout).toMatch(/ \/ rw,relatime - overlay overlay /);
    expect(result.stdout).not.toContain(shop.directory);
    expect(readFileSync(join(shop.directory, 'upper/new'), 'utf8')).toBe('kept');
    expect(existsSync(join(bundle.rootfs, 'new'))).toBe(false);
    expect(shop.leftovers()).toEqual([]);
  });

  test('default devices are there, others are closed', async () => {
    const text = await inside(
      ['stat', '/dev/null', 'stat', '/dev/tty', 'stat', '/dev/ptmx', 'stat', '/dev/fd', 'mknod', '/disk', '254', '0'],
      (config) => {
        config.linux['devices'] = [{ path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 3 }];
      },
    );
    expect(text).toContain('stat /dev/null: mode=20666 uid=0 gid=0 rdev=1:3');
    expect(text).toContain('stat /dev/tty: mode=20666 uid=0 gid=0 rdev=5:0');
    expect(text).toContain('stat /dev/ptmx: mode=120777');
    expect(text).toContain('stat /dev/fd: mode=120777');
    expect(text).toContain('mknod: ok\nopen: Operation not permitted');
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

test('a working directory that is a symbolic link of the image stays inside', async () => {
  const canary = join(shop.directory, 'canary');
  mkdirSync(canary);
  const text = await inside(
    ['cwd'],
    (config) => {
      config.process['cwd'] = '/link/made';
    },
    (bundle) => {
      mkdirSync(join(bundle.rootfs, canary), { recursive: true });
      symlinkSync(canary, join(bundle.rootfs, 'link'));
    },
  );
  expect(text).toBe(`${canary}/made\n`);
  expect(readdirSync(canary)).toEqual([]);
});
