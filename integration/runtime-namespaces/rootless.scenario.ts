import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { baseConfig, type Config, type IdMap, PAYLOAD, RUNTIME, statusOf } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { fields, giveTree } from './containers.ts';

/** Nobody the host knows: no groups, no cgroups, no capabilities. */
const USER = 65_001;
const FIRST_SUB = 300_000;

let place = '';
beforeAll(() => {
  place = mkdtempSync('/tmp/tsc-rootless-');
  chmodSync(place, 0o755);
  copyFileSync(RUNTIME, join(place, 'runtime'));
  chmodSync(join(place, 'runtime'), 0o755);
  mkdirSync(join(place, 'home/run'), { recursive: true });
  giveTree(join(place, 'home'), USER);
});
afterAll(() => {
  expect(existsSync(join(place, 'home/run/tscompose/oci'))).toBe(true);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(place);
  rmSync(place, { recursive: true, force: true });
});

const own = (hostID: number): IdMap[] => [{ containerID: 0, hostID, size: 1 }];

/** A bundle of the user's with his own id as root. */
function bundle(name: string, words: readonly string[], change: (config: Config) => void = () => undefined): string {
  const directory = join(place, 'home', name);
  const config = baseConfig(words, '');
  delete config.linux['cgroupsPath'];
  config.linux.namespaces.push({ type: 'user' });
  config.linux['uidMappings'] = own(USER);
  config.linux['gidMappings'] = own(USER);
  for (const mount of config.mounts) mount.options = mount.options?.filter((option) => option !== 'gid=5') ?? [];
  change(config);
  mkdirSync(join(directory, 'rootfs/bin'), { recursive: true });
  copyFileSync(PAYLOAD, join(directory, 'rootfs/bin/payload'));
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  giveTree(directory, USER);
  return directory;
}

const asUser = [
  '/usr/bin/setpriv',
  '--reuid',
  String(USER),
  '--regid',
  String(USER),
  '--clear-groups',
  '/usr/bin/env',
  '-i',
];
const command = (...args: string[]) => [
  ...asUser,
  `XDG_RUNTIME_DIR=${join(place, 'home/run')}`,
  join(place, 'runtime'),
  ...args,
];

/** The runtime as that user. */
function runtime(...args: string[]): Promise<RunResult> {
  const [file = '', ...words] = command(...args);
  return runProgram(file, words, { cwd: place });
}

const NO_CGROUP = 'warning: no cgroup of its own for the container';

