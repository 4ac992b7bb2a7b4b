import { GuestScenarios } from './guest-bundles.ts';

/** Limits and device rules that `create` sets, or refuses by name. */
export const limits = new GuestScenarios();

limits.bundle('limits', ['pause'], (config) => {
  config.linux.resources = {
    memory: { limit: 64 << 20, reservation: 32 << 20, swap: 96 << 20 },
    cpu: { shares: 1024, quota: 25_000, period: 50_000, cpus: '0', mems: '0' },
    pids: { limit: 40 },
    blockIO: { weight: 100, throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1 << 20 }] },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
    unified: { 'memory.high': '60000000', 'cgroup.max.depth': '7' },
  };
});
limits.add(
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

limits.bundle('unlimited', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: -1, swap: -1 }, cpu: { quota: -1 }, pids: { limit: -1 } };
});
limits.add(
  'minus one is no limit',
  `use unlimited; create
  for file in memory.max memory.swap.max pids.max; do same "$(cat $g/$file)" max; done
  same "$(cat $g/cpu.max)" "max 100000"; remove`,
);

limits.bundle('deep', ['pause'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-vm/a/b/deep';
  config.linux.resources = { memory: { limit: 64 << 20 }, pids: { limit: 9 } };
});
limits.add(
  'a group several levels down gets its controllers',
  `use deep; g=/sys/fs/cgroup/tscompose-vm/a/b/deep; create; same "$(cat $g/pids.max)" 9
  has /sys/fs/cgroup/tscompose-vm/a/cgroup.subtree_control memory; remove; rmdir /sys/fs/cgroup/tscompose-vm/a/b`,
);

limits.bundle('occupied', ['pause'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-occupied/below';
  config.linux.resources = { memory: { limit: 64 << 20 } };
});
limits.add(
  'a parent group with processes of its own is refused by name, and nothing is left',
  `use occupied; g=/sys/fs/cgroup/tscompose-occupied/below; mkdir /sys/fs/cgroup/tscompose-occupied
  sleep 60 & echo $! >/sys/fs/cgroup/tscompose-occupied/cgroup.procs
  fails $rt create --bundle . occupied >all 2>&1
  has all "error: cgroup $g: this group does not have this controller"; has all memory.max; gone
  kill $!; until_ok rmdir /sys/fs/cgroup/tscompose-occupied`,
);

limits.bundle('oom', ['memhog', '200'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 } };
});
limits.add(
  'memory.max kills what exceeds it',
  `use oom; run; same $status 137; gone
  create; $rt start oom; until_ok sh -c "$rt state oom | grep -q stopped"
  grep -q '^oom_kill [1-9]' $g/memory.events; $rt delete oom; gone`,
);

limits.bundle('spin', ['flip', '/a', '/b'], (config) => {
  config.linux.resources = { cpu: { quota: 20_000, period: 100_000 } };
});
limits.add(
  'cpu.max holds a busy loop back',
  `use spin; create; $rt start spin; sleep 2
  used=$(sed -n 's/^usage_usec //p' $g/cpu.stat); throttled=$(sed -n 's/^nr_throttled //p' $g/cpu.stat)
  echo "used $used throttled $throttled"
  test $used -lt 800000; test $throttled -gt 3; remove`,
);

limits.bundle('bomb', ['forkbomb', '100'], (config) => {
  config.linux.resources = { pids: { limit: 12 } };
});
limits.add(
  'pids.max holds a fork bomb',
  `use bomb; run; same $status 0; has out 'fork: Resource temporarily unavailable after 11'; gone`,
);

/** Words of the payload: make that loop device, open it, write to it. */
export const block = (minor: string) => ['mknod', `/disk${minor}`, '7', minor, 'write', `/disk${minor}`, 'x'];
limits.bundle('default-devices', ['write', '/dev/null', 'x', ...block('0'), 'stat', '/dev/zero']);
limits.add(
  'the device program closes what is not on the list',
  `use default-devices; run; has out 'write /dev/null: ok'
  has out 'mknod: ok'; has out 'open: Operation not permitted'; has out 'write /disk0: Operation not permitted'; gone`,
);

limits.bundle('devices', [...block('0'), ...block('1'), ...block('2'), 'write', '/dev/null', 'x'], (config) => {
  config.linux.resources = {
    devices: [
      { allow: false, access: 'rwm' },
      { allow: true, type: 'b', major: 7, access: 'rwm' },
      { allow: false, type: 'b', major: 7, minor: 1, access: 'w' },
      { allow: false, type: 'b', major: 7, minor: 2, access: 'rwm' },
    ],
  };
});
limits.add(
  'device rules: the last that matches counts, by access',
  `use devices; run; cat out
  sed -n 1,3p out >0; has 0 'mknod: ok'; has 0 'open: ok'; lacks 0 'Operation not permitted'
  sed -n 4,6p out >1; has 1 'mknod: ok'; has 1 'open: ok'; has 1 'write /disk1: Operation not permitted'
  sed -n 7,9p out >2; has 2 'open: Operation not permitted'; has 2 'write /disk2: Operation not permitted'
  has out 'write /dev/null: ok'; gone`,
);

limits.bundle('all-devices', [...block('0')], (config) => {
  config.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
});
limits.add('every device can be allowed', `use all-devices; run; has out 'open: ok'; lacks out 'not permitted'; gone`);

limits.bundle('below', ['true'], (config) => {
  config.linux['cgroupsPath'] = '/tscompose-threads/inner/below';
});
limits.add(
  'a group below a threaded one is refused by name',
  `mkdir -p /sys/fs/cgroup/tscompose-threads/inner; echo threaded >/sys/fs/cgroup/tscompose-threads/inner/cgroup.type
  use below; g=/sys/fs/cgroup/tscompose-threads/inner/below; run; test $status -ne 0; has err threaded; has err $g; gone
  rmdir /sys/fs/cgroup/tscompose-threads/inner /sys/fs/cgroup/tscompose-threads`,
);

limits.bundle('v1-swappiness', ['true'], (config) => {
  config.linux.resources = { memory: { swappiness: 10 } };
});
limits.bundle('v1-oom', ['true'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, disableOOMKiller: true } };
});
limits.add(
  'what only cgroup v1 has is refused by name',
  `use v1-swappiness; run; test $status -ne 0; has err linux.resources.memory.swappiness; gone
  use v1-oom; run; test $status -ne 0; has err linux.resources.memory.disableOOMKiller; gone`,
);
