import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, cgroupDirectories, RUNTIME } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { callDetached, stateOf, untilStopped } from '../kit/oci-container.ts';
import { openTerminal } from '../kit/terminal.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** Options and surroundings that callers of runc and crun count on. */
const shop = workshopOfFile();

/** What a shell does with a job: starts it in the background, waits until it stops, gives it the terminal, lets it go on. */
const JOB = `
import os, signal, sys, time
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
try: os.setpgid(job, job)
except OSError: pass
_, status = os.waitpid(job, os.WUNTRACED)
fields = lambda: open('/proc/%d/stat' % job).read().rsplit(')', 1)[1].split()
used = fields()[11:13]
time.sleep(0.2)
print('stopped', os.WIFSTOPPED(status) and fields()[0], used == fields()[11:13], flush=True)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(0, job)
os.killpg(job, signal.SIGCONT)
_, status = os.waitpid(job, 0)
sys.exit(os.waitstatus_to_exitcode(status))
`;

async function running(words: readonly string[], change?: (config: Config) => void): Promise<Bundle> {
  const bundle = shop.bundle(words, change);
  expect(await callDetached(bundle, 'run', ['-d', bundle.id])).toMatchObject({ status: 0, stderr: '' });
  return bundle;
}

async function removed(bundle: Bundle): Promise<void> {
  expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0, stderr: '' });
}

describe('words', () => {
  test('version, help and what is refused', async () => {
    expect((await runProgram(RUNTIME, ['--version'])).stdout).toMatch(
      /^tscompose-runtime version \d+\.\d+\.\d+\nspec: 1\.\d+\.\d+\n$/,
    );
    const { stdout } = await runProgram(RUNTIME, ['--help']);
    for (const verb of ['create', 'start', 'run', 'exec', 'kill', 'state', 'delete', 'list', 'spec', 'features'])
      expect(stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'));
    for (const verb of ['checkpoint', 'restore'])
      expect(await runProgram(RUNTIME, [verb, 'x'])).toMatchObject({
        status: 1,
        stderr: `error: ${verb} is not supported: processes cannot be frozen to disk\n`,
      });
    expect(await runProgram(RUNTIME, ['nonsense'])).toMatchObject({ status: 1 });
  });

  test.each([
    ['create', ' [OPTION…] ID', '  -b --bundle VALUE'],
    ['start', ' ID', ''],
    ['run', ' [OPTION…] ID', '  -d --detach'],
    ['exec', ' [OPTION…] ID [COMMAND [ARG…]]', '  -e --env VALUE…'],
    ['kill', ' [OPTION…] ID [SIGNAL]', '  -a --all'],
    ['pause', ' ID', ''],
    ['resume', ' ID', ''],
    ['update', ' [OPTION…] ID', '     --pids-limit VALUE'],
    ['events', ' [OPTION…] ID', '     --interval VALUE'],
    ['ps', ' [OPTION…] ID', '  -f --format VALUE'],
    ['state', ' ID', ''],
    ['list', ' [OPTION…]', '  -q --quiet'],
    ['delete', ' [OPTION…] ID', '  -f --force'],
    ['spec', ' [OPTION…]', '     --rootless'],
    ['features', '', ''],
  ])('%s --help', async (verb, words, option) => {
    const result = await runProgram(RUNTIME, [verb, '--help']);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout.split('\n')[0]).toBe(`usage: tscompose-runtime ${verb}${words}`);
    expect(result.stdout.split('\n')).toContain(option);
    expect(result.stdout).not.toContain('--mem-bw-schema');
  });

  test('features names only what config.json may say', async () => {
    const features = JSON.parse((await runProgram(RUNTIME, ['features'])).stdout) as Record<string, unknown>;
    expect(features).toMatchObject({
      ociVersionMin: '1.0.0',
      hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
      linux: { intelRdt: { enabled: false }, netDevices: { enabled: false }, cgroup: { v1: true, v2: true } },
      potentiallyUnsafeConfigAnnotations: ['dev.tscompose.overlay', 'org.systemd.property.'],
    });
    for (const version of [features['ociVersionMin'], features['ociVersionMax']]) {
      const bundle = shop.bundle(['true'], (config) => {
        config.ociVersion = String(version);
      });
      expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    }
  });

  test('spec writes a config.json that runs, and never over another', async () => {
    const bundle = shop.bundle(['true']);
    const home = join(bundle.directory, 'fresh');
    mkdirSync(home);
    expect(await runProgram(RUNTIME, ['spec', '--bundle', home])).toMatchObject({ status: 0, stderr: '' });
    expect(await runProgram(RUNTIME, ['spec', '-b', home])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('File exists') as unknown,
    });
    const config = JSON.parse(readFileSync(join(home, 'config.json'), 'utf8')) as Config;
    config.process.args = ['/bin/payload', 'exit', '5'];
    config.process['terminal'] = false;
    config.root.path = bundle.rootfs;
    config.linux['cgroupsPath'] = `${shop.cgroup}/${bundle.id}`;
    writeFileSync(join(home, 'config.json'), JSON.stringify(config));
    expect(await bundle.runtime('run', '--bundle', home, bundle.id)).toMatchObject({ status: 5, stderr: '' });
  });

  test('flags with a value, and together', async () => {
    const bundle = shop.bundle(['exit', '6']);
    expect(await bundle.runtime('run', '--detach=false', '--no-pivot=false', bundle.id)).toMatchObject({ status: 6 });
    expect(await bundle.runtime('run', '--detach=maybe', bundle.id)).toMatchObject({ status: 1 });
    expect(await bundle.runtime('list', '-qx')).toMatchObject({ status: 1 });
  });

  test('list as table, as JSON and as ids', async () => {
    const bundle = await running(['pause']);
    const { stdout } = await bundle.runtime('list');
    const [head = '', ...rows] = stdout.trim().split('\n');
    expect(head.trim().split(/\s+/)).toEqual(['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER']);
    const row = rows.find((line) => line.startsWith(`${bundle.id} `)) ?? '';
    expect(row.indexOf(bundle.directory)).toBe(head.indexOf('BUNDLE'));
    const all = JSON.parse((await bundle.runtime('list', '--format', 'json')).stdout) as { id: string }[];
    expect(all.find(({ id }) => id === bundle.id)).toMatchObject({ status: 'running', owner: 'root' });
    expect((await bundle.runtime('list', '-q')).stdout.split('\n')).toContain(bundle.id);
    await removed(bundle);
  });
});