describe('an unprivileged user', () => {
  test('runs a container whose root he is', async () => {
    const directory = bundle('run', [
      'status',
      'cat',
      '/proc/self/uid_map',
      'write',
      '/file',
      'x',
      'stat',
      '/dev/null',
      'mounts',
    ]);
    const result = await runtime('run', '--bundle', directory, 'run');
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(NO_CGROUP);
    expect(statusOf(result.stdout)).toMatchObject({ Uid: '0\t0\t0\t0', Gid: '0\t0\t0\t0', Groups: '' });
    expect(result.stdout).toMatch(new RegExp(`^ +0 +${USER} +1$`, 'm'));
    expect(result.stdout).toContain('write /file: ok\nstat /dev/null: mode=20666');
    for (const path of ['/proc', '/sys', '/dev/mqueue', '/dev/pts']) expect(result.stdout).toContain(` / ${path} `);
  });

  test('creates, starts, enters, signals and deletes one', async () => {
    const directory = bundle('life', ['catch']);
    const pidFile = join(directory, 'pid');
    const script = '"$@" >out 2>err </dev/null; cat err';
    const create = command('create', '--bundle', directory, '--pid-file', pidFile, 'life');
    const made = await runProgram('/bin/sh', ['-c', script, 'sh', ...create], { cwd: directory });
    expect(made.stdout).toContain(NO_CGROUP);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const proc = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
    expect(fields(proc('uid_map'))).toEqual([['0', String(USER), '1']]);
    expect(proc('setgroups')).toBe('deny\n');
    expect(statusOf(proc('status'))['Uid']).toBe(Array(4).fill(USER).join('\t'));
    const early = await runtime('exec', 'life', '/bin/payload', 'id');
    expect(early.stderr).toContain('before it is started: an unprivileged user may enter a running one only');
    expect(await runtime('start', 'life')).toMatchObject({ status: 0, stderr: '' });
    const inner = await runtime('exec', '--env', 'A=b', 'life', '/bin/payload', 'id', 'env', 'exit', '9');
    expect(inner).toMatchObject({ status: 9, stderr: '' });
    expect(inner.stdout).toMatch(/^uid=0 gid=0 groups= [\s\S]*A=b\n$/);
    expect(JSON.parse((await runtime('state', 'life')).stdout)).toMatchObject({ status: 'running', pid });
    expect(await runtime('kill', 'life', 'TERM')).toMatchObject({ status: 0, stderr: '' });
    await expect.poll(() => readFileSync(join(directory, 'out'), 'utf8')).toContain('caught 15');
    await expect.poll(async () => (await runtime('state', 'life')).stdout).toContain('"stopped"');
    expect(await runtime('delete', 'life')).toMatchObject({ status: 0, stderr: '' });
    expect((await runtime('list', '--quiet')).stdout).toBe('');
  });

  test('binds what he may read, keeps the options', async () => {
    const source = join(place, 'home/source');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'mine\n');
    giveTree(source, USER);
    const directory = bundle('bind', ['cat', '/data/file', 'write', '/data/file', 'x', 'mounts'], (config) => {
      config.mounts.push({ destination: '/data', type: 'bind', source, options: ['rbind', 'ro', 'nosuid'] });
      config.mounts.push({ destination: '/var', type: 'tmpfs', options: ['tmpcopyup'] });
    });
    const { stdout } = await runtime('run', '--bundle', directory, 'bind');
    expect(stdout).toMatch(/^mine\nwrite \/data\/file: Read-only file system\n/);
  });

  test('is told what needs more', async () => {
    const say = async (name: string, change: (config: Config) => void) =>
      (await runtime('run', '--bundle', bundle(name, ['true'], change), name)).stderr;
    const without = (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'user');
      delete config.linux['uidMappings'];
      delete config.linux['gidMappings'];
    };
    expect(await say('no-users', without)).toContain(
      'an unprivileged caller needs a user namespace in linux.namespaces',
    );
    const groups = (config: Config) => {
      config.linux['gidMappings'] = own(USER);
      config.process.user = { uid: 0, gid: 0, additionalGids: [0] };
    };
    expect(await say('groups', groups)).toContain(
      'setgroups is denied in a user namespace that was made without privileges',
    );
    const mapped = (config: Config) => {
      const options = ['bind', 'idmap'];
      config.mounts.push({ destination: '/data', type: 'bind', source: join(place, 'home'), options });
    };
    expect(await say('id-map', mapped)).toMatch(/cannot open source .*: Operation not permitted|needs CAP_SYS_ADMIN/);
    const wide = (config: Config) => {
      config.linux['uidMappings'] = [{ containerID: 0, hostID: 0, size: 10 }];
    };
    const message = await say('wide', wide);
    expect(message).toMatch(
      existsSync('/usr/bin/newuidmap') ? /newuidmap refuses the map/ : /needs \/usr\/bin\/newuidmap \(package uidmap\)/,
    );
  });
});

