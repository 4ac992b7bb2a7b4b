import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { cgroupDirectories, RUNTIME } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { createContainer, stateOf, untilStopped } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** The life of a container from create to delete, by itself and in one run. */
const shop = workshopOfFile();

describe('create, start, kill, delete', () => {
  test('walk through the states of the specification', async () => {
    const bundle = shop.bundle(['catch']);
    const { pid, output } = await createContainer(bundle);
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
    await untilStopped(bundle);
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
    await createContainer(bundle);
    await bundle.runtime('start', bundle.id);
    await untilStopped(bundle);
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
    const { output } = await createContainer(bundle);
    await bundle.runtime('start', bundle.id);
    await until('the handler', () => output().includes('ready'));
    expect(await bundle.runtime('pause', bundle.id)).toMatchObject({ status: 0 });
    expect(await stateOf(bundle)).toMatchObject({ status: 'paused' });
    await bundle.runtime('kill', bundle.id, 'TERM');
    expect(output()).toBe('ready\n');
    expect(await bundle.runtime('resume', bundle.id)).toMatchObject({ status: 0 });
    await untilStopped(bundle);
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

describe('init', () => {
  test('reaps orphans, forwards signals, ends with the status', async () => {
    const bundle = shop.bundle(
      ['orphan', '1', 'orphan', '1', 'sleep', '1', 'zombies', 'id', 'catch', 'exit', '9'],
      (config) => {
        config.annotations['dev.tscompose.init'] = 'true';
      },
    );
    const { pid, output } = await createContainer(bundle);
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
    await untilStopped(bundle);
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
    await createContainer(bundle);
    await bundle.runtime('start', bundle.id);
    await untilStopped(bundle);
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