describe('a terminal of our own', () => {
  test('run gives the process a pty, passes bytes, size and status', async () => {
    const bundle = shop.bundle(['tty', 'stdin', 'tty', 'exit', '7'], (config) => {
      config.process['terminal'] = true;
    });
    const session = openTerminal([RUNTIME, ...bundle.options, 'run', bundle.id], {
      environment: {},
      rows: 33,
      columns: 101,
      cwd: bundle.directory,
    });
    await session.waitFor(/tty 1 1 1 33x101 fg=1/);
    session.type('word\n');
    await session.waitFor(/word\r\nword/);
    session.resize(40, 120);
    session.type('\x04');
    await session.waitFor(/tty 1 1 1 (40x120|33x101)/);
    expect(await session.ended).toBe(7);
    expect(shop.leftovers()).toEqual([]);
  });

  test('in the background it stops, as a shell expects, and goes on in the foreground', async () => {
    const bundle = shop.bundle(['tty', 'exit', '7'], (config) => {
      config.process['terminal'] = true;
    });
    const job = ['/usr/bin/python3', '-c', JOB, RUNTIME, ...bundle.options, 'run', bundle.id];
    const session = openTerminal(job, { environment: {}, cwd: bundle.directory });
    expect(await session.ended).toBe(7);
    expect(session.shown()).toMatch(/stopped T True/);
    expect(session.shown()).toContain('tty 1 1 1');
    expect(shop.leftovers()).toEqual([]);
  });

  test('exec too; without one on our side it still has one', async () => {
    const bundle = await running(['pause']);
    const session = openTerminal(
      [RUNTIME, ...bundle.options, 'exec', '-t', bundle.id, '/bin/payload', 'tty', 'exit', '3'],
      {
        environment: {},
        rows: 20,
        columns: 60,
      },
    );
    expect(await session.ended).toBe(3);
    expect(session.shown()).toContain('tty 1 1 1 20x60');
    expect((await bundle.runtime('exec', '--tty', bundle.id, '/bin/payload', 'tty')).stdout).toContain('tty 1 1 1');
    expect(await bundle.runtime('exec', '-td', bundle.id, '/bin/payload', 'tty')).toMatchObject({
      status: 1,
      stderr: 'error: a terminal in the background needs --console-socket\n',
    });
    await removed(bundle);
  });
});

