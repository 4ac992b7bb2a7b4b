import { describe } from 'vitest';
import type { Config } from '../kit/bundle.ts';
import { GuestScenarios, PRELUDE } from './guest-bundles.ts';
import { testScenarios } from './guest-tests.ts';
import { findMachine, runGuest } from './vm.ts';

/** Pure cgroup v1 as older distributions mount it: controllers together in one hierarchy, names that are not theirs, one without any. */
const guest = new GuestScenarios();
const LAYOUT = `mkdir -p /run/rt; umount /sys/fs/cgroup; mount -t tmpfs -o mode=755 none /sys/fs/cgroup; cd /sys/fs/cgroup
for l in cpu,cpuacct:cpu,cpuacct net_cls,net_prio:net memory:memory pids:processes devices:devices blkio:blkio \\
  cpuset:cpuset freezer,perf_event:freezer hugetlb:hugetlb; do
  mkdir \${l#*:}; mount -t cgroup -o \${l%:*} none \${l#*:}
done
mkdir plain; mount -t cgroup -o none,name=plain none plain
test "$(awk '$2 == 0 && $1 != "misc" && $1 != "rdma"' /proc/cgroups | grep -vc '#')" = 0`;
const FUNCTIONS = `
v1() { g=/sys/fs/cgroup/$1/tscompose-vm/$name; }
all_gone() { for h in /sys/fs/cgroup/*; do fails test -e $h/tscompose-vm/$name; done; fails test -e /run/rt/$name; }
`;

const withoutPidNamespace = (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
};
const cgroupMount = (config: Config, mode: 'ro' | 'rw') => {
  for (const mount of config.mounts) if (mount.type === 'cgroup') mount.options = ['nosuid', 'noexec', 'nodev', mode];
};

guest.bundle('limits', ['pause'], (config) => {
  config.linux.resources = {
    memory: { limit: 64 << 20, reservation: 32 << 20, swap: 96 << 20, swappiness: 5, disableOOMKiller: true },
    cpu: { shares: 512, quota: 25_000, period: 50_000, cpus: '0', mems: '0' },
    pids: { limit: 40 },
    blockIO: { throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1 << 20 }] },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
    network: { classID: 0x10001, priorities: [{ name: 'lo', priority: 3 }] },
  };
});
guest.add(
  'every limit is in its file, whatever the hierarchy is called',
  `use limits; create; v1 memory; cd $g
  same "$(cat memory.limit_in_bytes)" $((64 << 20)); same "$(cat memory.soft_limit_in_bytes)" $((32 << 20))
  same "$(cat memory.swappiness)" 5; has memory.oom_control 'oom_kill_disable 1'
  v1 cpu,cpuacct; cd $g; same "$(cat cpu.shares)" 512; same "$(cat cpu.cfs_quota_us)" 25000; same "$(cat cpu.cfs_period_us)" 50000
  v1 processes; same "$(cat $g/pids.max)" 40; v1 cpuset; same "$(cat $g/cpuset.cpus)" 0
  v1 blkio; has $g/blkio.throttle.read_bps_device '7:0 1048576'; v1 hugetlb; same "$(cat $g/hugetlb.2MB.limit_in_bytes)" $((4 << 20))
  v1 net; same "$(cat $g/net_cls.classid)" 65537; has $g/net_prio.ifpriomap 'lo 3'
  for h in /sys/fs/cgroup/*; do same "$(cat $h/tscompose-vm/limits/cgroup.procs)" $pid; done
  $rt update --memory 100m --memory-swap 200m --cpu-quota -1 --pids-limit 3 limits
  v1 memory; same "$(cat $g/memory.limit_in_bytes)" $((100 << 20)); v1 processes; same "$(cat $g/pids.max)" 3
  cd /b/limits; $rt events --stats limits >stats; has stats '"pids":{"current":1,"limit":3}'; has stats '"limit":104857600'; has stats '"percpu":['
  same "$($rt ps -f json limits)" "[$pid]"; $rt delete --force limits; all_gone`,
);

