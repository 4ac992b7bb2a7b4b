import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Bundle, Config } from '../kit/bundle.ts';
import { callDetached, stateOf, untilStopped } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

const shop = workshopOfFile();

const POINTS = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'];

interface Hooked {
  readonly bundle: Bundle;
  /** Points that ran, in order. */
  ran(): string[];
  /** What the hook of a point was told. */
  told(point: string): Record<string, unknown>;
}

/** A container whose every hook writes down its input; `override` gives the script of some. */
function hooked(override: Readonly<Record<string, string>> = {}, change?: (config: Config) => void): Hooked {
  const bundle = shop.bundle(['true']);
  const log = join(bundle.directory, 'log');
  mkdirSync(log);
  const script = (point: string) => `cat >${log}/${point}; echo ${point} >>${log}/order; ${override[point] ?? ''}`;
  bundle.write((config) => {
    for (const point of POINTS) config.hooks[point] = [{ path: '/bin/sh', args: ['sh', '-c', script(point)] }];
    change?.(config);
  });
  const order = join(log, 'order');
  return {
    bundle,
    ran: () => (existsSync(order) ? readFileSync(order, 'utf8').trim().split('\n') : []),
    told: (point) => JSON.parse(readFileSync(join(log, point), 'utf8')) as Record<string, unknown>,
  };
}

test('each is told the state of its time', async () => {
  const { bundle, ran, told } = hooked({}, (config) => {
    config.annotations = { 'org.example.key': 'value' };
  });
  expect(await callDetached(bundle, 'create', [bundle.id])).toMatchObject({ status: 0, stderr: '' });
  const { pid } = await stateOf(bundle);
  await bundle.runtime('start', bundle.id);
  await untilStopped(bundle);
  expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  expect(ran()).toEqual(POINTS);
  const always = {
    id: bundle.id,
    bundle: bundle.directory,
    ociVersion: '1.0.2',
    annotations: { 'org.example.key': 'value' },
  };
  expect(told('prestart')).toMatchObject({ ...always, status: 'created', pid });
  expect(told('createRuntime')).toMatchObject({ ...always, status: 'creating', pid });
  // It runs in the container, where its process is the first.
  expect(told('createContainer')).toMatchObject({ ...always, status: 'creating', pid: 1 });
  expect(told('poststart')).toMatchObject({ ...always, status: 'running', pid });
  expect(told('poststop')).toMatchObject({ ...always, status: 'stopped', pid: 0 });
});

test('startContainer is a program of the container and runs before the process', async () => {
  const bundle = shop.bundle(['cat', '/seen'], (config) => {
    config.hooks['startContainer'] = [
      { path: '/bin/payload', args: ['payload', 'write', '/seen', 'by the hook\n'], env: ['A=1'] },
    ];
  });
  expect(await bundle.runtime('run', bundle.id)).toMatchObject({
    status: 0,
    stdout: 'write /seen: ok\nby the hook\n',
    stderr: '',
  });
});

test.each([
  ['prestart', ['prestart', 'poststop']],
  ['createRuntime', ['prestart', 'createRuntime', 'poststop']],
  ['createContainer', ['prestart', 'createRuntime', 'createContainer', 'poststop']],
])('a failing %s ends the creation, with the hooks of the end', async (point, order) => {
  const { bundle, ran, told } = hooked({ [point]: 'exit 3' });
  const result = await callDetached(bundle, 'create', [bundle.id]);
  expect(result.status).toBe(1);
  expect(result.stderr).toContain(`${point} hook: /bin/sh ended with status 3`);
  expect(ran()).toEqual(order);
  expect(told('poststop')).toMatchObject({ status: 'stopped' });
  expect(shop.leftovers()).toEqual([]);
});

test('a failing startContainer keeps the process from running', async () => {
  const bundle = shop.bundle(['write', '/ran', 'x'], (config) => {
    config.hooks['startContainer'] = [{ path: '/bin/payload', args: ['payload', 'exit', '3'] }];
  });
  await callDetached(bundle, 'create', [bundle.id]);
  const result = await bundle.runtime('start', bundle.id);
  expect(result).toMatchObject({ status: 1, stderr: expect.stringContaining('startContainer hook') as unknown });
  await untilStopped(bundle);
  expect(existsSync(join(bundle.rootfs, 'ran'))).toBe(false);
  expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0 });
});

test.each(['poststart', 'poststop'])('a failing %s is a warning, and the others still run', async (point) => {
  const bundle = shop.bundle(['true']);
  const second = join(bundle.directory, 'second');
  bundle.write((config) => {
    config.hooks[point] = [{ path: '/bin/false' }, { path: '/bin/sh', args: ['sh', '-c', `echo ran >${second}`] }];
  });
  const result = await bundle.runtime('run', bundle.id);
  // `run` has poststart hooks only while the process is there; `true` may be gone.
  if (point === 'poststop' || existsSync(second)) {
    expect(result.stderr).toBe(`warning: ${point} hook: /bin/false ended with status 1\n`);
    expect(readFileSync(second, 'utf8')).toBe('ran\n');
  }
  expect(result.status).toBe(0);
});

test('a failing poststart ends the container for a config.json of version 1.3', async () => {
  const { bundle, ran } = hooked({ poststart: 'exit 3' }, (config) => {
    config.ociVersion = '1.3.0';
    config.process.args = ['/bin/payload', 'pause'];
  });
  const created = await callDetached(bundle, 'create', [bundle.id]);
  expect(created).toMatchObject({ status: 0, stderr: '' });
  const started = await bundle.runtime('start', bundle.id);
  expect(started).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('poststart hook: /bin/sh ended with status 3') as unknown,
  });
  expect(await stateOf(bundle)).toMatchObject({ status: 'stopped' });
  expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0 });
  expect(ran().at(-1)).toBe('poststop');
  const run = await bundle.runtime('run', bundle.id);
  expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining('poststart hook') as unknown });
  expect(ran().at(-1)).toBe('poststop');
  expect(shop.leftovers()).toEqual([]);
});

test('run has poststart hooks too', async () => {
  const bundle = shop.bundle(['stdin']);
  const seen = join(bundle.directory, 'seen');
  bundle.write((config) => {
    config.process.args = ['/bin/payload', 'sleep', '1'];
    config.hooks['poststart'] = [{ path: '/bin/sh', args: ['sh', '-c', `cat >${seen}`] }];
  });
  expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  expect(JSON.parse(readFileSync(seen, 'utf8'))).toMatchObject({ status: 'running' });
});

test('one that takes too long is killed', async () => {
  const bundle = shop.bundle(['true'], (config) => {
    config.hooks['createRuntime'] = [{ path: '/bin/sleep', args: ['sleep', '1000'], timeout: 1 }];
  });
  const result = await callDetached(bundle, 'create', [bundle.id]);
  expect(result).toMatchObject({ status: 1 });
  expect(result.stderr).toContain('createRuntime hook: /bin/sleep did not end within 1 s');
  expect(shop.leftovers()).toEqual([]);
});

test('one that never reads a long state does not stop us', async () => {
  const bundle = shop.bundle(['true'], (config) => {
    config.annotations = { 'org.example.long': 'x'.repeat(1 << 20) };
    config.hooks['createRuntime'] = [{ path: '/bin/true' }];
  });
  expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 0, stderr: '' });
});
