import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import type { Config } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { testScenarios } from './guest-tests.ts';
import { hostProgram } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** Labels of security modules, on kernels that have them: one machine each, since only one of the two can be the first. */
const PROFILES = `profile tscompose-a flags=(attach_disconnected) { file, capability, signal, ptrace, umount, deny /secret r, }
profile tscompose-b flags=(attach_disconnected) { file, capability, signal, ptrace, umount, deny /other r, }
profile tscompose-c flags=(attach_disconnected, complain) { file, }
`;

const apparmor = new GuestScenarios();
const labelled =
  (profile: string, more: (config: Config) => void = () => undefined) =>
  (config: Config) => {
    config.process['apparmorProfile'] = profile;
    more(config);
  };
const users = (config: Config) => {
  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  Object.assign(config.linux, { uidMappings: map, gidMappings: map });
  config.linux.namespaces.push({ type: 'user' });
};
const SHOW = ['cat', '/proc/self/attr/apparmor/current'];

apparmor.bundle('first', ['pause'], labelled('tscompose-a'));
apparmor.add(
  'a process executed later has the container’s profile, or another that is asked for',
  `use first; create; $rt start first
  has /proc/$pid/attr/apparmor/current 'tscompose-a (enforce)'
  inside ${SHOW.join(' ')} >inner; has inner 'tscompose-a (enforce)'
  $rt exec --apparmor tscompose-b first /bin/payload ${SHOW.join(' ')} >inner; has inner 'tscompose-b (enforce)'
  $rt exec --apparmor tscompose-c first /bin/payload ${SHOW.join(' ')} >inner; has inner 'tscompose-c (complain)'
  fails $rt exec --apparmor not-there first /bin/payload true 2>why
  has why 'cannot set AppArmor profile not-there: it is not loaded on this host'; remove`,
);
apparmor.bundle(
  'hidden',
  ['pause'],
  labelled('tscompose-a', (config) => {
    config.linux['maskedPaths'] = ['/proc/1/attr', '/proc/self/attr', '/proc/thread-self'];
  }),
);
apparmor.add(
  'a covered /proc of the container keeps nobody from the profile',
  `use hidden; create; $rt start hidden; has /proc/$pid/attr/apparmor/current 'tscompose-a (enforce)'
  $rt exec --detach --pid-file two hidden /bin/payload pause
  has /proc/$(cat two)/attr/apparmor/current 'tscompose-a (enforce)'; remove`,
);
apparmor.bundle('missing', ['true'], labelled('not-loaded'));
apparmor.add(
  'a profile that is not loaded is refused, and nothing is left',
  `use missing; run; test $status -ne 0; has err 'cannot set AppArmor profile not-loaded: it is not loaded on this host'; gone`,
);
apparmor.bundle(
  'privileges',
  [...SHOW, 'status'],
  labelled('tscompose-a', (config) => {
    config.process['noNewPrivileges'] = true;
    config.process.user = { uid: 1000, gid: 1000 };
  }),
);
apparmor.add(
  'another user, without new privileges',
  `use privileges; run; same $status 0; has out 'tscompose-a (enforce)'; grep -q '^NoNewPrivs:.1' out; gone`,
);
apparmor.bundle('users', ['pause'], labelled('tscompose-a', users));
apparmor.add(
  'in a user namespace of its own',
  `use users; mkdir -p rootfs/proc rootfs/dev rootfs/sys; chown -R 100000:100000 rootfs; create; $rt start users; has /proc/$pid/attr/apparmor/current 'tscompose-a (enforce)'
  inside ${SHOW.join(' ')} >inner; has inner 'tscompose-a (enforce)'; remove`,
);
apparmor.bundle('wrong-module', ['true'], (config) => {
  config.process['selinuxLabel'] = 'system_u:system_r:container_t:s0';
});
apparmor.add(
  'a label of SELinux is refused where that is not the module',
  `use wrong-module; run; test $status -ne 0; has err 'SELinux is not active on this host'; gone`,
);

