import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectUnix, type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, openWorkshop, RUNTIME, type Workshop } from '../kit/bundle.ts';
import { waitUntil } from '../kit/daemon.ts';

/**
 * A systemd of its own, as process 1 of a pid namespace with a cgroup v2 tree of its own and no units but those written here; the machine's files are
 * read-only to it. (Its controllers are the host's business: limits through systemd are proven in the virtual machine.)
 */
const SYSTEMD = '/lib/systemd/systemd';
const BUS = '/usr/bin/dbus-daemon';
const unified = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .find((line) => / - cgroup2 /.test(line))
  ?.split(' ')[4];

for (const [there, what] of [
  [existsSync(SYSTEMD), SYSTEMD],
  [unified !== undefined, 'a mounted cgroup2'],
  [existsSync(BUS), BUS],
] as const)
  if (!there) process.stderr.write(`not all is run: this machine lacks ${what}\n`);

const INSIDE = `set -e; mount --make-rprivate /; mount -t proc proc /proc; mount --bind "$1" "$1"; mount -o bind,remount,ro /
mount -t tmpfs -o mode=755 run /run; umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; mkdir /run/units
for unit in start shutdown basic sysinit slices; do printf '[Unit]\\nDefaultDependencies=no\\n' >/run/units/$unit.target; done
export container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=console
export SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent
exec ${SYSTEMD} --system --unit=start.target`;
const OUTSIDE = `echo $$ >"$2/cgroup.procs"; exec unshare -m -p -f -C -n --kill-child /bin/sh -c "$3" sh "$1"`;

let shop: Workshop;
let machine: ChildProcess | undefined;
let first = 0;
let group = '';

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] ?? 0);
}

/** Shell lines where that systemd is; \`$rt\` is the runtime, with --systemd-cgroup. */
function within(bundle: Bundle, script: string): Promise<RunResult> {
  const prelude = `echo $$ >"${group}/cli/cgroup.procs"; exec nsenter -t ${first} -m -p -C -n /bin/sh -c "$1"`;
  const rt = `cd ${bundle.directory}; rt="${RUNTIME} ${bundle.options.join(' ')} --systemd-cgroup"\n`;
  return runProgram('/bin/sh', ['-c', prelude, 'sh', rt + script]);
}

const unit = (name: string) => (config: Config) => {
  config.linux['cgroupsPath'] = `system.slice:tsctest:${name}`;
};

