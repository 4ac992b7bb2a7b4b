import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { RUNTIME, type Workshop } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { createContainer, stateOf, untilStopped } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** What goes wrong or is cut off, and what is left of it: nothing, or what delete --force removes. */
const shop = workshopOfFile();

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
    await createContainer(bundle);
    const second = await bundle.runtime('create', bundle.id);
    expect(second.stderr).toContain(`container ${bundle.id} exists already`);
    expect(await stateOf(bundle)).toMatchObject({ status: 'created' });
    await bundle.runtime('delete', '--force', bundle.id);
  });
});

describe('interruptions', () => {
  test('a program the kernel refuses is reported by start', async () => {
    const bundle = shop.bundle(['true'], (config) => {
      config.process.args = ['/bin/garbage'];
    });
    writeFileSync(join(bundle.rootfs, 'bin/garbage'), 'no program', { mode: 0o755 });
    await createContainer(bundle);
    const result = await bundle.runtime('start', bundle.id);
    expect(result).toMatchObject({ status: 1, stderr: 'error: cannot execute /bin/garbage: Exec format error\n' });
    await untilStopped(bundle);
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
