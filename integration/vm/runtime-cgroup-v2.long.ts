import { describe, expect, test } from 'vitest';
import type { Config } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { hostPrograms } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** The runtime on a host whose controllers are all on cgroup v2, with Linux 6.1, in an emulated machine. */
const guest = new GuestScenarios();

const withoutPidNamespace = (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
};
const writableCgroup = (config: Config) => {
  for (const mount of config.mounts)
    if (mount.destination === '/sys/fs/cgroup') mount.options = ['nosuid', 'noexec', 'nodev', 'rw'];
};

guest.bundle('echo', ['echo', 'hello', 'exit', '7']);
guest.add(
  'run returns output and status, and leaves nothing',
  `use echo; run; same $status 7; same "$(cat out)" hello; gone`,
);

guest.bundle('life', ['catch']);
guest.add(
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

guest.bundle('view', ['cat', '/proc/self/cgroup', 'mounts', 'ls', '/sys/fs/cgroup', 'mkdir', '/sys/fs/cgroup/x']);
guest.add(
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
guest.bundle('view-host', SEEN, withoutCgroupNamespace);
guest.bundle('view-host-rw', SEEN, (config) => {
  withoutCgroupNamespace(config);
  writableCgroup(config);
});
guest.bundle('view-rw', SEEN, writableCgroup);
guest.add(
  'without the namespace the own group is bound there; writable when asked',
  `use view-host; run; same $status 0; has out 0::/tscompose-vm/view-host; has out '/tscompose-vm/view-host /sys/fs/cgroup ro,'
  has out 'mkdir: Read-only file system'; gone
  use view-host-rw; run; same $status 0; has out '/tscompose-vm/view-host-rw /sys/fs/cgroup rw,'; has out 'mkdir: ok'; gone
  use view-rw; run; same $status 0; has out 0::/; has out '/ /sys/fs/cgroup rw,'; has out 'mkdir: ok'; gone`,
);

guest.bundle('limits', ['pause'], (config) => {
  config.linux.resources = {
    memory: { limit: 64 << 20, reservation: 32 << 20, swap: 96 << 20 },
    cpu: { shares: 1024, quota: 25_000, period: 50_000, cpus: '0', mems: '0' },
    pids: { limit: 40 },
    blockIO: { weight: 100, throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1 << 20 }] },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
    unified: { 'memory.high': '60000000', 'cgroup.max.depth': '7' },
  };
});
guest.add(
  'every limit is in its file, and the controllers are passed on at every level',
  `use limits; create
  for level in "" /tscompose-vm; do
    for c in cpuset cpu io memory pids hugetlb; do has /sys/fs/cgroup$level/cgroup.subtree_control $c; done
  done
  cd $g
  same "$(cat memory.max)" $((64 << 20)); same "$(cat memory.low)" $((32 << 20)); same "$(cat memory.swap.max)" $((32 << 20))
  same "$(cat memory.high)" 59998208; same "$(cat cgroup.max.depth)" 7
  same "$(cat cpu.max)" "25000 50000"; same "$(cat cpu.weight)" 100; same "$(cat cpuset.cpus)" 0; same "$(cat cpuset.mems)" 0
  same "$(cat pids.max)" 40; same "$(cat hugetlb.2MB.max)" $((4 << 20))
  has io.max '7:0 rbps=1048576'
  cat /sys/fs/cgroup/tscompose-vm/limits/io*weight | grep -q '^default'
  cd /b/limits; remove`,
);

guest.bundle('unlimited', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: -1, swap: -1 }, cpu: { quota: -1 }, pids: { limit: -1 } };
});
guest.add(
  'minus one is no limit',
  `use unlimited; create
  for file in memory.max memory.swap.max pids.max; do same "$(cat $g/$file)" max; done
  same "$(cat $g/cpu.max)" "max 100000"; remove`,
);

guest.bundle('deep', ['pause'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-vm/a/b/deep';
  config.linux.resources = { memory: { limit: 64 << 20 }, pids: { limit: 9 } };
});
guest.add(
  'a group several levels down gets its controllers',
  `use deep; g=/sys/fs/cgroup/tscompose-vm/a/b/deep; create; same "$(cat $g/pids.max)" 9
  has /sys/fs/cgroup/tscompose-vm/a/cgroup.subtree_control memory; remove; rmdir /sys/fs/cgroup/tscompose-vm/a/b`,
);

