import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import type { Config } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { testScenarios } from './guest-tests.ts';
import { hostProgram, hostPrograms } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** Namespaces, id maps and mounts where the kernel lacks what later ones have: Linux 6.1, cgroup v2. */
const guest = new GuestScenarios();

const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const users = (config: Config): void => {
  config.linux.namespaces.push({ type: 'user' });
  config.linux['uidMappings'] = map;
  config.linux['gidMappings'] = map;
};

guest.bundle('users', ['catch'], (config) => {
  users(config);
  config.linux.resources = { pids: { limit: 9 }, memory: { limit: 32 << 20 } };
  config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 300, hard: 400 }];
  config.process['oomScoreAdj'] = 55;
  config.linux['sysctl'] = { 'net.ipv4.ip_unprivileged_port_start': '7', 'kernel.msgmax': '4097' };
});
guest.add(
  'a user namespace: maps, group, limits, exec',
  `use users; own rootfs; create
  same "$(tr -s ' ' </proc/$pid/uid_map)" ' 0 100000 65536'; same "$(cat $g/cgroup.procs)" $pid; same "$(cat $g/pids.max)" 9
  same "$(cat /proc/$pid/oom_score_adj)" 55; has /proc/$pid/limits 'Max open files            300                  400'
  $rt start users; until_ok has out ready
  inside status cat /proc/self/uid_map cat /proc/self/cgroup cat /proc/sys/net/ipv4/ip_unprivileged_port_start cat /proc/sys/kernel/msgmax >inner
  grep -q '^Uid:.0.0.0.0$' inner; has inner 100000; has inner 0::/; same "$(tail -2 inner | tr '\\n' ' ')" '7 4097 '
  inside stat /dev/null write /dev/null x stat /sys/kernel >inner; has inner 'mode=20666 uid=65534 gid=65534 rdev=1:3'; has inner 'write /dev/null: ok'
  inside mounts >inner; has inner ' / /sys ro,'; has inner '/ /sys/fs/cgroup ro,'; has inner ' /proc/keys ro,'
  $rt kill users TERM; until_ok has out 'caught 15'; remove`,
);

guest.bundle('limited', ['true'], (config) => {
  users(config);
  config.linux.resources = { pids: { limit: 1 } };
});
guest.add('one process is enough to set up', 'use limited; own rootfs; run; cat err; same $status 0; gone');

guest.bundle('overlay', ['cat', '/same', 'write', '/new', 'x', 'mounts'], (config) => {
  users(config);
  const overlay = { lower: ['/lower/top', '/lower/bottom'], upper: '/lower/upper', work: '/lower/work' };
  config.annotations['dev.tscompose.overlay'] = JSON.stringify(overlay);
});
guest.add(
  'the overlay of a user namespace, on a kernel that takes layers as one option',
  `use overlay; mkdir -p /lower/top/bin /lower/bottom /lower/upper /lower/work; cp /bin/payload /lower/top/bin/
  echo bottom >/lower/bottom/same; own /lower; chmod 700 /b
  run; cat err; same $status 0; has out bottom; has out 'write /new: ok'; same "$(stat -c %u /lower/upper/new)" 100000; gone`,
);

const shift = (config: Config): void => {
  config.linux.namespaces.push({ type: 'time' });
  config.linux['timeOffsets'] = { boottime: { secs: 86_400 } };
};
guest.bundle('time', ['cat', '/proc/uptime'], shift);
guest.bundle('time-users', ['cat', '/proc/uptime'], (config) => {
  users(config);
  shift(config);
});
guest.add(
  'time namespaces',
  `for kind in time time-users; do
    use $kind; own rootfs; run; cat err; same $status 0; test $(cut -d. -f1 out) -gt 86400; gone
  done`,
);

const volume = (source: string) => (config: Config) => {
  users(config);
  config.mounts.push({ destination: '/volume', type: 'bind', source, options: ['bind', 'idmap', 'nosymfollow'] });
};
guest.bundle('id-map', ['stat', '/volume/file', 'write', '/volume/made', 'x', 'mounts'], volume('/disk'));
guest.bundle('id-map-tmpfs', ['true'], volume('/tmp'));
guest.add(
  'an id-mapped mount of ext4; of tmpfs it is refused, later kernels can',
  `mkdir -p /disk; mount -t ext4 /dev/vda /disk; echo x >/disk/file; chown 5:6 /disk/file
  use id-map; own rootfs; run; cat err; same $status 0; has out 'uid=5 gid=6'; has out 'write /volume/made: ok'
  has out nosymfollow; same "$(stat -c %u /disk/made)" 0; gone
  use id-map-tmpfs; own rootfs; run; test $status -ne 0; has err 'the file system of /tmp cannot be id-mapped by this kernel'; gone
  umount /disk`,
);

