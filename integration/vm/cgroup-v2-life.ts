import type { Config } from '../kit/bundle.ts';
import { GuestScenarios } from './guest-bundles.ts';

/** What a container is to its control group, and sees of it, from create to delete. */
export const life = new GuestScenarios();

const withoutPidNamespace = (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
};
const writableCgroup = (config: Config) => {
  for (const mount of config.mounts)
    if (mount.destination === '/sys/fs/cgroup') mount.options = ['nosuid', 'noexec', 'nodev', 'rw'];
};

life.bundle('echo', ['echo', 'hello', 'exit', '7']);
life.add(
  'run returns output and status, and leaves nothing',
  `use echo; run; same $status 7; same "$(cat out)" hello; gone`,
);

life.bundle('life', ['catch']);
life.add(
  'create, start, exec, kill, delete',
  `use life; create
  $rt state life >state; has state '"created"'; same "$(cat $g/cgroup.procs)" $pid
  $rt start life; until_ok has out ready
  inside echo from-exec exit 3 >inner || same $? 3; has inner from-exec
  inside cat /proc/self/cgroup >inner; same "$(cat inner)" "0::/"
  fails $rt delete life
  $rt kill life SIGUSR1; until_ok sh -c "$rt state life | grep -q stopped"
  has out 'caught 10'
  $rt delete life; gone`,
);

life.bundle('view', ['cat', '/proc/self/cgroup', 'mounts', 'ls', '/sys/fs/cgroup', 'mkdir', '/sys/fs/cgroup/x']);
life.add(
  'the cgroup namespace shows the own group as root, read-only',
  `use view; run; same $status 0
  has out 0::/; lacks out tscompose-vm
  has out '/ /sys/fs/cgroup ro,nosuid,nodev,noexec'
  has out cgroup.procs; has out memory.max; has out 'mkdir: Read-only file system'; gone`,
);

const withoutCgroupNamespace = (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
};
const SEEN = ['cat', '/proc/self/cgroup', 'mounts', 'mkdir', '/sys/fs/cgroup/x'];
life.bundle('view-host', SEEN, withoutCgroupNamespace);
life.bundle('view-host-rw', SEEN, (config) => {
  withoutCgroupNamespace(config);
  writableCgroup(config);
});
life.bundle('view-rw', SEEN, writableCgroup);
life.add(
  'without the namespace the own group is bound there; writable when asked',
  `use view-host; run; same $status 0; has out 0::/tscompose-vm/view-host; has out '/tscompose-vm/view-host /sys/fs/cgroup ro,'
  has out 'mkdir: Read-only file system'; gone
  use view-host-rw; run; same $status 0; has out '/tscompose-vm/view-host-rw /sys/fs/cgroup rw,'; has out 'mkdir: ok'; gone
  use view-rw; run; same $status 0; has out 0::/; has out '/ /sys/fs/cgroup rw,'; has out 'mkdir: ok'; gone`,
);

life.bundle('frozen', ['flip', '/a', '/b']);
life.add(
  'pause stops every process, resume continues them, a paused container can be deleted',
  `use frozen; create; $rt start frozen; $rt pause frozen; has $g/cgroup.events 'frozen 1'
  $rt state frozen >state; has state '"paused"'
  before=$(sed -n 's/^usage_usec //p' $g/cpu.stat); sleep 0.5; same $before $(sed -n 's/^usage_usec //p' $g/cpu.stat)
  $rt resume frozen; has $g/cgroup.events 'frozen 0'; $rt state frozen >state; has state '"running"'
  $rt pause frozen; remove`,
);

life.bundle('linger', ['linger', 'linger', 'linger'], withoutPidNamespace);
life.add(
  'delete takes along what ignores every signal',
  `use linger; create; $rt start linger; until_ok sh -c "$rt state linger | grep -q stopped"
  procs=$(cat $g/cgroup.procs); same $(echo $procs | wc -w) 3; remove
  for p in $procs; do fails test -d /proc/$p; done`,
);

const group = '/sys/fs/cgroup';
life.bundle(
  'nest',
  ['mkdir', `${group}/inner`, 'write', `${group}/inner/cgroup.procs`, '0']
    .concat(['write', `${group}/cgroup.subtree_control`, '+memory +pids'])
    .concat('catch'),
  (config) => {
    writableCgroup(config);
    config.linux.resources = { memory: { limit: 64 << 20 } };
  },
);
life.add(
  'a container that makes groups of its own can still be entered, stopped and deleted',
  `use nest; create; $rt start nest; until_ok has out ready; has out 'cgroup.procs: ok'
  has out 'subtree_control: ok'
  same "$(cat $g/inner/cgroup.procs)" $pid
  inside echo entered cat /proc/self/cgroup >inner; has inner entered; cat inner
  $rt pause nest; $rt resume nest
  remove`,
);