guest.bundle('lingering', ['linger', 'linger', 'linger', 'forkbomb', '20'], withoutPidNamespace);
guest.add(
  'what lingers is frozen, killed and thawed until the groups are empty',
  `use lingering; create; $rt start lingering; until_ok sh -c "$rt state lingering | grep -q stopped"
  v1 memory; procs=$(cat $g/cgroup.procs); test $(echo $procs | wc -w) -gt 20
  $rt delete lingering; all_gone; for p in $procs; do fails test -d /proc/$p; done`,
);
guest.add(
  'a frozen container is paused, and can be deleted',
  `use lingering; create; $rt start lingering; until_ok sh -c "$rt state lingering | grep -q stopped"
  v1 freezer; echo FROZEN >$g/freezer.state; until_ok has $g/freezer.state FROZEN
  $rt delete lingering; all_gone`,
);

guest.bundle('frozen', ['flip', '/a', '/b']);
guest.add(
  'pause and resume through the freezer',
  `use frozen; create; $rt start frozen; $rt pause frozen; v1 freezer; has $g/freezer.state FROZEN
  $rt state frozen >state; has state '"paused"'; $rt resume frozen; has $g/freezer.state THAWED
  $rt state frozen >state; has state '"running"'; $rt pause frozen; $rt delete --force frozen; all_gone`,
);

const VIEW = ['ls', '/sys/fs/cgroup', 'mounts', 'mkdir', '/sys/fs/cgroup/memory/x', 'cat', '/proc/self/cgroup'];
guest.bundle('view-ro', VIEW, (config) => cgroupMount(config, 'ro'));
guest.bundle('view-rw', VIEW, (config) => cgroupMount(config, 'rw'));
guest.bundle('view-host', VIEW, (config) => {
  cgroupMount(config, 'ro');
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
});
guest.bundle('view-host-rw', VIEW, (config) => {
  cgroupMount(config, 'rw');
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
});
guest.add(
  'the hierarchies are shown by their controllers, with and without a namespace, read-only or not',
  `for v in view-ro view-rw view-host view-host-rw; do
    use $v; run; cat err; same $status 0
    for n in cpu,cpuacct cpu cpuacct memory pids plain net_cls,net_prio freezer; do grep -qx $n out; done
    case $v in
      *rw) has out 'mkdir: ok'; has out '/sys/fs/cgroup/memory rw,' ;;
      *) has out 'mkdir: Read-only file system'; has out '/sys/fs/cgroup/memory ro,' ;;
    esac
    case $v in
      *host*) has out ":memory:/tscompose-vm/$v"; has out "/tscompose-vm/$v /sys/fs/cgroup/memory " ;;
      *) has out ':memory:/'; lacks out tscompose-vm ;;
    esac
    all_gone
  done`,
);

guest.bundle('oom', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 } };
});
guest.add(
  'events tells of out-of-memory kills',
  `use oom; create; $rt start oom; $rt events --interval 200ms oom >told & watcher=$!
  until_ok has told '"type":"stats"'; fails inside memhog 100; until_ok has told '{"type":"oom","id":"oom"}'
  $rt delete --force oom; wait $watcher; all_gone`,
);

guest.bundle('realtime', ['true'], (config) => {
  config.linux.resources = { cpu: { realtimeRuntime: 5000 } };
});
guest.bundle('unified', ['true'], (config) => {
  config.linux.resources = { unified: { 'memory.high': '1' } };
});
guest.bundle('rdma', ['true'], (config) => {
  config.linux.resources = { rdma: { mlx: { hcaObjects: 1 } } };
});
guest.add(
  'what this kernel or host has not is refused by name',
  `use realtime; run; test $status -ne 0; has err cpu.realtime; all_gone
  use unified; run; test $status -ne 0; has err linux.resources.unified; all_gone
  use rdma; run; test $status -ne 0; has err 'no rdma cgroup controller'; all_gone`,
);

const machine = await findMachine();
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios: guest.scripts,
        files: guest.files,
        prelude: PRELUDE + FUNCTIONS,
        setup: LAYOUT,
        modules: ['loop'],
        deadlineMs: 300_000,
      });

describe.skipIf(!report)('the runtime on pure cgroup v1, Linux 6.1', () => {
  testScenarios(guest.scripts, report);
});