guest.bundle('occupied', ['pause'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-occupied/below';
  config.linux.resources = { memory: { limit: 64 << 20 } };
});
guest.add(
  'a parent group with processes of its own is refused by name, and nothing is left',
  `use occupied; g=/sys/fs/cgroup/tscompose-occupied/below; mkdir /sys/fs/cgroup/tscompose-occupied
  sleep 60 & echo $! >/sys/fs/cgroup/tscompose-occupied/cgroup.procs
  fails $rt create --bundle . occupied >all 2>&1
  has all "error: cgroup $g: this group does not have this controller"; has all memory.max; gone
  kill $!; until_ok rmdir /sys/fs/cgroup/tscompose-occupied`,
);

guest.bundle('oom', ['memhog', '200'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 } };
});
guest.add(
  'memory.max kills what exceeds it',
  `use oom; run; same $status 137; gone
  create; $rt start oom; until_ok sh -c "$rt state oom | grep -q stopped"
  grep -q '^oom_kill [1-9]' $g/memory.events; $rt delete oom; gone`,
);

guest.bundle('spin', ['flip', '/a', '/b'], (config) => {
  config.linux.resources = { cpu: { quota: 20_000, period: 100_000 } };
});
guest.add(
  'cpu.max holds a busy loop back',
  `use spin; create; $rt start spin; sleep 2
  used=$(sed -n 's/^usage_usec //p' $g/cpu.stat); throttled=$(sed -n 's/^nr_throttled //p' $g/cpu.stat)
  echo "used $used throttled $throttled"
  test $used -lt 800000; test $throttled -gt 3; remove`,
);

guest.bundle('bomb', ['forkbomb', '100'], (config) => {
  config.linux.resources = { pids: { limit: 12 } };
});
guest.add(
  'pids.max holds a fork bomb',
  `use bomb; run; same $status 0; has out 'fork: Resource temporarily unavailable after 11'; gone`,
);

const block = (minor: string) => ['mknod', `/disk${minor}`, '7', minor, 'write', `/disk${minor}`, 'x'];
guest.bundle('default-devices', ['write', '/dev/null', 'x', ...block('0'), 'stat', '/dev/zero']);
guest.add(
  'the device program closes what is not on the list',
  `use default-devices; run; has out 'write /dev/null: ok'
  has out 'mknod: ok'; has out 'open: Operation not permitted'; has out 'write /disk0: Operation not permitted'; gone`,
);

guest.bundle('devices', [...block('0'), ...block('1'), ...block('2'), 'write', '/dev/null', 'x'], (config) => {
  config.linux.resources = {
    devices: [
      { allow: false, access: 'rwm' },
      { allow: true, type: 'b', major: 7, access: 'rwm' },
      { allow: false, type: 'b', major: 7, minor: 1, access: 'w' },
      { allow: false, type: 'b', major: 7, minor: 2, access: 'rwm' },
    ],
  };
});
guest.add(
  'device rules: the last that matches counts, by access',
  `use devices; run; cat out
  sed -n 1,3p out >0; has 0 'mknod: ok'; has 0 'open: ok'; lacks 0 'Operation not permitted'
  sed -n 4,6p out >1; has 1 'mknod: ok'; has 1 'open: ok'; has 1 'write /disk1: Operation not permitted'
  sed -n 7,9p out >2; has 2 'open: Operation not permitted'; has 2 'write /disk2: Operation not permitted'
  has out 'write /dev/null: ok'; gone`,
);

guest.bundle('all-devices', [...block('0')], (config) => {
  config.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
});
guest.add('every device can be allowed', `use all-devices; run; has out 'open: ok'; lacks out 'not permitted'; gone`);

guest.bundle('frozen', ['flip', '/a', '/b']);
guest.add(
  'pause stops every process, resume continues them, a paused container can be deleted',
  `use frozen; create; $rt start frozen; $rt pause frozen; has $g/cgroup.events 'frozen 1'
  $rt state frozen >state; has state '"paused"'
  before=$(sed -n 's/^usage_usec //p' $g/cpu.stat); sleep 0.5; same $before $(sed -n 's/^usage_usec //p' $g/cpu.stat)
  $rt resume frozen; has $g/cgroup.events 'frozen 0'; $rt state frozen >state; has state '"running"'
  $rt pause frozen; remove`,
);

guest.bundle('linger', ['linger', 'linger', 'linger'], withoutPidNamespace);
guest.add(
  'delete takes along what ignores every signal',
  `use linger; create; $rt start linger; until_ok sh -c "$rt state linger | grep -q stopped"
  procs=$(cat $g/cgroup.procs); same $(echo $procs | wc -w) 3; remove
  for p in $procs; do fails test -d /proc/$p; done`,
);

