import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';

// What a service asks for is what its processes find: one service an attribute, looked at from inside and in its cgroups.
type Row = readonly [attribute: string, yaml: string, probe: string, seen: string | RegExp];

const namespaceOfHost = (kind: string) => readlinkSync(`/proc/self/ns/${kind}`);
const STATUS = 'cat /proc/1/status';
const INSIDE: readonly Row[] = [
  ['user', 'user: "7:8"', 'id -u; id -g', '7\n8'],
  ['group_add', 'group_add: ["1234"]', 'id -G', /\b1234\b/],
  ['working_dir', 'working_dir: /made/here', 'pwd', '/made/here'],
  ['hostname', 'hostname: ship', 'hostname; cat /etc/hostname', 'ship\nship'],
  ['domainname', 'domainname: example.org', 'cat /proc/sys/kernel/domainname', 'example.org'],
  ['environment', 'environment: { A: "x y", B: "$$HOME" }', 'echo "$A|$B"', 'x y|$HOME'],
  ['env_file', 'env_file: one.env', 'echo "$FROM_FILE"', 'a file'],
  ['entrypoint', 'entrypoint: [sh, -c, "exec sleep 601", zero]', 'cat /proc/1/cmdline | tr "\\0" " "', 'sleep 601'],
  ['init', 'init: true', 'cat /proc/1/comm; pidof sleep', /^tscompose-init\n\d+$/],
  ['read_only', 'read_only: true', 'touch /x 2>&1', /Read-only file system/],
  [
    'tmpfs',
    'tmpfs: "/scratch:exec,uid=5,size=1m,mode=700"',
    'grep " /scratch " /proc/mounts',
    /^tmpfs \/scratch tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=700,uid=5/,
  ],
  [
    'tmpfs volume',
    'volumes: [{ type: tmpfs, target: /t, tmpfs: { size: 2m, mode: 0o1770 } }]',
    'grep " /t " /proc/mounts',
    /size=2048k,mode=1770/,
  ],
  [
    'bind, read-only',
    'volumes: [{ type: bind, source: ./one.env, target: /in, read_only: true }]',
    'cat /in; touch /in 2>&1',
    /^FROM_FILE=a file\n.*Read-only/,
  ],
  ['shm_size', 'shm_size: 5m', 'grep " /dev/shm " /proc/mounts', /size=5120k/],
  ['sysctls', 'sysctls: { net.core.somaxconn: 513 }', 'cat /proc/sys/net/core/somaxconn', '513'],
  [
    'ulimits',
    'ulimits: { nofile: { soft: 100, hard: 200 }, core: 0 }',
    'ulimit -Sn; ulimit -Hn; ulimit -c',
    '100\n200\n0',
  ],
  ['cap_drop', 'cap_drop: [ALL]', STATUS, /^CapEff:\t0{16}$/m],
  ['cap_add', 'cap_drop: [ALL]\n    cap_add: [NET_ADMIN]', STATUS, /^CapEff:\t0{12}1000$/m],
  [
    'security_opt',
    'security_opt: ["no-new-privileges:true", "seccomp=unconfined"]',
    STATUS,
    /^NoNewPrivs:\t1\nSeccomp:\t0$/m,
  ],
  [
    'privileged',
    'privileged: true',
    `ls /dev/loop-control /dev/mem /dev/kmsg 2>/dev/null | head -n 1; ${STATUS}`,
    /^\/dev\/[\s\S]*^CapEff:\t0*[13]f[0-9a-f]{8,9}$/m,
  ],
  ['devices', 'devices: ["/dev/null:/dev/nothing:r"]', 'ls -l /dev/nothing', /^c.* 1, +3 .*\/dev\/nothing$/],
  ['network_mode', 'network_mode: none', 'ls /sys/class/net', 'lo'],
  [
    'dns',
    'dns: [192.0.2.1]\n    dns_search: [corp.example]\n    dns_opt: ["ndots:3"]',
    'cat /etc/resolv.conf',
    /search corp\.example[\s\S]*ndots:3/,
  ],
  ['pid', 'pid: host', 'readlink /proc/self/ns/pid', namespaceOfHost('pid')],
  ['ipc', 'ipc: host', 'readlink /proc/self/ns/ipc; ls -d /dev/mqueue', `${namespaceOfHost('ipc')}\n/dev/mqueue`],
  ['uts', 'uts: host', 'readlink /proc/self/ns/uts', namespaceOfHost('uts')],
  ['cgroup', 'cgroup: host', 'readlink /proc/self/ns/cgroup', namespaceOfHost('cgroup')],
  ['userns_mode', 'userns_mode: host', 'readlink /proc/self/ns/user', namespaceOfHost('user')],
  ['pid of a service', 'pid: service:tty', 'readlink /proc/1/fd/0', /^\/dev\/(pts\/0|console)$/],
  ['volumes_from', 'volumes_from: ["bind-read-only:ro"]', 'cat /in', 'FROM_FILE=a file'],
  ['mac_address', 'mac_address: 02:42:ac:11:00:99', 'cat /sys/class/net/eth0/address', '02:42:ac:11:00:99'],
  ['oom_score_adj', 'oom_score_adj: 321', 'cat /proc/1/oom_score_adj', '321'],
  ['runtime', 'runtime: tscompose', 'cat /proc/1/comm', 'sleep'],
  ['extra_hosts', 'extra_hosts: { far: 192.0.2.7 }', 'grep far /etc/hosts', /^192\.0\.2\.7\s+far$/],
  ['tty', 'tty: true', 'readlink /proc/1/fd/0', /^\/dev\/(pts\/0|console)$/],
];

