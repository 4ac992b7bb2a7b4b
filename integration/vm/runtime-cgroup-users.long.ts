import { existsSync } from 'node:fs';
import { describe } from 'vitest';
import type { Config } from '../kit/bundle.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { testScenarios } from './guest-tests.ts';
import { hostPrograms } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** Groups that somebody else owns: those given to an unprivileged user, and the scopes of a systemd. With every controller on cgroup v2. */
const guest = new GuestScenarios();
const SYSTEMD = '/usr/lib/systemd/systemd';
const USER = 1000;

const SETUP = `mkdir -p /run/rt /run/units /run/user/${USER}; chown ${USER}:${USER} /run/user/${USER}; chmod 755 /run /b
for unit in start shutdown basic sysinit slices; do printf '[Unit]\\nDefaultDependencies=no\\n' >/run/units/$unit.target; done
for c in memory pids cpu io cpuset; do echo +$c >/sys/fs/cgroup/cgroup.subtree_control; done`;

const FUNCTIONS = `
top=/sys/fs/cgroup
export SYSTEMD_UNIT_PATH=/run/systemd/transient:/run/systemd/system.control:/run/units SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent
export SYSTEMD_LOG_TARGET=console
# give GROUP CONTROLLER...: a subtree that belongs to the user, with a leaf for his shell.
give() {
  mkdir -p $top/$1; for c in $2; do echo +$c >$top/$(dirname $1)/cgroup.subtree_control; done
  chown ${USER}:${USER} $top/$1 $top/$1/cgroup.procs $top/$1/cgroup.subtree_control $top/$1/cgroup.threads
  mkdir -p $top/$1/cli; chown ${USER}:${USER} $top/$1/cli $top/$1/cli/cgroup.procs
}
# as GROUP WORD...: the runtime as the user, from that group.
as() {
  where=$1; shift
  sh -c 'echo $$ >$0/cgroup.procs; exec /usr/bin/setpriv --reuid ${USER} --regid ${USER} --clear-groups "$@"' $top/$where \\
    env -i PATH=/usr/bin:/bin HOME=/run/user/${USER} XDG_RUNTIME_DIR=/run/user/${USER} "$@" </dev/null
}
# Nothing but the shell's own trace.
quiet() { same "$(grep -v '^+' err)" ''; }
mine() { use $1; chown -R ${USER}:${USER} /b/$1; shift; }
user_rt="tscompose-runtime --root /run/user/${USER}/rt"
`;

/** A container of the user's: his id is root in it. */
const own =
  (path: string | undefined, resources: object = {}) =>
  (config: Config) => {
    if (path === undefined) delete config.linux['cgroupsPath'];
    else config.linux['cgroupsPath'] = path;
    config.linux.resources = { ...resources };
    config.linux.namespaces.push({ type: 'user' });
    config.linux['uidMappings'] = [{ containerID: 0, hostID: USER, size: 1 }];
    config.linux['gidMappings'] = [{ containerID: 0, hostID: USER, size: 1 }];
    for (const mount of config.mounts) mount.options = mount.options?.filter((option) => option !== 'gid=5') ?? [];
  };

guest.bundle('given', ['pause'], own('/deleg/own/box', { memory: { limit: 64 << 20 }, pids: { limit: 12 } }));
guest.add(
  'limits hold in a group that was given to the user',
  `mkdir -p $top/deleg; give deleg/own 'memory pids'; mine given; b=$top/deleg/own/box
  as deleg/own/cli $user_rt create --bundle /b/given --pid-file pid given >out 2>err || { cat err; exit 1; }
  quiet; pid=$(cat pid); same "$(cat $b/cgroup.procs)" $pid
  same "$(cat $b/memory.max)" $((64 << 20)); same "$(cat $b/pids.max)" 12; as deleg/own/cli $user_rt start given
  as deleg/own/cli $user_rt exec given /bin/payload cat /proc/self/cgroup >inner; same "$(cat inner)" 0::/
  as deleg/own/cli $user_rt update --memory 32m --pids-limit 9 given; same "$(cat $b/memory.max)" $((32 << 20))
  as deleg/own/cli $user_rt exec given /bin/payload forkbomb 20 >inner; has inner 'fork: Resource temporarily unavailable'
  as deleg/own/cli $user_rt pause given; has $b/cgroup.events 'frozen 1'; as deleg/own/cli $user_rt resume given
  as deleg/own/cli $user_rt delete --force given; fails test -e $b; fails test -e /run/user/${USER}/rt/given`,
);

guest.bundle('relative', ['cat', '/proc/self/cgroup'], (config) => {
  own('sub/box')(config);
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
  config.mounts = config.mounts.filter(({ type }) => type !== 'cgroup');
});
guest.add(
  "a relative path counts from the user's own group",
  `mkdir -p $top/deleg; give deleg/own 'memory pids'; mine relative
  as deleg/own/cli $user_rt run --bundle /b/relative relative >out 2>err; cat err
  quiet; same "$(cat out)" 0::/deleg/own/cli/sub/box; fails test -e $top/deleg/own/cli/sub/box`,
);

guest.bundle('more', ['true'], own('/deleg/own/box', { cpu: { quota: 10_000 } }));
guest.add(
  'a controller that was not given is refused by name',
  `mkdir -p $top/deleg; give deleg/own 'memory pids'; mine more
  fails as deleg/own/cli $user_rt run --bundle /b/more more >out 2>err
  has err 'does not have this controller'; has err cpu.max; fails test -e $top/deleg/own/box`,
);

