import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Bundle, Config } from '../kit/bundle.ts';
import { callDetached, stateOf, untilStopped } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** The operations and states of the OCI runtime specification, seen from a caller. */
const shop = workshopOfFile();

async function created(words: readonly string[], change?: (config: Config) => void): Promise<Bundle> {
  const bundle = shop.bundle(words, change);
  expect(await callDetached(bundle, 'create', [bundle.id])).toMatchObject({ status: 0, stderr: '' });
  return bundle;
}

async function removed(bundle: Bundle): Promise<void> {
  expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0, stderr: '' });
}

const refusal = (text: string) => ({
  status: 1,
  signal: null,
  stdout: '',
  stderr: expect.stringContaining(text) as unknown,
});

describe('state', () => {
  test('has the fields of the specification and the annotations as they were given', async () => {
    const bundle = await created(['pause'], (config) => {
      config.ociVersion = '1.0.2-dev';
      config.annotations = { 'org.example.key': 'value "quoted"', 'org.example.empty': '' };
    });
    expect(await stateOf(bundle)).toMatchObject({
      ociVersion: '1.0.2-dev',
      id: bundle.id,
      status: 'created',
      bundle: bundle.directory,
      annotations: { 'org.example.key': 'value "quoted"', 'org.example.empty': '' },
    });
    const { pid } = await stateOf(bundle);
    expect(process.kill(pid, 0)).toBe(true);
    await bundle.runtime('start', bundle.id);
    expect(await stateOf(bundle)).toMatchObject({ status: 'running', pid });
    await removed(bundle);
  });

  test('an operation on nothing is an error', async () => {
    const bundle = shop.bundle([]);
    for (const verb of ['state', 'start', 'kill', 'delete', 'pause', 'resume']) {
      expect(await bundle.runtime(verb, 'nobody')).toEqual(refusal('nobody does not exist'));
      expect(await bundle.runtime(verb)).toMatchObject({ status: 1 });
    }
    expect(await bundle.runtime('delete', '--force', 'nobody')).toMatchObject({ status: 0 });
  });

  test.each(['', '.', '..', 'a/b', '../x', 'a b', 'a\nb', 'x'.repeat(129)])('%j is no id', async (id) => {
    const bundle = shop.bundle([]);
    expect(await bundle.runtime('create', id)).toEqual(refusal('is not a container id'));
  });
});

describe('operations at the wrong time', () => {
  test('have no effect and are errors', async () => {
    const bundle = await created(['pause']);
    expect(await bundle.runtime('create', bundle.id)).toEqual(refusal('exists already'));
    expect(await bundle.runtime('delete', bundle.id)).toEqual(refusal('it is created'));
    expect(await bundle.runtime('resume', bundle.id)).toEqual(refusal('it is created'));
    expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(await bundle.runtime('start', bundle.id)).toEqual(refusal('it is running, not created'));
    expect(await bundle.runtime('delete', bundle.id)).toEqual(refusal('it is running'));
    expect(await stateOf(bundle)).toMatchObject({ status: 'running' });
    expect(await bundle.runtime('kill', bundle.id, '0')).toMatchObject({ status: 0 });
    expect(await bundle.runtime('kill', bundle.id, 'NOSUCH')).toEqual(refusal('unknown signal NOSUCH'));
    expect(await bundle.runtime('kill', bundle.id, 'sigkill')).toMatchObject({ status: 0 });
    await untilStopped(bundle);
    for (const signal of ['0', 'TERM', '9'])
      expect(await bundle.runtime('kill', bundle.id, signal)).toEqual(refusal('it is stopped'));
    expect(await bundle.runtime('start', bundle.id)).toEqual(refusal('it is stopped, not created'));
    expect(await bundle.runtime('exec', bundle.id, '/bin/payload', 'true')).toEqual(refusal('it is stopped'));
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(await bundle.runtime('delete', bundle.id)).toEqual(refusal('does not exist'));
  });

  test('a created container can be killed, and its id used again', async () => {
    const bundle = await created(['pause']);
    expect(await bundle.runtime('kill', bundle.id, 'KILL')).toMatchObject({ status: 0 });
    await untilStopped(bundle);
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
    expect(await callDetached(bundle, 'create', [bundle.id])).toMatchObject({ status: 0, stderr: '' });
    await removed(bundle);
  });

  test('without a process there is a container, but nothing to start', async () => {
    const bundle = shop.bundle([], (config) => {
      Reflect.deleteProperty(config, 'process');
    });
    expect(await bundle.runtime('run', bundle.id)).toEqual(refusal('process: missing'));
    expect(await callDetached(bundle, 'create', [bundle.id])).toMatchObject({ status: 0, stderr: '' });
    expect(await bundle.runtime('start', bundle.id)).toEqual(refusal('has no process'));
    expect(await stateOf(bundle)).toMatchObject({ status: 'created' });
    await removed(bundle);
  });
});

