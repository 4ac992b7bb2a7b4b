import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Config, cgroupDirectories, RUNTIME, statusOf } from '../kit/bundle.ts';
import { Containers, type Created, FIRST_ID, fields, giveTree, MAP, withUsers } from './containers.ts';

let containers: Containers;
beforeAll(() => {
  containers = new Containers();
});
afterAll(() => containers.close());

const kinds = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user', 'time'];

/** Every namespace of another container by path, but mount. */
const joining = (other: Created) => (config: Config) => {
  config.linux.namespaces = [
    { type: 'mount' },
    ...['pid', 'net', 'ipc', 'uts', 'cgroup', 'user'].map((kind) => ({
      type: kind === 'net' ? 'network' : kind,
      path: `/proc/${other.pid}/ns/${kind}`,
    })),
  ];
  delete (config as { hostname?: string }).hostname;
};

describe('a new user namespace', () => {
  test('has the maps, owns the other namespaces, and its root is nobody outside', async () => {
    const created = await containers.created(containers.bundle(['pause'], withUsers));
    for (const map of ['uid_map', 'gid_map'])
      expect(fields(created.proc(map)), map).toEqual([['0', String(FIRST_ID), '65536']]);
    for (const kind of kinds.slice(0, 7))
      expect(readlinkSync(`/proc/${created.pid}/ns/${kind}`), kind).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    const outer = statusOf(created.proc('status'));
    expect(outer['Uid']).toBe(Array(4).fill(FIRST_ID).join('\t'));
    expect(outer['Groups']).toBe(String(FIRST_ID));
    await created.bundle.runtime('start', created.bundle.id);
    const { stdout } = await created.exec('status', 'write', '/file', 'x', 'stat', '/file');
    expect(statusOf(stdout)).toMatchObject({ Uid: '0\t0\t0\t0', Groups: '0', NoNewPrivs: '1' });
    expect(stdout).toContain('stat /file: mode=100644 uid=0 gid=0');
    expect(statSync(join(created.bundle.rootfs, 'file'))).toMatchObject({ uid: FIRST_ID, gid: FIRST_ID });
    await created.remove();
  });

  test('several ranges, a user other than root', async () => {
    const text = await containers.inside(['id', 'cat', '/proc/self/uid_map'], (config) => {
      withUsers(config);
      const maps = [0, 1, 2].map((part) => ({ containerID: part * 1000, hostID: FIRST_ID + part * 5000, size: 1000 }));
      config.linux['uidMappings'] = maps;
      config.linux['gidMappings'] = maps;
      config.process.user = { uid: 1003, gid: 2004, additionalGids: [7] };
    });
    expect(text).toContain('uid=1003 gid=2004 groups=7,2004');
    expect(fields(text).slice(1)).toEqual([
      ['0', String(FIRST_ID), '1000'],
      ['1000', String(FIRST_ID + 5000), '1000'],
      ['2000', String(FIRST_ID + 10_000), '1000'],
    ]);
  });

  test('without a root in it, all belongs to the user of the process', async () => {
    const text = await containers.inside(
      ['id', 'stat', '/dev/shm'],
      (config) => {
        withUsers(config);
        config.linux['uidMappings'] = [{ containerID: 70, hostID: FIRST_ID, size: 1 }];
        config.linux['gidMappings'] = [{ containerID: 80, hostID: FIRST_ID, size: 1 }];
        config.process.user = { uid: 70, gid: 80 };
        for (const mount of config.mounts)
          if (mount.type === 'devpts') mount.options = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666'];
      },
      FIRST_ID,
    );
    expect(text).toContain('uid=70 gid=80 groups=80');
    expect(text).toContain('stat /dev/shm: mode=41777 uid=70 gid=80');
  });

  test('devices are bound from the host, others are named', async () => {
    const words = [
      'stat',
      '/dev/null',
      'write',
      '/dev/null',
      'x',
      'stat',
      '/dev/fd',
      'mknod',
      '/disk',
      '7',
      '0',
      'mounts',
    ];
    const text = await containers.inside(words, (config) => {
      withUsers(config);
      config.linux['devices'] = [{ path: '/dev/full2', type: 'p' }];
    });
    expect(text).toContain('stat /dev/null: mode=20666 uid=65534 gid=65534 rdev=1:3');
    expect(text).toContain('write /dev/null: ok');
    expect(text).toContain('mknod: Operation not permitted');
    expect(text).toMatch(/ \/null \/dev\/null rw/);
    const missing = (path: string, minor: number) => (config: Config) => {
      withUsers(config);
      config.linux['devices'] = [{ path, type: 'c', major: 1, minor }];
    };
    expect(await containers.refusal(missing('/dev/not-there', 3))).toContain(
      'cannot open device /dev/not-there of the host',
    );
    expect(await containers.refusal(missing('/dev/null', 5))).toContain('/dev/null of the host is not device 1:5');
  });

  test('masked and read-only paths, cgroups and limits hold as without', async () => {
    const words = [
      'write',
      '/proc/sys/kernel/core_pattern',
      'x',
      'cat',
      '/proc/keys',
      'rlimit',
      'cat',
      '/proc/self/cgroup',
    ];
    const created = await containers.created(
      containers.bundle(['pause'], (config) => {
        withUsers(config);
        config.linux.resources = { pids: { limit: 40 }, memory: { limit: 64 << 20 } };
        config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 }];
        config.process['oomScoreAdj'] = 321;
        config.linux['sysctl'] = { 'net.ipv4.ip_unprivileged_port_start': '7' };
      }),
    );
    for (const line of created.proc('cgroup').trim().split('\n'))
      expect(line.endsWith(`${containers.shop.cgroup}/${created.bundle.id}`), line).toBe(true);
    const files = cgroupDirectories(`${containers.shop.cgroup}/${created.bundle.id}`).map((path) =>
      join(path, 'pids.max'),
    );
    expect(files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8'))).toEqual(['40\n']);
    expect(created.proc('oom_score_adj')).toBe('321\n');
    expect(created.proc('limits')).toMatch(/Max open files +512 +1024/);
    await created.bundle.runtime('start', created.bundle.id);
    const { stdout } = await created.exec(...words, 'cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start');
    expect(stdout).toContain('write /proc/sys/kernel/core_pattern: Permission denied\nnofile 512 1024\n');
    expect(stdout).not.toContain(created.bundle.id);
    expect(stdout).toMatch(/\n7\n$/);
    await created.remove();
  });

  test('the bundle and its sources need not be open to the mapped ids', async () => {
    const source = join(containers.shop.directory, 'closed');
    mkdirSync(join(source, 'deep'), { recursive: true });
    writeFileSync(join(source, 'deep/file'), 'read me\n');
    for (const path of [containers.shop.directory, source]) chmodSync(path, 0o700);
    const text = await containers.inside(['cat', '/deep/file', 'mounts'], (config) => {
      withUsers(config);
      config.mounts.push({
        destination: '/deep',
        source: join(source, 'deep'),
        type: 'bind',
        options: ['rbind', 'ro'],
      });
    });
    expect(text).toMatch(/^read me\n/);
    expect(text).toMatch(/ \/deep ro,/);
  });

  test('the overlay is mounted for it, read and written by its ids', async () => {
    const place = containers.shop.directory;
    const bundle = containers.bundle(['cat', '/same', 'write', '/new', 'kept', 'mounts'], withUsers);
    const layer = join(place, 'layer');
    mkdirSync(layer);
    writeFileSync(join(layer, 'same'), 'from the layer\n');
    for (const name of ['users-upper', 'users-work']) {
      mkdirSync(join(place, name));
      giveTree(join(place, name), FIRST_ID);
    }
    bundle.write((config) => {
      withUsers(config);
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({
        lower: [bundle.rootfs, layer],
        upper: join(place, 'users-upper'),
        work: join(place, 'users-work'),
      });
    });
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain('from the layer\nwrite /new: ok\n');
    expect(result.stdout).not.toContain(place);
    expect(statSync(join(place, 'users-upper/new')).uid).toBe(FIRST_ID);
    expect(containers.left(bundle)).toEqual([]);
  });

  test('exec enters it, as its root or another', async () => {
    const created = await containers.created(
      containers.bundle(['pause'], (config) => {
        withUsers(config);
        config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 300, hard: 400 }];
      }),
    );
    await created.bundle.runtime('start', created.bundle.id);
    const inner = await created.bundle.runtime(
      'exec',
      '--user',
      '5:6',
      created.bundle.id,
      '/bin/payload',
      'id',
      'rlimit',
      'cat',
      '/proc/self/uid_map',
      'exit',
      '3',
    );
    expect(inner).toMatchObject({ status: 3, stderr: '' });
    expect(inner.stdout).toMatch(/^uid=5 gid=6 groups=6 /);
    expect(inner.stdout).toContain('nofile 300 400\n');
    expect(inner.stdout).toContain(String(FIRST_ID));
    const outside = await created.bundle.runtime('exec', '--user', '70000', created.bundle.id, '/bin/payload', 'id');
    expect(outside.stderr).toContain("cannot become user 70000 (is it in the user namespace's map?)");
    const pidFile = join(created.bundle.directory, 'exec-pid');
    const detached = await runProgram('/bin/sh', [
      '-c',
      '"$@" >/dev/null 2>&1',
      'sh',
      RUNTIME,
      ...created.bundle.options,
      'exec',
      '--detach',
      '--pid-file',
      pidFile,
      created.bundle.id,
      '/bin/payload',
      'pause',
    ]);
    expect(detached.status).toBe(0);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    for (const kind of kinds.slice(0, 7))
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`), kind).toBe(readlinkSync(`/proc/${created.pid}/ns/${kind}`));
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toBe(created.proc('cgroup'));
    await created.remove();
  });
});

describe('a joined user namespace', () => {
  test('with the namespaces it owns, by path', async () => {
    const first = await containers.created(containers.bundle(['pause'], withUsers));
    const second = await containers.created(containers.bundle(['pause'], joining(first)));
    for (const kind of ['pid', 'net', 'ipc', 'uts', 'cgroup', 'user'])
      expect(readlinkSync(`/proc/${second.pid}/ns/${kind}`), kind).toBe(readlinkSync(`/proc/${first.pid}/ns/${kind}`));
    expect(statusOf(second.proc('status'))['Uid']).toBe(Array(4).fill(FIRST_ID).join('\t'));
    await second.bundle.runtime('start', second.bundle.id);
    expect((await second.exec('status')).stdout).toMatch(/NSpid:\t\d+\n/);
    await second.remove();
    const wrong = await containers.refusal((config) => {
      joining(first)(config);
      config.linux['uidMappings'] = [{ containerID: 0, hostID: 5, size: 1 }];
    });
    expect(wrong).toContain('the joined user namespace has another uid_map than the configuration says');
    const same = containers.bundle(['true'], (config) => {
      joining(first)(config);
      config.linux['uidMappings'] = MAP;
    });
    expect(await same.runtime('run', same.id)).toMatchObject({ status: 0, stderr: '' });
    await first.remove();
  });

  test('a network of another owner is refused, and both are named', async () => {
    const first = await containers.created(containers.bundle(['pause'], withUsers));
    const plain = await containers.created(containers.bundle(['pause']));
    const number = (pid: number | string) => readlinkSync(`/proc/${pid}/ns/user`);
    const network = (pid: number) => (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === 'network' ? { type: 'network', path: `/proc/${pid}/ns/net` } : item,
      );
    };
    const fresh = await containers.refusal((config) => {
      withUsers(config);
      network(plain.pid)(config);
    });
    expect(fresh).toContain(`network namespace /proc/${plain.pid}/ns/net belongs to user namespace ${number('self')}`);
    const other = await containers.created(containers.bundle(['pause'], withUsers));
    const joined = await containers.refusal((config) => {
      config.linux.namespaces.push({ type: 'user', path: `/proc/${other.pid}/ns/user` });
      network(first.pid)(config);
    });
    expect(joined).toContain(
      `belongs to user namespace ${number(first.pid)}, the container is in ${number(other.pid)}`,
    );
    // The host's root has rights over every network.
    const above = containers.bundle(['true'], network(first.pid));
    expect(await above.runtime('run', above.id)).toMatchObject({ status: 0, stderr: '' });
    for (const created of [other, plain, first]) await created.remove();
  });
});

describe('what the host shares by path', () => {
  test.each([
    ['uts', 'hostname, domainname: would change the host', () => undefined],
    [
      'network',
      'net.ipv4.ip_forward would change the host',
      (config: Config) => {
        config.linux['sysctl'] = { 'net.ipv4.ip_forward': '0' };
      },
    ],
  ])('is not changed: %s', async (type, text, change) => {
    const message = await containers.refusal((config) => {
      config.linux.namespaces = config.linux.namespaces.map((item) =>
        item.type === type ? { type, path: `/proc/self/ns/${type === 'network' ? 'net' : type}` } : item,
      );
      change(config);
    });
    expect(message).toContain(text);
  });

  test("the runtime's own user namespace by path is none", async () => {
    const text = await containers.inside(['cat', '/proc/self/uid_map'], (config) => {
      config.linux.namespaces.push({ type: 'user', path: '/proc/self/ns/user' });
    });
    expect(fields(text)).toEqual([['0', '0', '4294967295']]);
  });
});

describe('errors say what to do', () => {
  test('a map that is too long for the kernel', async () => {
    const message = await containers.refusal((config) => {
      withUsers(config);
      config.linux['uidMappings'] = Array.from({ length: 300 }, (_, i) => ({
        containerID: i * 10,
        hostID: 4_000_000_000 + i * 10,
        size: 1,
      }));
    });
    expect(message).toContain('the id map of 300 ranges exceeds');
  });

  test('a namespace file of another kind', async () => {
    const message = await containers.refusal((config) => {
      config.linux.namespaces.push({ type: 'user', path: '/proc/self/ns/net' });
    });
    expect(message).toContain('/proc/self/ns/net is not a user namespace');
  });
});
