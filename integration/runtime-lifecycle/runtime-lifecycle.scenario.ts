import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { type Bundle, cgroupDirectories, PAYLOAD, RUNTIME, type Workshop } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

const shop = workshopOfFile();

/** create with output in a file: a pipe would be held open by the container. */
async function create(
  bundle: Bundle,
  ...more: string[]
): Promise<{ pid: number; output: () => string; stderr: string }> {
  const out = join(bundle.directory, 'output');
  const words = [
    RUNTIME,
    ...bundle.options,
    'create',
    '--bundle',
    bundle.directory,
    '--pid-file',
    join(bundle.directory, 'pid'),
  ];
  const { status, stderr } = await runProgram('/bin/sh', [
    '-c',
    'out=$1; shift; exec "$@" >"$out" 2>"$out.err" </dev/null',
    'sh',
    out,
    ...words,
    ...more,
    bundle.id,
  ]);
  const errors = stderr + readFileSync(`${out}.err`, 'utf8');
  expect({ status, errors }).toMatchObject({ status: 0 });
  return {
    pid: Number(readFileSync(join(bundle.directory, 'pid'), 'utf8')),
    output: () => readFileSync(out, 'utf8'),
    stderr: errors,
  };
}

async function stateOf(bundle: Bundle): Promise<{ status: string; pid: number }> {
  const result = await bundle.runtime('state', bundle.id);
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout) as { status: string; pid: number };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('create, start, kill, delete', () => {
  test('walk through the states of the specification', async () => {
    const bundle = shop.bundle(['catch']);
    const { pid, output } = await create(bundle);
    expect(await stateOf(bundle)).toMatchObject({ status: 'created', pid });
    // It closes the last of its own after it has said that it is ready.
    await expect.poll(() => readdirSync(`/proc/${pid}/fd`).length).toBe(5);
    expect((await bundle.runtime('delete', bundle.id)).status).toBe(1);
    expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(await stateOf(bundle)).toMatchObject({ status: 'running', pid });
    expect((await bundle.runtime('start', bundle.id)).stderr).toContain('it is running, not created');
    expect((await bundle.runtime('delete', bundle.id)).stderr).toContain('--force');
    await until('the handler', () => output().includes('ready'));
    expect(await bundle.runtime('kill', bundle.id, 'SIGUSR1')).toMatchObject({ status: 0 });
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(output()).toBe('ready\ncaught 10\n');
    expect((await bundle.runtime('kill', bundle.id)).stderr).toContain('it is stopped');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect((await bundle.runtime('state', bundle.id)).stderr).toContain('does not exist');
    expect(shop.leftovers()).toEqual([]);
  });

  test('the first process is a child of whoever called create', async () => {
    const bundle = shop.bundle(['pause']);
    const out = join(bundle.directory, 'parent');
    await runProgram('/bin/sh', [
      '-c',
      `"$@" </dev/null >/dev/null 2>&1; grep PPid /proc/$(cat ${bundle.directory}/pid)/status >${out}; echo $$ >>${out}`,
      'sh',
      RUNTIME,
      ...bundle.options,
      'create',
      '--bundle',
      bundle.directory,
      '--pid-file',
      `${bundle.directory}/pid`,
      bundle.id,
    ]);
    const [parent, shell] = readFileSync(out, 'utf8').trim().split('\n');
    expect(parent).toBe(`PPid:\t${shell}`);
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('delete --force takes along what ignores every signal', async () => {
    const bundle = shop.bundle(['linger', 'linger', 'linger']);
    // Without a pid namespace nothing but the cgroup holds them together.
    bundle.write((config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    await create(bundle);
    await bundle.runtime('start', bundle.id);
    await until('the end of the first process', async () => (await stateOf(bundle)).status === 'stopped');
    const place =
      cgroupDirectories(`${shop.cgroup}/${bundle.id}`).find(
        (path) => path.includes('pids') || path.includes('unified'),
      ) ?? '';
    const lingering = readFileSync(join(place, 'cgroup.procs'), 'utf8').trim().split('\n');
    expect(lingering).toHaveLength(3);
    expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    for (const pid of lingering) expect(existsSync(`/proc/${pid}/exe`) && readlinkIf(`/proc/${pid}/exe`)).toBe(false);
    expect(shop.leftovers()).toEqual([]);
  });

  test('pause stops every process, resume lets them go on', async () => {
    const bundle = shop.bundle(['catch']);
    const { output } = await create(bundle);
    await bundle.runtime('start', bundle.id);
    await until('the handler', () => output().includes('ready'));
    expect(await bundle.runtime('pause', bundle.id)).toMatchObject({ status: 0 });
    expect(await stateOf(bundle)).toMatchObject({ status: 'paused' });
    await bundle.runtime('kill', bundle.id, 'TERM');
    expect(output()).toBe('ready\n');
    expect(await bundle.runtime('resume', bundle.id)).toMatchObject({ status: 0 });
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(output()).toContain('caught 15');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });
});

function readlinkIf(path: string): boolean {
  try {
    return readlinkSync(path) !== '';
  } catch {
    return false;
  }
}

describe('run', () => {
  test.each([
    { words: ['true'], status: 0 },
    { words: ['exit', '7'], status: 7 },
    { words: ['raise', '9'], status: 137 },
  ])('$words ends with $status', async ({ words, status }) => {
    const bundle = shop.bundle(words, (config) => {
      config.annotations['dev.tscompose.init'] = 'true';
    });
    expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status });
    expect(shop.leftovers()).toEqual([]);
  });

  test('passes signals on', async () => {
    const bundle = shop.bundle(['catch']);
    const child = spawnProgram(RUNTIME, [...bundle.options, 'run', '--bundle', bundle.directory, bundle.id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await until('the handler', () => text.includes('ready'));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(text).toContain('caught 15');
  });
});

describe('a failed create leaves nothing', () => {
  test.each<{ name: string; change: Parameters<Workshop['bundle']>[1] & object; text: string }>([
    {
      name: 'missing program',
      change: (config) => {
        config.process.args = ['/bin/nothing'];
      },
      text: 'find program: cannot execute /bin/nothing: No such file or directory',
    },
    {
      name: 'program not in PATH',
      change: (config) => {
        config.process.args = ['nothing'];
      },
      text: "not found in the container's PATH",
    },
    {
      name: 'limit above the host',
      change: (config) => {
        config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 2_000_000_000, hard: 2_000_000_000 }];
      },
      text: 'set limits: cannot set RLIMIT_NOFILE',
    },
    {
      name: 'missing bind source',
      change: (config) => {
        config.mounts.push({ destination: '/data', type: 'bind', source: '/nonexistent', options: ['rbind'] });
      },
      text: 'mount: /data: cannot open source /nonexistent: No such file or directory',
    },
    {
      name: 'unknown file system option',
      change: (config) => {
        config.mounts.push({ destination: '/data', type: 'tmpfs', options: ['colour=blue'] });
      },
      text: "mount: /data: option 'colour=blue'",
    },
    {
      name: 'user namespace without maps',
      change: (config) => {
        config.linux.namespaces.push({ type: 'user' });
      },
      text: 'linux.uidMappings: a new user namespace needs it',
    },
    {
      name: 'host sysctl',
      change: (config) => {
        config.linux['sysctl'] = { 'kernel.core_pattern': '/x' };
      },
      text: 'kernel.core_pattern does not belong to a namespace',
    },
    {
      name: 'cgroup outside',
      change: (config) => {
        config.linux['cgroupsPath'] = '/a/../../b';
      },
      text: "'..' is not allowed",
    },
    {
      name: 'failing hook',
      change: (config) => {
        config.hooks['createRuntime'] = [{ path: '/bin/false' }];
      },
      text: 'createRuntime hook: /bin/false ended with status 1',
    },
  ])('$name', async ({ change, text }) => {
    const bundle = shop.bundle(['true'], change);
    const result = await bundle.runtime('create', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(text);
    expect(shop.leftovers()).toEqual([]);
  });

  test('an id in use keeps the container that has it', async () => {
    const bundle = shop.bundle(['pause']);
    await create(bundle);
    const second = await bundle.runtime('create', bundle.id);
    expect(second.stderr).toContain(`container ${bundle.id} exists already`);
    expect(await stateOf(bundle)).toMatchObject({ status: 'created' });
    await bundle.runtime('delete', '--force', bundle.id);
  });
});

describe('exec', () => {
  test('joins namespaces, cgroups and limits, returns the status', async () => {
    const bundle = shop.bundle(['pause']);
    const { pid } = await create(bundle);
    await bundle.runtime('start', bundle.id);
    const inside = await bundle.runtime(
      'exec',
      '--env',
      'MORE=1',
      '--cwd',
      '/proc',
      '--user',
      '1000:1001',
      bundle.id,
      '/bin/payload',
      'id',
      'cwd',
      'env',
      'fds',
      'status',
      'exit',
      '5',
    );
    expect(inside.status).toBe(5);
    expect(inside.stdout).toContain('uid=1000 gid=1001 groups=1001');
    expect(inside.stdout).toContain('\n/proc\nPATH=/bin\nHOME=/root\nMORE=1\n');
    expect(inside.stdout.match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
    expect(inside.stdout).toMatch(/NoNewPrivs:\t1/);
    expect(inside.stdout).toMatch(/CapInh:\t0{16}\n/);
    const process = { args: ['/bin/payload', 'pause'], cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin'] };
    writeFileSync(join(bundle.directory, 'process.json'), JSON.stringify(process));
    // By a shell that reaps: a process of a pid namespace that nobody reaps would hold back the end of its process 1.
    const script = '"$@" </dev/null >/dev/null 2>&1; echo $?; read line; kill -9 $(cat $0); wait';
    const pidFile = join(bundle.directory, 'exec.pid');
    const words = ['exec', '--detach', '--process', join(bundle.directory, 'process.json'), '--pid-file', pidFile];
    const shell = spawnProgram('/bin/bash', [
      '--norc',
      '-c',
      script,
      pidFile,
      RUNTIME,
      ...bundle.options,
      ...words,
      bundle.id,
    ]);
    const detached = await new Promise<string>((resolve) =>
      shell.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    expect(detached).toBe('0\n');
    const entered = readFileSync(pidFile, 'utf8');
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'])
      expect(readlinkSync(`/proc/${entered}/ns/${kind}`)).toBe(readlinkSync(`/proc/${pid}/ns/${kind}`));
    expect(readFileSync(`/proc/${entered}/cgroup`, 'utf8')).toBe(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
    shell.stdin?.end('\n');
    await new Promise((resolve) => shell.on('close', resolve));
    expect((await bundle.runtime('exec', bundle.id, 'nothing')).stderr).toContain('not found');
    await bundle.runtime('delete', '--force', bundle.id);
    expect((await bundle.runtime('exec', bundle.id, '/bin/payload', 'true')).stderr).toContain('does not exist');
  });
});

describe('terminal', () => {
  test('create and exec hand the pty over the console socket', async () => {
    const bundle = shop.bundle(['tty', 'stat', '/dev/console', 'stat', '/dev/pts/0'], (config) => {
      config.process['terminal'] = true;
      config.process['consoleSize'] = { height: 31, width: 77 };
    });
    const socket = join(bundle.directory, 's');
    const text = listen(socket);
    await until('the socket', () => existsSync(socket));
    await create(bundle, '--console-socket', socket);
    await bundle.runtime('start', bundle.id);
    const shown = await text;
    expect(shown).toContain('tty 1 1 1 31x77 fg=1');
    expect(shown).toMatch(/\/dev\/console: mode=20620 .* rdev=136:0/);
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });
});

function listen(socket: string, line = ''): Promise<string> {
  return runProgram(PAYLOAD, ['console', socket, line]).then(({ stdout }) => stdout);
}

describe('init', () => {
  test('reaps orphans, forwards signals, ends with the status', async () => {
    const bundle = shop.bundle(
      ['orphan', '1', 'orphan', '1', 'sleep', '1', 'zombies', 'id', 'catch', 'exit', '9'],
      (config) => {
        config.annotations['dev.tscompose.init'] = 'true';
      },
    );
    const { pid, output } = await create(bundle);
    await bundle.runtime('start', bundle.id);
    await until('the handler', () => output().includes('ready'));
    expect(output()).toContain('zombies 0');
    expect(output()).toMatch(/pid=[^1]/);
    expect(readdirSync(`/proc/${pid}/fd`)).toEqual([]);
    // The container reads it: no path of the host.
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '')).toBe('tscompose-init');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(/NoNewPrivs:\t1/);
    await bundle.runtime('kill', bundle.id, 'TERM');
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(output()).toContain('caught 15');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('hooks', () => {
  test('run in order with the state on stdin and only their own environment', async () => {
    const bundle = shop.bundle(['true']);
    const log = join(bundle.directory, 'hooks');
    mkdirSync(log);
    const hook = (name: string) => [
      {
        path: '/bin/sh',
        args: ['sh', '-c', `cat >${log}/${name}; env >${log}/${name}.env; echo ${name} >>${log}/order`],
        env: ['A=1'],
      },
    ];
    bundle.write((config) => {
      for (const name of ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'])
        config.hooks[name] = hook(name);
    });
    await create(bundle);
    await bundle.runtime('start', bundle.id);
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(log, 'order'), 'utf8')).toBe(
      'prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n',
    );
    expect(JSON.parse(readFileSync(join(log, 'createRuntime'), 'utf8'))).toMatchObject({
      id: bundle.id,
      status: 'creating',
    });
    expect(JSON.parse(readFileSync(join(log, 'poststop'), 'utf8'))).toMatchObject({ id: bundle.id, status: 'stopped' });
    expect(readFileSync(join(log, 'prestart.env'), 'utf8')).not.toContain('PATH=/bin');
  });
});

describe('interruptions', () => {
  test('a program the kernel refuses is reported by start', async () => {
    const bundle = shop.bundle(['true'], (config) => {
      config.process.args = ['/bin/garbage'];
    });
    writeFileSync(join(bundle.rootfs, 'bin/garbage'), 'no program', { mode: 0o755 });
    await create(bundle);
    const result = await bundle.runtime('start', bundle.id);
    expect(result).toMatchObject({ status: 1, stderr: 'error: cannot execute /bin/garbage: Exec format error\n' });
    await until('the end', async () => (await stateOf(bundle)).status === 'stopped');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });

  test('a create that is killed leaves what delete --force removes', async () => {
    const bundle = shop.bundle(['true']);
    const started = join(bundle.directory, 'started');
    bundle.write((config) => {
      config.hooks['createRuntime'] = [{ path: '/bin/sh', args: ['sh', '-c', `echo $PPID >${started}; exec sleep 1`] }];
    });
    const child = spawnProgram(RUNTIME, [...bundle.options, 'create', '--bundle', bundle.directory, bundle.id]);
    const ended = new Promise((resolve) => child.on('close', resolve));
    await until('the hook', () => existsSync(started) && readFileSync(started, 'utf8') !== '');
    child.kill('SIGKILL');
    await ended;
    expect((await bundle.runtime('state', bundle.id)).stderr).toContain('not complete');
    expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(shop.leftovers()).toEqual([]);
  });

  test('--dry-run prints the steps and makes nothing', async () => {
    const bundle = shop.bundle(['true']);
    const { stdout } = await bundle.runtime('create', '--dry-run', bundle.id);
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['join cgroups', 'pivot', 'set user', 'drop privileges']),
    );
    expect(shop.leftovers()).toEqual([]);
  });

  test('twenty at once', async () => {
    const bundles = Array.from({ length: 20 }, () => shop.bundle(['exit', '3']));
    const results = await Promise.all(bundles.map((bundle) => bundle.runtime('run', bundle.id)));
    expect(results.map(({ status }) => status)).toEqual(bundles.map(() => 3));
    expect(shop.leftovers()).toEqual([]);
  });
});