describe('the service manager', () => {
  const MANAGER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
print(s.recv(4096).decode(), end='')
`;
  const SAY = `
import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1\\nSTATUS=up\\nMAINPID=77\\nFDSTORE=1', sys.argv[1])
`;

  test('is told by the container that it is ready, and by us which process that is', async () => {
    const bundle = shop.bundle(['env', 'ls', '/run/notify', 'pause']);
    const socket = join(bundle.directory, 'manager');
    const manager = runProgram('/usr/bin/python3', ['-c', MANAGER, socket]);
    await until('the manager', () => existsSync(socket));
    const { output } = await callDetached(bundle, 'create', [bundle.id], { NOTIFY_SOCKET: socket });
    const started = bundle.runtime('start', bundle.id);
    const inside = join(bundle.options[1] ?? '', bundle.id, 'notify/notify.sock');
    await until('the socket', () => existsSync(inside));
    await until('the process', () => output().includes('notify.sock'));
    expect(output()).toContain('NOTIFY_SOCKET=/run/notify/notify.sock');
    await runProgram('/usr/bin/python3', ['-c', SAY, inside]);
    expect(await started).toMatchObject({ status: 0, stderr: '' });
    const { pid } = await stateOf(bundle);
    expect((await manager).stdout).toBe(`READY=1\nMAINPID=${pid}\nSTATUS=up\n`);
    await removed(bundle);
  });

  test('start does not wait for a process that ends without a word', async () => {
    const bundle = shop.bundle(['true']);
    const socket = join(bundle.directory, 'manager');
    await callDetached(bundle, 'create', [bundle.id], { NOTIFY_SOCKET: socket });
    expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    await untilStopped(bundle);
    await removed(bundle);
  });

  test('sockets it opened reach the process, and only those meant for us', async () => {
    const bundle = shop.bundle(['env', 'fds']);
    const passing = (pid: string) =>
      runProgram('/bin/sh', [
        '-c',
        `exec 3</dev/null 4</dev/null; export LISTEN_PID=${pid} LISTEN_FDS=2 LISTEN_FDNAMES=a:b; exec "$@"`,
        'sh',
        RUNTIME,
        ...bundle.options,
        'run',
        '--bundle',
        bundle.directory,
        bundle.id,
      ]);
    const meant = await passing('$$');
    expect(meant).toMatchObject({ status: 0, stderr: '' });
    expect(meant.stdout).toMatch(/LISTEN_FDS=2\nLISTEN_PID=1\nLISTEN_FDNAMES=a:b\n/);
    expect(meant.stdout).toMatch(/\b4\b/);
    expect((await passing('1')).stdout).not.toContain('LISTEN');
  });
});

describe('exec', () => {
  test('into a group below, into a paused container on request', async () => {
    const bundle = await running(['pause']);
    const places = cgroupDirectories(`${shop.cgroup}/${bundle.id}`);
    for (const place of places) mkdirSync(join(place, 'below'));
    for (const place of places.filter((one) => one.includes('cpuset')))
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        writeFileSync(join(place, 'below', file), readFileSync(join(place, file)));
    const inside = await bundle.runtime(
      'exec',
      '--cgroup',
      '/below',
      bundle.id,
      '/bin/payload',
      'cat',
      '/proc/self/cgroup',
    );
    expect(inside).toMatchObject({ status: 0, stderr: '' });
    for (const line of inside.stdout.trim().split('\n')) expect(line).toMatch(/:\/below$/);
    for (const path of ['../up', '/nonexistent', 'nosuchcontroller:/below'])
      expect(await bundle.runtime('exec', '--cgroup', path, bundle.id, '/bin/payload', 'true')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(`--cgroup ${path}`) as unknown,
      });
    await bundle.runtime('pause', bundle.id);
    expect(await bundle.runtime('exec', bundle.id, '/bin/payload', 'true')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('it is paused; --ignore-paused') as unknown,
    });
    const waiting = bundle.runtime('exec', '--ignore-paused', bundle.id, '/bin/payload', 'exit', '9');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await bundle.runtime('resume', bundle.id);
    expect(await waiting).toMatchObject({ status: 9 });
    await removed(bundle);
  });
});

test('--no-pivot moves the root instead, and the process sees nothing else', async () => {
  const bundle = shop.bundle(['ls', '/', 'cat', '/proc/self/mountinfo']);
  const { status, stdout, stderr } = await bundle.runtime('run', '--no-pivot', bundle.id);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('bin');
  expect(stdout).not.toContain('/home');
});

test('run --keep leaves a stopped container', async () => {
  const bundle = shop.bundle(['exit', '2']);
  expect(await bundle.runtime('run', '--keep', bundle.id)).toMatchObject({ status: 2 });
  expect(await stateOf(bundle)).toMatchObject({ status: 'stopped' });
  await removed(bundle);
});
