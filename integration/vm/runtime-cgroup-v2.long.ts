import { describe } from 'vitest';
import type { Config } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { changes } from './cgroup-v2-changes.ts';
import { life } from './cgroup-v2-life.ts';
import { limits } from './cgroup-v2-limits.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { testScenarios } from './guest-tests.ts';
import { hostProgram } from './initramfs.ts';
import { setup } from './newer-kernel-setup.ts';
import { findMachine, runGuest } from './vm.ts';

/** The runtime on a host whose controllers are all on cgroup v2, with Linux 6.1, in an emulated machine. */
const guest = new GuestScenarios(life, limits, setup, changes);

const parser = await peer('apparmor-parser');
if ('path' in parser) {
  guest.files.push(...(await hostProgram(parser.path, '/sbin/apparmor_parser')));
  guest.files.push({
    path: '/profile',
    content: 'profile tscompose-vm flags=(attach_disconnected) { file, capability, signal, deny /secret r, }\n',
  });
  const labelled = (profile: string) => (config: Config) => {
    config.process['apparmorProfile'] = profile;
  };
  guest.bundle(
    'label',
    ['cat', '/proc/self/attr/apparmor/current', 'write', '/secret', 'x', 'pause'],
    labelled('tscompose-vm'),
  );
  guest.bundle('no-label', ['true'], labelled('not-loaded'));
  guest.add(
    'an AppArmor profile is put on the process and on what is executed later; one that is not loaded is refused',
    `mkdir -p /sys/kernel/security; mount -t securityfs s /sys/kernel/security 2>/dev/null || true
    apparmor_parser --skip-cache --replace /profile
    use label; create; $rt start label; until_ok has out 'write /secret: ok'; has out 'tscompose-vm (enforce)'
    has /proc/$pid/attr/apparmor/current 'tscompose-vm (enforce)'
    inside cat /proc/self/attr/apparmor/current >inner; has inner 'tscompose-vm (enforce)'
    inside cat /secret >inner || true; has inner 'open /secret: Permission denied'; remove
    use no-label; run; test $status -ne 0; has err not-loaded; gone`,
  );
}

const SETUP = 'mkdir -p /run/rt; test -b /dev/loop0';
const machine = await findMachine();
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios: guest.scripts,
        files: guest.files,
        prelude: PRELUDE,
        setup: SETUP,
        modules: ['overlay', 'loop'],
        deadlineMs: 300_000,
      });

describe.skipIf(!report)('the runtime on cgroup v2, Linux 6.1', () => {
  testScenarios(guest.scripts, report);
});