const group = '/sys/fs/cgroup';
guest.bundle(
  'nest',
  ['mkdir', `${group}/inner`, 'write', `${group}/inner/cgroup.procs`, '0']
    .concat(['write', `${group}/cgroup.subtree_control`, '+memory +pids'])
    .concat('catch'),
  (config) => {
    writableCgroup(config);
    config.linux.resources = { memory: { limit: 64 << 20 } };
  },
);
guest.add(
  'a container that makes groups of its own can still be entered, stopped and deleted',
  `use nest; create; $rt start nest; until_ok has out ready; has out 'cgroup.procs: ok'
  has out 'subtree_control: ok'
  same "$(cat $g/inner/cgroup.procs)" $pid
  inside echo entered cat /proc/self/cgroup >inner; has inner entered; cat inner
  $rt pause nest; $rt resume nest
  remove`,
);

guest.bundle('confined', ['status', 'mkdir', '/x', 'mount', '/proc'], (config) => {
  config.process.user = { uid: 1000, gid: 1001, additionalGids: [5], umask: 0o27 };
  config.process['capabilities'] = {
    bounding: ['CAP_CHOWN', 'CAP_KILL'],
    effective: ['CAP_CHOWN'],
    permitted: ['CAP_CHOWN'],
    inheritable: ['CAP_CHOWN'],
    ambient: ['CAP_CHOWN'],
  };
  config.linux['seccomp'] = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
  };
});
guest.add(
  'capabilities, ids, no_new_privs and the system call filter',
  `use confined; run; sed 's/\\t/ /g' out >flat
  for line in 'Uid: 1000 1000 1000 1000' 'Gid: 1001 1001 1001 1001' 'Umask: 0027' 'CapPrm: 0000000000000001' \\
    'CapBnd: 0000000000000021' 'CapAmb: 0000000000000001' 'NoNewPrivs: 1' 'Seccomp: 2' 'Seccomp_filters: 1' \\
    'mkdir: Operation not supported' 'mount: Operation not permitted'; do has flat "$line"; done; gone`,
);

guest.bundle('masked', [
  'cat',
  '/proc/kcore',
  'cat',
  '/proc/keys',
  'write',
  '/proc/sysrq-trigger',
  'h',
  'ls',
  '/sys/firmware',
]);
guest.add(
  'masked and read-only paths that this kernel has',
  `use masked; test -s /proc/kcore; test -e /proc/sysrq-trigger; run; same $status 0
  same "$(cat out)" 'write /proc/sysrq-trigger: Read-only file system'; gone`,
);

const layers = ['top:1', 'mid,2', 'low\\3'].map((name) => `/tmp/ovl/${name}`);
const overlay = (lower: readonly string[], writable: boolean) => (config: Config) => {
  const dirs = writable ? { upper: '/tmp/ovl/up per', work: '/tmp/ovl/work' } : {};
  config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower, ...dirs });
};
const LAYERS = `mkdir -p '/tmp/ovl/up per' /tmp/ovl/work; for l in 'top:1' 'mid,2' 'low\\3'; do
  mkdir -p "/tmp/ovl/$l/bin"; echo "from $l" >"/tmp/ovl/$l/same"; done; cp /bin/payload '/tmp/ovl/low\\3/bin/'`;
guest.bundle('overlay', ['cat', '/same', 'write', '/new', 'kept', 'mounts'], overlay(layers, true));
guest.add(
  'the overlay is mounted without layer-by-layer options, whatever its names are',
  `${LAYERS}; use overlay; run; same $status 0; same "$(cat err)" ''; has out 'from top:1'; has out 'write /new: ok'
  lacks out /tmp/ovl; same "$(cat '/tmp/ovl/up per/new')" kept; gone`,
);

guest.bundle('overlay-ro', ['cat', '/same', 'write', '/new', 'kept'], (config) => {
  config.root.readonly = true;
  overlay(layers, false)(config);
});
guest.add(
  'an overlay without an upper directory is read-only',
  `${LAYERS}; for d in proc dev sys; do mkdir -p "/tmp/ovl/low\\3/$d"; done
  use overlay-ro; run; cat err; same $status 0; has out 'write /new: Read-only file system'; gone`,
);