describe('a runtime that is itself in a user namespace', () => {
  test.each([
    ['runs containers that share it', false],
    ['runs containers with one of their own inside', true],
  ])('%s', async (_name, nested) => {
    const name = nested ? 'nested' : 'shared';
    const words = ['id', 'stat', '/dev/null', 'cat', '/proc/self/uid_map', 'mounts'];
    const directory = bundle(name, words, (config) => {
      config.linux['uidMappings'] = own(0);
      config.linux['gidMappings'] = own(0);
      if (nested) return;
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'user');
      delete config.linux['uidMappings'];
      delete config.linux['gidMappings'];
    });
    const inner = ['--root', join(directory, 'state'), 'run', '--bundle', directory, name];
    const enter = ['/usr/bin/unshare', '-Urm', '--pid', '--fork', '--mount-proc', join(place, 'runtime'), ...inner];
    const result = await runProgram('/usr/bin/setpriv', [...asUser.slice(1), ...enter]);
    expect(result).toMatchObject({ status: 0 });
    expect(result.stderr).toContain(NO_CGROUP);
    expect(result.stdout).toMatch(/^uid=0 gid=0 groups= /);
    expect(result.stdout).toContain('stat /dev/null: mode=20666');
    expect(fields(result.stdout.split('\n')[2] ?? '')[0]).toEqual(['0', nested ? '0' : String(USER), '1']);
    for (const path of ['/proc', '/sys', '/dev/mqueue', '/dev/pts']) expect(result.stdout).toContain(` / ${path} `);
  });
});

const helper = await peer('uidmap');

describe.skipIf('reason' in helper)('with newuidmap and newgidmap', () => {
  /** The runtime on a host that has both, and gives the user a range. */
  const withHelpers = (directory: string, ...args: string[]): Promise<RunResult> => {
    const binaries = 'path' in helper ? dirname(helper.path) : '';
    const etc = join(place, 'etc');
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(etc, 'passwd'), `root:x:0:0::/:/bin/sh\nrita:x:${USER}:${USER}::/:/bin/sh\n`);
    for (const name of ['subuid', 'subgid']) writeFileSync(join(etc, name), `rita:${FIRST_SUB}:65536\n`);
    const script = `mount -t tmpfs over "$1"; mkdir "$1/up" "$1/work"; cp -p "$2/newuidmap" "$2/newgidmap" "$1/up/"; chmod 4755 "$1"/up/*
      mount -t overlay -o "lowerdir=/usr/bin,upperdir=$1/up,workdir=$1/work" over /usr/bin
      for f in passwd subuid subgid; do mount --bind "$3/$f" "/etc/$f"; done; shift 3; exec "$@"`;
    mkdirSync(join(place, 'over'), { recursive: true });
    const words = [
      '-m',
      '--propagation',
      'private',
      '/bin/sh',
      '-ec',
      script,
      'sh',
      join(place, 'over'),
      binaries,
      etc,
    ];
    return runProgram('/usr/bin/unshare', [...words, ...command(...args)], { cwd: directory });
  };
  const range = (config: Config) => {
    const map = [
      { containerID: 0, hostID: USER, size: 1 },
      { containerID: 1, hostID: FIRST_SUB, size: 65_535 },
    ];
    config.linux['uidMappings'] = map;
    config.linux['gidMappings'] = map;
    config.process.user = { uid: 100, gid: 101, additionalGids: [7] };
  };

  test('a whole range is mapped', async () => {
    const directory = bundle('range', ['id', 'cat', '/proc/self/uid_map', 'cat', '/proc/self/setgroups'], range);
    const result = await withHelpers(directory, 'run', '--bundle', directory, 'range');
    expect(result).toMatchObject({ status: 0 });
    expect(result.stdout).toContain('uid=100 gid=101 groups=7,101');
    expect(fields(result.stdout.split('\n').slice(1, 3).join('\n'))).toEqual([
      ['0', String(USER), '1'],
      ['1', String(FIRST_SUB), '65535'],
    ]);
    expect(result.stdout).toMatch(/allow\n$/);
  });

  test('what is not given is refused', async () => {
    const directory = bundle('stolen', ['true'], (config) => {
      range(config);
      config.linux['uidMappings'] = [{ containerID: 0, hostID: FIRST_SUB, size: 70_000 }];
    });
    const result = await withHelpers(directory, 'run', '--bundle', directory, 'stolen');
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(
      '/usr/bin/newuidmap refuses the map; /etc/subuid and /etc/subgid say what you may map',
    );
  });
});
