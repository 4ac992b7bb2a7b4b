import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Bundle, Config } from '../kit/bundle.ts';
import { callDetached } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** A create that fails says at which step, on what and why, and leaves nothing. */
const shop = workshopOfFile();

interface Failure {
  readonly change?: (config: Config, bundle: Bundle) => void;
  readonly options?: (bundle: Bundle) => string[];
  readonly message: RegExp;
}

const withNamespacePath = (type: string, path: string) => (config: Config) => {
  const namespace = config.linux.namespaces.find((one) => one.type === type);
  if (namespace !== undefined) namespace.path = path;
};

/** Roughly in the order of the set-up. */
const failures: Record<string, Failure> = {
  'no config.json': {
    options: (bundle) => ['--bundle', bundle.rootfs],
    message: /config\.json: No such file or directory/,
  },
  'no bundle': {
    options: () => ['--bundle', '/nonexistent'],
    message: /cannot find bundle \/nonexistent: No such file/,
  },
  'a descriptor to pass on that is not open': {
    options: () => ['--preserve-fds', '2'],
    message: /descriptor 3 is to be passed on, but is not open: Bad file descriptor/,
  },
  'nobody at the console socket': {
    change: (config) => {
      config.process['terminal'] = true;
    },
    options: (bundle) => ['--console-socket', join(bundle.directory, 'none')],
    message: /cannot connect to console socket .*none: No such file or directory/,
  },
  'a namespace path that is none': {
    change: withNamespacePath('network', '/dev/null'),
    message: /network namespace \/dev\/null|\/dev\/null is not a network namespace/,
  },
  'a namespace of another kind': {
    change: withNamespacePath('network', '/proc/self/ns/uts'),
    message: /\/proc\/self\/ns\/uts is not a network namespace/,
  },
  'a limit the kernel refuses': {
    change: (config) => {
      config.linux.resources['cpu'] = { cpus: '9999' };
    },
    message: /cpuset\.cpus.*: (Invalid argument|Numerical result out of range|No space left)/,
  },
  'a createRuntime hook': {
    change: (config) => {
      config.hooks['createRuntime'] = [{ path: '/nonexistent/hook' }];
    },
    message: /createRuntime hook: \/nonexistent\/hook ended with status 127/,
  },
  'a sysctl that is not there': {
    change: (config) => {
      config.linux['sysctl'] = { 'net.ipv4.nonexistent': '1' };
    },
    message: /set sysctls: sysctl net\.ipv4\.nonexistent: .*No such file or directory/,
  },
  'no root': {
    change: (config) => {
      config.root.path = 'missing';
    },
    message: /mount root: .*missing.*: No such file or directory/,
  },
  'a mount without its source': {
    change: (config) => {
      config.mounts.push({ destination: '/data', source: '/nonexistent/source', options: ['bind'] });
    },
    message: /mount: \/data: .*\/nonexistent\/source: No such file or directory/,
  },
  'a mount option that the file system refuses': {
    change: (config) => {
      config.mounts.push({ destination: '/data', type: 'tmpfs', source: 'x', options: ['size=many'] });
    },
    message: /mount: \/data: .*size.*: Invalid argument/,
  },
  'a device below a file': {
    change: (config, bundle) => {
      writeFileSync(join(bundle.rootfs, 'file'), '');
      config.linux['devices'] = [{ path: '/file/null', type: 'c', major: 1, minor: 3 }];
    },
    message: /make devices: refused: \/file of the container's root file system is not a plain directory/,
  },
  'a terminal without devpts': {
    change: (config, bundle) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev/pts');
      config.process['terminal'] = true;
      mkdirSync(join(bundle.rootfs, 'dev'), { recursive: true });
    },
    options: (bundle) => ['--console-socket', join(bundle.directory, 'console')],
    message: /console|open terminal/,
  },
  'a createContainer hook': {
    change: (config) => {
      config.hooks['createContainer'] = [{ path: '/bin/false' }];
    },
    message: /run createContainer hooks: createContainer hook: \/bin\/false ended with status 1/,
  },
  'a limit above the hard one': {
    change: (config) => {
      config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 2 ** 40, hard: 2 ** 40 }];
    },
    message: /set limits: cannot set RLIMIT_NOFILE .*: Operation not permitted/,
  },
  'a working directory that is a file': {
    change: (config, bundle) => {
      writeFileSync(join(bundle.rootfs, 'file'), '');
      config.process['cwd'] = '/file';
    },
    message: /enter working directory: .*\/file.*: Not a directory/,
  },
  'a program that is not there': {
    change: (config) => {
      config.process.args = ['nonexistent'];
    },
    message: /find program: cannot execute nonexistent: not found in the container's PATH/,
  },
  'a program that is a directory': {
    change: (config) => {
      config.process.args = ['/bin'];
    },
    message: /find program: cannot execute \/bin: Permission denied/,
  },
  'a pid file that cannot be written': {
    options: () => ['--pid-file', '/nonexistent/pid'],
    message: /\/nonexistent\/pid.*: No such file or directory/,
  },
};

/** Processes that have anything to do with the workshop. */
function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return words.includes(directory) ? [`${pid} ${words.replaceAll('\0', ' ')}`] : [];
      } catch {
        return []; // gone meanwhile
      }
    });
}

test.each(Object.entries(failures))('%s', async (_, { change, options, message }) => {
  const bundle = shop.bundle(['pause']);
  bundle.write((config) => change?.(config, bundle));
  const result = await callDetached(bundle, 'create', [...(options?.(bundle) ?? []), bundle.id]);
  expect(result.status).toBe(1);
  expect(result.stderr).toMatch(message);
  expect(result.stderr).toMatch(/^error: .*\n$/);
  expect(shop.leftovers()).toEqual([]);
  expect(processesOf(shop.directory)).toEqual([]);
  expect(existsSync(join(bundle.directory, 'pid'))).toBe(false);
  expect(await bundle.runtime('state', bundle.id)).toMatchObject({
    stderr: `error: container ${bundle.id} does not exist\n`,
  });
});

test('the log has the reason as JSON, standard error in words', async () => {
  const bundle = shop.bundle(['pause'], (config) => {
    config.process.args = ['/nonexistent'];
  });
  const log = join(bundle.directory, 'log');
  const reason = 'find program: cannot execute /nonexistent: No such file or directory';
  expect(await bundle.runtime('--log', log, '--log-format', 'json', 'run', bundle.id)).toMatchObject({
    status: 1,
    stderr: `error: ${reason}\n`,
  });
  expect(JSON.parse(readFileSync(log, 'utf8'))).toMatchObject({ level: 'error', msg: reason });
});