const many = Array.from({ length: 60 }, (_, index) => `/tmp/many/${String(index).padStart(3, '0')}${'x'.repeat(61)}`);
guest.bundle('many', ['cat', '/last'], overlay(many, false));
guest.bundle('too-many', ['cat', '/last'], overlay([...many, ...many.map((path) => `${path}y`)], false));
guest.add(
  'sixty layers with the names of digests fit, more are refused by name',
  `mkdir /tmp/many; cd /tmp/many; for n in $(seq 0 59); do d=$(printf '%03d${'x'.repeat(61)}' $n); mkdir -p $d $d''y; done
  mkdir $d/bin $d/proc $d/dev $d/sys; cp /bin/payload $d/bin/; echo deepest >$d/last
  use many; run; cat err; same "$(cat out)" deepest; gone
  use too-many; run; same $status 1; has err 'Linux 6.7'; gone`,
);

guest.bundle('bad-mount', ['true'], (config) => {
  config.mounts.push({ destination: '/data', type: 'bind', source: '/not/there', options: ['bind'] });
});
guest.bundle('bad-limit', ['true'], (config) => {
  config.linux.resources = { unified: { 'memory.nonsense': '1' } };
});
guest.bundle('bad-value', ['true'], (config) => {
  config.linux.resources = { cpu: { quota: 1, period: 100_000 } };
});
guest.bundle('bad-program', ['true'], (config) => {
  config.process.args = ['/bin/absent'];
});
guest.add(
  'a create that fails leaves nothing',
  `for b in bad-mount:/not/there bad-limit:memory.nonsense bad-value:cpu.max bad-program:absent; do
    use \${b%%:*}; run; test $status -ne 0; has err \${b#*:}; gone
  done
  same "$(ls /run/rt)" ''`,
);

guest.bundle('change', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: 64 << 20, swap: 96 << 20 }, cpu: { quota: 20_000 }, pids: { limit: 20 } };
});
guest.add(
  'update changes a living container',
  `use change; create; $rt start change
  $rt update --memory 128m --memory-swap 160m --cpu-period 50000 --pids-limit -1 --cpu-share 2048 change
  same "$(cat $g/memory.max)" $((128 << 20)); same "$(cat $g/memory.swap.max)" $((32 << 20))
  same "$(cat $g/cpu.max)" "20000 50000"; same "$(cat $g/pids.max)" max; same "$(cat $g/cpu.weight)" 174
  $rt update change --cpu-quota 30000 --cpu-burst 15000 --cpuset-cpus 0 --memory-reservation 16m
  same "$(cat $g/cpu.max)" "30000 50000"; same "$(cat $g/cpu.max.burst)" 15000; same "$(cat $g/cpuset.cpus)" 0
  same "$(cat $g/memory.low)" $((16 << 20))
  $rt update change --memory-swap 200m; same "$(cat $g/memory.swap.max)" $((72 << 20))
  echo '7:0 enable=1' >/sys/fs/cgroup/io.cost.qos
  echo '{"blockIO":{"weight":200,"weightDevice":[{"major":7,"minor":0,"weight":300}],
    "throttleWriteBpsDevice":[{"major":7,"minor":0,"rate":4096}]},"hugepageLimits":[{"pageSize":"2MB","limit":2097152}],
    "unified":{"memory.high":"50000000","io.max":"7:1 rbps=8192\\n7:2 wiops=77"},"cpu":{"idle":0}}' |
    $rt update -r - change
  has $g/io.max '7:0 rbps=max wbps=4096'; has $g/io.max '7:1 rbps=8192'; has $g/io.max 'wiops=77'
  has $g/io.weight '7:0 2930'; has $g/io.weight 'default 1920'; echo '7:0 enable=0' >/sys/fs/cgroup/io.cost.qos; same "$(cat $g/hugetlb.2MB.max)" 2097152
  $rt update -r - change <<END
{"memory":{"limit":-1},"cpu":{"quota":-1,"idle":1}}
END
  same "$(cat $g/memory.max)" max; same "$(cat $g/memory.swap.max)" max; same "$(cat $g/cpu.max)" "max 50000"
  same "$(cat $g/cpu.idle)" 1; remove`,
);
guest.add(
  'an update that fails is set back and says so',
  `use change; create; $rt start change
  fails $rt update --memory 100m --cpu-quota 30000 --pids-limit 7 --cpuset-cpus 99 change >said 2>&1
  has said cpuset.cpus; has said 'cpu.max was set back'; has said 'memory.max was set back'
  same "$(cat $g/memory.max)" $((64 << 20)); same "$(cat $g/cpu.max)" '20000 100000'; same "$(cat $g/pids.max)" 20
  fails $rt update -r - change >said 2>&1 <<END
{"pids":{"limit":9},"blockIO":{"throttleReadBpsDevice":[{"major":7,"minor":0,"rate":4096}]},"unified":{"memory.nonsense":"1"}}
END
  has said 'linux.resources.unified: memory.nonsense is no file of this group'; has said 'io.max was set back'
  lacks $g/io.max 7:0; same "$(cat $g/pids.max)" 20
  echo '{"cpu":{"realtimeRuntime":1000}}' | fails $rt update -r - change >said 2>&1; has said cpu.realtimeRuntime
  echo '{"network":{"classID":1}}' | fails $rt update -r - change >said 2>&1; has said net_cls
  echo '{"rdma":{"mlx9":{"hcaHandles":1}}}' | fails $rt update -r - change >said 2>&1; has said linux.resources.rdma.mlx9
  remove`,
);
guest.bundle('rules', ['catch', 'write', '/dev/null', 'x', ...block('0'), 'pause']);
guest.add(
  'update keeps the device rules, and checks the limit against use when asked',
  `use rules; create; $rt start rules; until_ok has out ready
  $rt exec rules /bin/payload memhog 12 pause & until_ok eval 'test $(cat $g/memory.current) -gt 12000000'
  echo '{"memory":{"limit":8388608,"checkBeforeUpdate":true}}' | fails $rt update -r - rules >said 2>&1
  has said 'bytes are in use'; same "$(cat $g/memory.max)" max
  echo '{"devices":[{"allow":true,"access":"rwm"}],"pids":{"limit":50}}' | $rt update -r - rules >said 2>&1
  has said 'device rules'; same "$(cat $g/pids.max)" 50
  $rt exec rules /bin/payload ${block('0').join(' ')} >inner; has inner 'open: Operation not permitted'; remove`,
);