/** Files of cgroup v1; where the controller is on v2, `integration/vm` looks at the same limits. */
const LIMITS: readonly (readonly [string, string, controller: string, file: string, seen: string | RegExp])[] = [
  ['mem_limit', 'mem_limit: 32m', 'memory', 'memory.limit_in_bytes', `${32 << 20}`],
  [
    'deploy memory',
    'deploy: { resources: { limits: { memory: 24M } } }',
    'memory',
    'memory.limit_in_bytes',
    `${24 << 20}`,
  ],
  ['mem_reservation', 'mem_reservation: 16m', 'memory', 'memory.soft_limit_in_bytes', `${16 << 20}`],
  ['cpus', 'cpus: 0.25', 'cpu', 'cpu.cfs_quota_us', '25000'],
  ['deploy cpus', 'deploy: { resources: { limits: { cpus: "1.5" } } }', 'cpu', 'cpu.cfs_quota_us', '150000'],
  ['cpu_shares', 'cpu_shares: 77', 'cpu', 'cpu.shares', '77'],
  ['mem_swappiness', 'mem_swappiness: 7', 'memory', 'memory.swappiness', '7'],
  [
    'oom_kill_disable',
    'oom_kill_disable: true\n    mem_limit: 64m',
    'memory',
    'memory.oom_control',
    /^oom_kill_disable 1$/m,
  ],
  ['cpu_period, cpu_quota', 'cpu_period: 50000\n    cpu_quota: 10000', 'cpu', 'cpu.cfs_period_us', '50000'],
  ['device_cgroup_rules', 'device_cgroup_rules: ["c 1:11 r"]', 'devices', 'devices.list', /^c 1:11 r$/m],
  ['cpuset', 'cpuset: "0"', 'cpuset', 'cpuset.cpus', '0'],
  ['pids_limit', 'pids_limit: 55', 'pids', 'pids.max', '55'],
  ['deploy pids', 'deploy: { resources: { limits: { pids: 66 } } }', 'pids', 'pids.max', '66'],
];

const LABELLED =
  '  label_file:\n    image: busybox\n    label_file: one.labels\n    command: sleep 600\n    stop_grace_period: 0s\n';
const serviceOf = (attribute: string) => attribute.replaceAll(/[^a-z_]+/g, '-');
const ALL = [...INSIDE, ...LIMITS].map(
  ([attribute, yaml]) =>
    `  ${serviceOf(attribute)}:\n    image: busybox\n    stop_grace_period: 0s\n${
      yaml.includes('entrypoint') ? '' : '    command: sleep 600\n'
    }    ${yaml}\n`,
);

let daemon: TestDaemon;
let project: CliProject;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
  project = cliProject(daemon.host, {
    'compose.yaml': `services:\n${LABELLED}${ALL.join('')}`,
    'one.env': 'FROM_FILE=a file\n',
    'one.labels': 'from.file=yes\n',
  });
  const up = await project.run(['up', '-d']);
  expect(up.status, up.stderr).toBe(0);
});

afterAll(async () => {
  const down = await project.run(['down', '-v']);
  project[Symbol.dispose]();
  await daemon.stop();
  expect(down.status, down.stderr).toBe(0);
});

const detailsOf = async (attribute: string) =>
  (await daemon.call('GET', `/containers/${project.name}-${serviceOf(attribute)}-1/json`)).json();

function expectSeen(text: string, seen: string | RegExp, why?: string): void {
  if (typeof seen === 'string') expect(text.trim(), why).toBe(seen);
  else expect(text.trim(), why).toMatch(seen);
}

it.each(INSIDE)('%s', async (attribute, _yaml, probe, seen) => {
  const { stdout, stderr } = await project.run(['exec', '-T', serviceOf(attribute), 'sh', '-c', probe]);
  expectSeen(stdout, seen, stderr);
});

it.each(LIMITS)('%s', async (attribute, _yaml, controller, file, seen) => {
  const { State } = (await detailsOf(attribute)) as unknown as { State: { Pid: number } };
  const line = readFileSync(`/proc/${State.Pid}/cgroup`, 'utf8')
    .split('\n')
    .find((text) => text.split(':')[1]?.split(',').includes(controller));
  expect(line, `no v1 controller ${controller} on this host`).toBeDefined();
  expectSeen(readFileSync(join(`/sys/fs/cgroup/${controller}`, line?.split(':')[2] ?? '', file), 'utf8'), seen);
});

it('label_file', async () => {
  const { Config } = (await detailsOf('label_file')) as unknown as { Config: { Labels: Record<string, string> } };
  expect(Config.Labels['from.file']).toBe('yes');
});