const selinux = new GuestScenarios();
selinux.bundle('label', ['cat', '/proc/self/attr/current', 'pause'], (config) => {
  config.process['selinuxLabel'] = 'u:r:inside_t:s0:c0';
});
selinux.add(
  'the process has its label, also what is executed later, or another that is asked for',
  `use label; create; $rt start label; until_ok has out u:r:inside_t:s0:c0; has /proc/$pid/attr/current u:r:inside_t:s0:c0
  inside cat /proc/self/attr/current >inner; has inner u:r:inside_t:s0:c0
  $rt exec --process-label u:r:other_t:s0:c1 label /bin/payload cat /proc/self/attr/current >inner; has inner u:r:other_t:s0:c1
  remove`,
);
selinux.bundle('unknown', ['true'], (config) => {
  config.process['selinuxLabel'] = 'nobody_u:nothing_r:nowhere_t:s0';
});
selinux.add(
  'one that the policy does not know is refused',
  `use unknown; run; test $status -ne 0
  has err 'cannot set process label nobody_u:nothing_r:nowhere_t:s0: the kernel refuses it: Invalid argument'; gone`,
);
selinux.bundle('mounts', ['mounts'], (config) => {
  config.process['selinuxLabel'] = 'u:r:inside_t:s0:c0,c1';
  config.linux['mountLabel'] = 'u:object_r:files_t:s0:c0,c1';
});
selinux.add(
  'what is mounted has the label of mounts',
  `use mounts; run; cat err; same $status 0
  for at in /dev /dev/pts /dev/shm; do grep " $at " out >line; has line 'context="u:object_r:files_t:s0:c0,c1"'; done; gone`,
);
selinux.bundle('layers', ['mounts'], (config) => {
  config.linux['mountLabel'] = 'u:object_r:files_t:s0';
  config.annotations['dev.tscompose.overlay'] = JSON.stringify({
    lower: ['/b/layers/rootfs'],
    upper: '/b/layers/u',
    work: '/b/layers/w',
  });
});
selinux.add(
  'the overlay, too',
  `use layers; mkdir -p u w top; run; cat err; same $status 0; grep ' / ' out >line; has line overlay
  has line 'context=u:object_r:files_t:s0'; gone`,
);
selinux.bundle('wrong-mounts', ['true'], (config) => {
  config.linux['mountLabel'] = 'u:object_r:nothing_t:s0';
});
selinux.add(
  'a label of mounts that the policy does not know is refused',
  `use wrong-mounts; run; test $status -ne 0; has err u:object_r:nothing_t:s0; gone`,
);
selinux.bundle('apparmor', ['true'], labelled('tscompose-a'));
selinux.add(
  'a profile of AppArmor is refused where that is not the module',
  `use apparmor; run; test $status -ne 0; has err 'AppArmor is not active on this host'; gone`,
);

/** The least that is a policy: everything the kernel starts with has one label, and nothing is forbidden. */
async function compilePolicy(compiler: string): Promise<Buffer> {
  const sids = (
    'kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket ' +
    'sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull'
  ).split(' ');
  const types = ['inside_t', 'other_t', 'base_t'];
  const text = [
    '(handleunknown allow) (mls true) (class file (read)) (class dir (read)) (class process (transition dyntransition)) (classorder (file dir process)) (policycap nnp_nosuid_transition) (user u) (role r) (role object_r)',
    `(sidorder (${sids.join(' ')}))`,
    ...sids.map((sid) => `(sid ${sid}) (sidcontext ${sid} (u r base_t ((s0) (s0))))`),
    ...types.map((type) => `(type ${type}) (roletype r ${type})`),
    '(type files_t) (roletype object_r files_t) (userrole u r) (userrole u object_r)',
    '(sensitivity s0) (sensitivityorder (s0)) (category c0) (category c1) (categoryorder (c0 c1))',
    '(sensitivitycategory s0 (c0 c1)) (userlevel u (s0)) (userrange u ((s0) (s0 (c0 c1))))',
    '(fsuse trans mqueue (u object_r files_t ((s0) (s0)))) (allow base_t base_t (file (read)))',
  ];
  const directory = mkdtempSync('/tmp/tsc-policy-');
  try {
    writeFileSync(`${directory}/policy.cil`, text.join('\n'));
    const output = ['--filecontext=/dev/null', `--output=${directory}/policy`, '--policyvers=33'];
    const { status, stderr, stdout } = await runProgram(compiler, [...output, `${directory}/policy.cil`]);
    if (status !== 0) throw new Error(`secilc: ${stdout}${stderr}`);
    return readFileSync(`${directory}/policy`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const machine = await findMachine();
const parser = await peer('apparmor-parser');
const compiler = await peer('secilc');
const unavailable = 'reason' in machine || 'reason' in parser || 'reason' in compiler;
const plan = { prelude: PRELUDE, modules: ['overlay'], deadlineMs: 200_000 };
const onAppArmor =
  'reason' in machine || 'reason' in parser
    ? undefined
    : await runGuest(machine, {
        ...plan,
        scenarios: apparmor.scripts,
        setup: 'mkdir -p /run/rt; apparmor_parser --skip-cache --replace /profile',
        files: [
          ...apparmor.files,
          { path: '/profile', content: PROFILES },
          ...(await hostProgram(parser.path, '/sbin/apparmor_parser')),
        ],
      });
const onSelinux =
  'reason' in machine || 'reason' in compiler
    ? undefined
    : await runGuest(machine, {
        ...plan,
        scenarios: selinux.scripts,
        setup: 'mkdir -p /run/rt; mount -t selinuxfs none /sys/fs/selinux; cat /policy >/sys/fs/selinux/load',
        files: [...selinux.files, { path: '/policy', content: await compilePolicy(compiler.path) }],
        kernelArguments: 'security=selinux selinux=1 enforcing=0',
      });

describe.skipIf(unavailable).each([
  { module: 'AppArmor', scripts: apparmor.scripts, report: onAppArmor },
  { module: 'SELinux', scripts: selinux.scripts, report: onSelinux },
])('$module', ({ scripts, report }) => {
  testScenarios(scripts, report);
});