guest.bundle('watched', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 }, pids: { limit: 30 } };
});
guest.add(
  "events gives the kernel's figures and tells of out-of-memory kills; ps lists the processes",
  `use watched; create; $rt start watched
  $rt events --stats watched >stats; cat stats
  has stats '{"type":"stats","id":"watched","data":{"cpu":{"usage":{"total":'
  has stats '"pids":{"current":1,"limit":30}'; has stats '"usage":{"limit":33554432,'; has stats '"swap":{"limit":33554432,'
  $rt events --interval 200ms watched >told & watcher=$!
  until_ok has told '"type":"stats"'
  fails inside memhog 100
  until_ok has told '{"type":"oom","id":"watched"}'
  inside pause & until_ok sh -c "$rt ps -f json watched | grep -q ,"
  same "$($rt ps -f json watched)" "[$(sort -n $g/cgroup.procs | tr '\\n' , | sed 's/,$//')]"
  $rt ps watched >table; has table 'UID '; same $(grep -c '/bin/payload pause' table) 2
  remove; wait $watcher`,
);

guest.bundle('below', ['true'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-threads/inner/below';
});
guest.add(
  'a group below a threaded one is refused by name',
  `mkdir -p /sys/fs/cgroup/tscompose-threads/inner; echo threaded >/sys/fs/cgroup/tscompose-threads/inner/cgroup.type
  use below; g=/sys/fs/cgroup/tscompose-threads/inner/below; run; test $status -ne 0; has err threaded; has err $g; gone
  rmdir /sys/fs/cgroup/tscompose-threads/inner /sys/fs/cgroup/tscompose-threads`,
);

guest.bundle('v1-swappiness', ['true'], (config) => {
  config.linux.resources = { memory: { swappiness: 10 } };
});
guest.bundle('v1-oom', ['true'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, disableOOMKiller: true } };
});
guest.add(
  'what only cgroup v1 has is refused by name',
  `use v1-swappiness; run; test $status -ne 0; has err linux.resources.memory.swappiness; gone
  use v1-oom; run; test $status -ne 0; has err linux.resources.memory.disableOOMKiller; gone`,
);

const parser = await peer('apparmor-parser');
if ('path' in parser) {
  const files = await hostPrograms([parser.path]);
  guest.files.push(
    ...files.map((file) => (file.path === parser.path ? { ...file, path: '/sbin/apparmor_parser' } : file)),
  );
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
  for (const name of Object.keys(guest.scripts))
    test(name, () => {
      expect(report?.results.get(name) ?? `did not run:\n${report?.console.slice(-2000)}`).toBe('ok');
    });
});