beforeAll(async () => {
  shop = openWorkshop();
  if (unified === undefined || !existsSync(SYSTEMD)) return;
  group = `${unified}${shop.cgroup}-systemd`;
  mkdirSync(join(group, 'cli'), { recursive: true });
  machine = spawn('/bin/sh', ['-c', OUTSIDE, 'sh', shop.directory, group, INSIDE], { stdio: 'ignore' });
  const { pid = 0 } = machine;
  await waitUntil(30_000, async () => {
    first = childOf(pid);
    const listening = ['-t', String(first), '-m', 'test', '-S', '/run/systemd/private'];
    return first > 0 && (await runProgram('/usr/bin/nsenter', listening)).status === 0;
  });
});
afterAll(async () => {
  if (machine) {
    const ended = once(machine, 'exit');
    machine.kill('SIGKILL');
    await ended;
    await waitUntil(20_000, async () => readFileSync(join(group, 'cgroup.events'), 'utf8').includes('populated 0'));
    await runProgram('/usr/bin/find', [group, '-mindepth', '1', '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
    rmdirSync(group);
  }
  await shop.close();
});

describe.runIf(existsSync(SYSTEMD) && unified !== undefined)('--systemd-cgroup', () => {
  test('the container is in a delegated scope of its slice, and leaves no unit', async () => {
    const bundle = shop.bundle(['cat', '/proc/self/cgroup', 'pause'], unit('one'));
    const result = await within(
      bundle,
      `$rt create ${bundle.id} >out 2>&1 </dev/null || cat out; $rt start ${bundle.id}
      systemctl show tsctest-one.scope -p ActiveState -p Delegate -p Slice -p ControlGroup
      pid=$($rt state ${bundle.id} | sed 's/.*"pid":\\([0-9]*\\).*/\\1/')
      test "$(cat /sys/fs/cgroup/system.slice/tsctest-one.scope/cgroup.procs)" = $pid && echo only $pid
      $rt ps -f json ${bundle.id}
      $rt exec ${bundle.id} /bin/payload echo inside
      $rt delete --force ${bundle.id}
      systemctl list-units --all 'tsctest*' --no-legend; find /sys/fs/cgroup -name 'tsctest*'`,
    );
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /^Slice=system.slice\nControlGroup=\/system.slice\/tsctest-one.scope\nDelegate=yes\nActiveState=active\nonly (\d+)\n\[\1\]\ninside\n$/,
    );
  });

  test('a run that ends by itself leaves no unit; a name that is taken is told', async () => {
    const bundle = shop.bundle(['echo', 'ran'], unit('two'));
    const result = await within(
      bundle,
      `$rt run ${bundle.id}; $rt run ${bundle.id}
      systemd-run --scope --unit=tsctest-two --no-ask-password sleep 60 >/dev/null 2>&1 & sleeper=$!
      until systemctl is-active -q tsctest-two.scope; do sleep 0.05; done
      $rt run ${bundle.id}; echo status $?; ls state; systemctl stop tsctest-two.scope`,
    );
    expect(result.stdout).toBe('ran\nran\nstatus 1\n');
    expect(result.stderr).toMatch(/cannot start scope tsctest-two.scope in system.slice: systemd: Unit .*UnitExists/);
  });

  test('properties that annotations ask for are those of the scope; a bad one is refused and leaves nothing', async () => {
    const property = (name: string, annotations: Record<string, string>) => (config: Config) => {
      unit(name)(config);
      config.annotations = annotations;
    };
    const bundle = shop.bundle(
      ['pause'],
      property('five', {
        'org.systemd.property.TimeoutStopSec': 'uint64 7',
        'org.systemd.property.CollectMode': "'inactive-or-failed'",
        'org.systemd.property.Before': "['shutdown.target']",
      }),
    );
    const broken = shop.bundle(['pause'], property('six', { 'org.systemd.property.Slice': "'other.slice'" }));
    const result = await within(
      bundle,
      `$rt create ${bundle.id} >out 2>&1 </dev/null || cat out
      systemctl show tsctest-five.scope -p TimeoutStopUSec -p CollectMode -p Before | sort
      $rt delete --force ${bundle.id}
      cd ${broken.directory}; $rt run ${broken.id} 2>&1; ls ${broken.directory}/state
      systemctl list-units --all 'tsctest*' --no-legend; find /sys/fs/cgroup -name 'tsctest*'`,
    );
    expect(result.stdout).toMatch(
      /^Before=shutdown.target\nCollectMode=inactive-or-failed\nTimeoutStopUSec=7s\n.*Slice: --systemd-cgroup sets this property itself\n$/,
    );
  });

  test('what kills the container from outside, and a create that fails, leave nothing', async () => {
    const bundle = shop.bundle(['pause'], unit('three'));
    const broken = shop.bundle(['true'], (config) => {
      unit('four')(config);
      config.mounts.push({ destination: '/x', type: 'bind', source: '/not/there', options: ['bind'] });
    });
    const result = await within(
      bundle,
      `$rt create ${bundle.id} >out 2>&1 </dev/null || cat out; $rt start ${bundle.id}
      systemctl kill -s KILL tsctest-three.scope
      until $rt state ${bundle.id} | grep -q stopped; do sleep 0.05; done; $rt delete ${bundle.id} && echo deleted
      cd ${broken.directory}; $rt run ${broken.id} >out 2>&1; grep -o /not/there out | head -1
      for i in $(seq 100); do systemctl list-units --all 'tsctest*' --no-legend | grep -q . || break; sleep 0.05; done
      systemctl list-units --all 'tsctest*' --no-legend; find /sys/fs/cgroup -name 'tsctest*'`,
    );
    expect(result).toMatchObject({ status: 0, stdout: 'deleted\n/not/there\n', stderr: '' });
  });
});

test.runIf(existsSync(BUS))('a bus is spoken to as well; who is not on it is named', async () => {
  const bundle = shop.bundle(['true'], unit('none'));
  const socket = join(shop.directory, 'bus');
  // A real message bus, on which nobody has the name of systemd.
  const daemon = spawn(BUS, ['--session', '--nofork', '--nopidfile', `--address=unix:path=${socket}`], {
    stdio: 'ignore',
  });
  try {
    const answers = () =>
      connectUnix(socket).then(
        (connection) => connection.destroy().destroyed,
        () => false,
      );
    await expect.poll(answers).toBe(true);
    const environment = { PATH: '/usr/bin:/bin', DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket},guid=1` };
    const script = `mount -t tmpfs none /run; exec ${RUNTIME} ${bundle.options.join(' ')} --systemd-cgroup run ${bundle.id}`;
    const result = await runProgram('/usr/bin/unshare', ['-m', '/bin/sh', '-c', script], {
      cwd: bundle.directory,
      environment,
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/systemd: .*org\.freedesktop\.systemd1 .*\(org\.freedesktop\.DBus\.Error\./);
  } finally {
    daemon.kill('SIGKILL');
  }
  expect(shop.leftovers()).toEqual([]);
});

test('without systemd, and with a path that names no scope, it is refused', async () => {
  const bundle = shop.bundle(['true']);
  const refused = await runProgram(RUNTIME, [...bundle.options, '--systemd-cgroup', 'run', bundle.id], {
    cwd: bundle.directory,
  });
  expect(refused.stderr).toContain('linux.cgroupsPath: with --systemd-cgroup it is SLICE:PREFIX:NAME');
  bundle.write(unit('none'));
  // Where nobody listens.
  const script = `mount -t tmpfs none /run; exec ${RUNTIME} ${bundle.options.join(' ')} --systemd-cgroup run ${bundle.id}`;
  const alone = await runProgram('/usr/bin/unshare', ['-m', '/bin/sh', '-c', script], { cwd: bundle.directory });
  expect(alone.status).toBe(1);
  expect(alone.stderr).toContain('systemd does not run here (nobody listens at /run/systemd/private)');
  expect(shop.leftovers()).toEqual([]);
});