guest.bundle('layers', ['stat', '/file', 'write', '/made', 'x'], (config) => {
  users(config);
  const overlay = {
    lower: ['/disk/top', '/disk/bottom'],
    upper: '/disk/own/upper',
    work: '/disk/own/work',
    idmap: true,
  };
  config.annotations['dev.tscompose.overlay'] = JSON.stringify(overlay);
});
guest.add(
  'an overlay of id-mapped layers',
  `use layers; mount -t ext4 /dev/vda /disk; mkdir -p /disk /disk/top/bin /disk/bottom /disk/own/upper /disk/own/work; cp /bin/payload /disk/top/bin/
  echo x >/disk/bottom/file; chown 33:34 /disk/bottom/file; run; cat err; same $status 0; has out 'uid=33 gid=34'; has out 'write /made: ok'
  same "$(stat -c %u /disk/own/upper/made)" 0; gone; umount /disk`,
);

guest.bundle('options', ['mounts', 'stat', '/up/file'], (config) => {
  config.mounts.push(
    { destination: '/tree', type: 'bind', source: '/source', options: ['rbind', 'rro', 'rnoexec', 'rslave'] },
    { destination: '/up', type: 'tmpfs', options: ['tmpcopyup', 'size=64k'] },
    { destination: '/up', type: 'tmpfs', options: ['remount', 'size=128k'] },
  );
});
guest.add(
  'recursive attributes, tmpcopyup, remount',
  `use options; mkdir -p /source/below rootfs/up; echo x >rootfs/up/file; chown 3:4 rootfs/up/file; mount -t tmpfs -o nosuid below /source/below
  run; cat err; same $status 0; grep ' /tree/below ro,nosuid,noexec' out; grep ' /up .*size=128k' out; has out 'uid=3 gid=4'; gone
  umount /source/below`,
);

guest.bundle('rootless', ['catch'], (config) => {
  const own = [{ containerID: 0, hostID: 1000, size: 1 }];
  users(config);
  config.linux['uidMappings'] = own;
  config.linux['gidMappings'] = own;
  delete config.linux['cgroupsPath'];
});
guest.add(
  'an unprivileged user',
  `use rootless; g=/none; chown -R 1000:1000 /b/rootless; chmod 755 /b; chmod 666 /dev/null; mkdir -p /run/user; chown 1000:1000 /run/user
  as='/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups'; rt="$as tscompose-runtime --root /run/user/rt"; cd /b/rootless
  $as sh -c 'tscompose-runtime --root /run/user/rt create --pid-file pid rootless >out 2>err </dev/null' || { cat err; exit 1; }
  pid=$(cat pid); same "$(tr -s ' ' </proc/$pid/uid_map)" ' 0 1000 1'; $rt start rootless; until_ok has out ready
  inside id exit 4 >inner || same $? 4; has inner 'uid=0 gid=0'
  $rt kill rootless TERM; until_ok has out 'caught 15'; until_ok sh -c "$rt state rootless | grep -q stopped"; $rt delete rootless; gone`,
);

const parser = await peer('apparmor-parser');
if ('path' in parser) {
  const program = await hostProgram(parser.path, '/sbin/apparmor_parser');
  const content = 'profile tscompose-vm flags=(attach_disconnected) { file, capability, signal, deny /secret r, }\n';
  guest.files.push(...program, { path: '/profile', content });
  guest.bundle('label', ['cat', '/proc/self/attr/apparmor/current', 'pause'], (config) => {
    users(config);
    config.process['apparmorProfile'] = 'tscompose-vm';
    config.linux['seccomp'] = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
    };
  });
  guest.add(
    'an AppArmor profile and a seccomp filter in a user namespace, also at exec',
    `apparmor_parser --skip-cache --replace /profile
    use label; own rootfs; create; $rt start label; until_ok has out 'tscompose-vm (enforce)'
    inside cat /proc/self/attr/apparmor/current mkdir /x >inner; has inner 'tscompose-vm (enforce)'; has inner 'mkdir: Operation not supported'; remove`,
  );
}

const OWN = `
own() { chown -R 100000:100000 "$1"; }
`;
const machine = await findMachine();
const directory = mkdtempSync('/tmp/tsc-vm-disk-');
const disk = join(directory, 'disk');
const made = await runProgram('/usr/sbin/mkfs.ext4', ['-q', disk, '32M']);
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios: guest.scripts,
        files: [...guest.files, ...(await hostPrograms(['/usr/bin/setpriv']))],
        prelude: PRELUDE + OWN,
        setup: 'mkdir -p /run/rt; test -b /dev/vda',
        modules: ['overlay', 'ext4', 'crc32c_generic', 'virtio_pci', 'virtio_blk'],
        disk,
        deadlineMs: 300_000,
      });
rmSync(directory, { recursive: true });

describe.skipIf(!report)('namespaces on Linux 6.1', () => {
  test('the disk is made', () => {
    expect(made).toMatchObject({ status: 0 });
  });
  testScenarios(guest.scripts, report);
});
