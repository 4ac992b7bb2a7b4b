import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Config, RUNTIME } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** What a host says that lacks the security module; where it is there, integration/vm has the tests. */
const shop = workshopOfFile();

const modules = [
  ...(readFileSync('/proc/filesystems', 'utf8').includes('\tselinuxfs\n') ? ['selinux'] : []),
  ...(existsSync('/sys/module/apparmor') ? ['apparmor'] : []),
];
const cases = [
  {
    what: 'process.selinuxLabel',
    module: 'selinux',
    change: (config: Config) => {
      config.process['selinuxLabel'] = 'system_u:system_r:container_t:s0';
    },
    says: 'process label system_u:system_r:container_t:s0: SELinux is not active on this host',
  },
  {
    what: 'linux.mountLabel',
    module: 'selinux',
    change: (config: Config) => {
      config.linux['mountLabel'] = 'system_u:object_r:container_file_t:s0';
    },
    says: 'linux.mountLabel system_u:object_r:container_file_t:s0: SELinux is not active on this host',
  },
  {
    what: 'process.apparmorProfile',
    module: 'apparmor',
    change: (config: Config) => {
      config.process['apparmorProfile'] = 'docker-default';
    },
    says: 'AppArmor profile docker-default: AppArmor is not active on this host',
  },
].filter(({ module }) => !modules.includes(module));

test.each(cases)('$what is refused with the reason', async ({ change, says }) => {
  const bundle = shop.bundle(['true'], change);
  const result = await bundle.runtime('run', bundle.id);
  expect(result.status).toBe(1);
  expect(result.stderr).toContain(says);
  expect(shop.leftovers()).toEqual([]);
});

test('apparmorProfile unconfined asks for nothing', async () => {
  const bundle = shop.bundle(['true'], (config) => {
    config.process['apparmorProfile'] = 'unconfined';
  });
  expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 0, stderr: '' });
});

test('exec --apparmor and --process-label are refused with the reason', async () => {
  const bundle = shop.bundle(['pause']);
  const create = [RUNTIME, ...bundle.options, 'create', '--bundle', bundle.directory, bundle.id];
  await runProgram('/bin/sh', ['-c', '"$@" >/dev/null 2>"$0" </dev/null', join(bundle.directory, 'said'), ...create]);
  await bundle.runtime('start', bundle.id);
  for (const [option, module] of [
    ['--apparmor', 'AppArmor'],
    ['--process-label', 'SELinux'],
  ] as const) {
    if (modules.includes(module.toLowerCase())) continue;
    const result = await bundle.runtime('exec', option, 'some_label', bundle.id, '/bin/payload', 'true');
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`some_label: ${module} is not active on this host`);
  }
  await bundle.runtime('delete', '--force', bundle.id);
});