describe('config.json', () => {
  test('is read by create alone: later edits have no effect', async () => {
    const bundle = shop.bundle(['echo', 'first']);
    const { output } = await callDetached(bundle, 'create', [bundle.id]);
    bundle.write((config) => {
      config.process.args = ['/bin/payload', 'echo', 'second'];
      config.process.env = ['LATER=1'];
    });
    await bundle.runtime('start', bundle.id);
    await untilStopped(bundle);
    expect(output()).toBe('first\n');
    writeFileSync(join(bundle.directory, 'config.json'), 'no JSON any more');
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['1.0.0', 0],
    ['1.2.1', 0],
    ['1.0.2-dev', 0],
    ['1.99.0', 0],
    ['1.3.0+build.7', 0],
    ['2.0.0', 1],
    ['0.9.0', 1],
    ['1.0', 1],
    ['invalid', 1],
    ['', 1],
  ])('version %s: status %i', async (version, status) => {
    const bundle = shop.bundle(['true'], (config) => {
      config.ociVersion = version;
    });
    expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status });
  });

  test('what is unknown is no error, what is impossible is', async () => {
    const extended = (more: Record<string, unknown>) =>
      shop.bundle(['true'], (config) => {
        Object.assign(config, more);
      });
    const unknown = extended({ 'org.example.unknown': { deep: [1] }, annotations: { 'org.example.unknown': 'x' } });
    expect(await unknown.runtime('run', unknown.id)).toMatchObject({ status: 0, stderr: '' });
    for (const key of ['windows', 'solaris', 'vm', 'zos']) {
      const foreign = extended({ [key]: {} });
      expect(await foreign.runtime('run', foreign.id)).toEqual(refusal(`${key}: this runtime makes Linux containers`));
    }
    const resource = shop.bundle(['true'], (config) => {
      config.linux['intelRdt'] = { closID: 'x' };
    });
    expect(await resource.runtime('run', resource.id)).toEqual(refusal('intelRdt is not supported'));
  });

  test.each<[string, (config: Config) => void, string]>([
    ['an annotation without a key', (config) => (config.annotations = { '': 'x' }), 'annotations: a key is empty'],
    [
      'an annotation that is a number',
      (config) => Object.assign(config, { annotations: { 'org.example.n': 1 } }),
      'annotations.org.example.n: expected a string',
    ],
    [
      'a masked path that is relative',
      (config) => (config.linux['maskedPaths'] = ['/proc/keys', 'proc/kcore']),
      "linux.maskedPaths[1]: 'proc/kcore' is not an absolute path",
    ],
    [
      'a read-only path that is relative',
      (config) => (config.linux['readonlyPaths'] = ['proc/sys']),
      "linux.readonlyPaths[0]: 'proc/sys' is not an absolute path",
    ],
    [
      'a namespace given twice',
      (config) => config.linux.namespaces.push({ type: 'pid' }),
      "namespace 'pid' is given twice",
    ],
    [
      'a limit given twice',
      (config) => {
        const limit = { type: 'RLIMIT_CORE', soft: 1, hard: 1 };
        config.process['rlimits'] = [limit, limit];
      },
      'RLIMIT_CORE is given twice',
    ],
    [
      'a hook that may take no time',
      (config) => (config.hooks['poststop'] = [{ path: '/bin/true', timeout: 0 }]),
      'hooks.poststop[0].timeout: 0 is not between 1 and',
    ],
  ])('%s is refused by name', async (_, change, text) => {
    const bundle = shop.bundle(['true'], (config) => void change(config));
    expect(await bundle.runtime('run', bundle.id)).toEqual(refusal(text));
  });

  test('a capability that nobody knows is a warning', async () => {
    const bundle = shop.bundle(['true'], (config) => {
      const sets = config.process['capabilities'] as Record<string, string[]>;
      sets['bounding'] = [...(sets['bounding'] ?? []), 'CAP_TIME_TRAVEL'];
    });
    expect(await bundle.runtime('run', bundle.id)).toMatchObject({
      status: 0,
      stderr: 'warning: capability CAP_TIME_TRAVEL is not known here: the container goes without\n',
    });
  });
});