guest.bundle('none', ['cat', '/proc/self/cgroup', 'ls', '/sys/fs/cgroup'], own('/elsewhere/box'));
guest.bundle('nothing', ['true'], own('/elsewhere/box', { memory: { limit: 64 << 20 } }));
guest.add(
  'without any rights: a warning when nothing was asked, else a refusal that names the controller',
  `mkdir -p $top/foreign; mine none
  as foreign $user_rt run --bundle /b/none none >out 2>err; has err 'warning: no cgroup of its own'; has out 0::/
  has out cgroup.procs; mine nothing; fails as foreign $user_rt run --bundle /b/nothing nothing >out 2>err
  has err 'linux.resources asks for the memory controller, which this user may not use'
  fails test -e $top/elsewhere; fails test -e /run/user/${USER}/rt/nothing`,
);

guest.bundle('scope', ['pause'], (config) => {
  config.linux['cgroupsPath'] = 'machine.slice:vm:scope';
  config.linux.resources = {
    memory: { limit: 64 << 20, swap: 96 << 20, reservation: 16 << 20 },
    cpu: { shares: 2048, quota: 15_000, period: 50_000, cpus: '0' },
    pids: { limit: 44 },
    unified: { 'memory.high': '50000000' },
  };
});
guest.bundle('user-scope', ['pause'], own('::box', { memory: { limit: 64 << 20 }, pids: { limit: 21 } }));
if (existsSync(SYSTEMD)) {
  guest.add(
    'a scope of systemd has the limits, in its properties and in its files, and update changes both',
    `mkdir -p $top/sd/cli
    sh -c 'echo $$ >$0/cgroup.procs; container=vm exec /usr/bin/unshare -m -p -f -C --kill-child sh -c "$1"' $top/sd \\
      'mount -t proc proc /proc; umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec ${SYSTEMD} --system --unit=start.target' \\
      >sd.log 2>&1 & machine=$!
    # The one that waits outside must not keep the group occupied.
    until_ok eval 'test -n "$(cat /proc/$machine/task/$machine/children)"'; echo $machine >$top/cgroup.procs
    until_ok test -S /run/systemd/private || { cat sd.log; exit 1; }; first=$(cat /proc/$machine/task/$machine/children | tr -d ' ')
    use scope
    inside_sd() { sh -c 'echo $$ >'$top'/sd/cli/cgroup.procs; exec /usr/bin/nsenter -t '$first' -m -p -C "$@"' sh "$@" </dev/null; }
    inside_sd $rt --systemd-cgroup create --bundle /b/scope scope >out 2>err || { cat err; exit 1; }; quiet
    s=$top/sd/machine.slice/vm-scope.scope; same $(cat $s/cgroup.procs | wc -l) 1
    show() { inside_sd systemctl show vm-scope.scope -p "$1" --value; }
    same "$(show Delegate)" yes; same "$(show Slice)" machine.slice; same "$(show MemoryMax)" $((64 << 20))
    same "$(show MemorySwapMax)" $((32 << 20)); same "$(show MemoryLow)" $((16 << 20)); same "$(show TasksMax)" 44
    same "$(show CPUWeight)" 174; same "$(show CPUQuotaPerSecUSec)" 300ms; same "$(show AllowedCPUs)" 0
    same "$(cat $s/memory.max)" $((64 << 20)); same "$(cat $s/memory.swap.max)" $((32 << 20)); same "$(cat $s/pids.max)" 44
    same "$(cat $s/cpu.max)" '15000 50000'; same "$(cat $s/memory.high)" 49999872
    inside_sd $rt start scope; inside_sd $rt update --memory 100m --memory-swap 100m --pids-limit 9 scope
    same "$(show MemoryMax)" $((100 << 20)); same "$(show TasksMax)" 9; same "$(cat $s/memory.max)" $((100 << 20))
    inside_sd systemctl daemon-reload; same "$(cat $s/memory.max)" $((100 << 20)); same "$(cat $s/pids.max)" 9
    inside_sd $rt delete --force scope; fails test -e $s; same "$(inside_sd systemctl list-units --all --no-legend 'vm-*')" ''
    kill -9 $machine; until_ok has $top/sd/cgroup.events 'populated 0'; rm -f /run/systemd/private`,
  );
  guest.add(
    "a user's own systemd makes the scope for a container without privileges",
    `give sduser 'memory pids cpu'; mine user-scope
    as sduser env SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=console ${SYSTEMD} --user --unit=start.target >user.log 2>&1 & manager=$!
    until_ok test -S /run/user/${USER}/systemd/private || { cat user.log; exit 1; }
    as sduser/cli $user_rt --systemd-cgroup create --bundle /b/user-scope box >out 2>err || { cat err user.log; exit 1; }
    quiet; s=$top/sduser/user.slice/box.scope; test -d $s || s=$(find $top/sduser -name box.scope); echo $s
    same "$(cat $s/memory.max)" $((64 << 20)); same "$(cat $s/pids.max)" 21; same $(cat $s/cgroup.procs | wc -l) 1
    as sduser/cli $user_rt start box; as sduser/cli $user_rt exec box /bin/payload echo within >inner; has inner within
    as sduser/cli $user_rt delete --force box; fails test -e $s
    kill -9 $manager`,
  );
}

const machine = await findMachine();
const programs = ['/usr/bin/setpriv', '/usr/bin/unshare', '/usr/bin/nsenter'];
if (existsSync(SYSTEMD)) programs.push(SYSTEMD, '/usr/bin/systemctl');
else console.warn(`not tested: scopes, for want of ${SYSTEMD}`);
if (!('reason' in machine)) guest.files.push(...(await hostPrograms(programs)));
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios: guest.scripts,
        files: guest.files,
        prelude: PRELUDE + FUNCTIONS,
        setup: SETUP,
        modules: [],
        memoryMiB: 768,
        deadlineMs: 300_000,
      });

describe.skipIf(!report)('groups that are given, Linux 6.1', () => {
  testScenarios(guest.scripts, report);
});
