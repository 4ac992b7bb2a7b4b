import { block } from './cgroup-v2-limits.ts';
import { GuestScenarios } from './guest-bundles.ts';

/** What is changed and read while a container lives: update, events, ps. */
export const changes = new GuestScenarios();

changes.bundle('change', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: 64 << 20, swap: 96 << 20 }, cpu: { quota: 20_000 }, pids: { limit: 20 } };
});
changes.add(
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
changes.add(
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
changes.bundle('rules', ['catch', 'write', '/dev/null', 'x', ...block('0'), 'pause']);
changes.add(
  'update keeps the device rules, and checks the limit against use when asked',
  `use rules; create; $rt start rules; until_ok has out ready
  $rt exec rules /bin/payload memhog 12 pause & until_ok eval 'test $(cat $g/memory.current) -gt 12000000'
  echo '{"memory":{"limit":8388608,"checkBeforeUpdate":true}}' | fails $rt update -r - rules >said 2>&1
  has said 'bytes are in use'; same "$(cat $g/memory.max)" max
  echo '{"devices":[{"allow":true,"access":"rwm"}],"pids":{"limit":50}}' | $rt update -r - rules >said 2>&1
  has said 'device rules'; same "$(cat $g/pids.max)" 50
  $rt exec rules /bin/payload ${block('0').join(' ')} >inner; has inner 'open: Operation not permitted'; remove`,
);

changes.bundle('watched', ['pause'], (config) => {
  config.linux.resources = { memory: { limit: 32 << 20, swap: 32 << 20 }, pids: { limit: 30 } };
});
changes.add(
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
