import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathExists, runProgram } from '../../src/host/index.ts';
import { peer } from '../kit/peers.ts';
import { type GuestFile, hostFile, orderModules, writeInitramfs } from './initramfs.ts';

const QEMU = '/usr/bin/qemu-system-x86_64';
const BUSYBOX = '/bin/busybox';

/** What the machine runs: every scenario is a shell script of its own under `sh -ex`, and passes with status 0. */
export interface GuestPlan {
  readonly scenarios: Readonly<Record<string, string>>;
  /** Read by every scenario first: functions, variables. */
  readonly prelude?: string;
  /** Once, before the scenarios. */
  readonly setup?: string;
  readonly files: readonly GuestFile[];
  readonly modules: readonly string[];
  readonly memoryMiB?: number;
  /** More of the kernel's command line. */
  readonly kernelArguments?: string;
  readonly deadlineMs: number;
  /** A file of this machine as the guest's `/dev/vda`; needs the modules `virtio_pci` and `virtio_blk`. */
  readonly disk?: string;
  /** Cut the power as soon as this scenario has passed. */
  readonly cutAfter?: string;
}

export interface GuestReport {
  /** Per scenario: `ok`, or what it printed. */
  readonly results: ReadonlyMap<string, string>;
  readonly console: string;
  /** Until user space, and until power off. */
  readonly bootMs: number;
  readonly totalMs: number;
}

export interface Machine {
  readonly kernel: string;
  /** Directory of the kernel's modules. */
  readonly modules: string;
}

/** Finds kernel and emulator, fetching them once. What cannot be had is reported on stderr, never silently. */
export async function findMachine(): Promise<Machine | { readonly reason: string }> {
  const machine = await lookForMachine().catch((error: unknown) => ({ reason: String(error) }));
  if ('reason' in machine) console.warn(`no virtual machine: ${machine.reason}`);
  return machine;
}

async function lookForMachine(): Promise<Machine | { readonly reason: string }> {
  if (process.arch !== 'x64') return { reason: `the kernel is for x86-64, this machine is ${process.arch}` };
  if (!(await pathExists(QEMU))) {
    const install = ['install', '-y', '--no-install-recommends', 'qemu-system-x86'];
    const { status, stderr } = await runProgram('/usr/bin/apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...install], {
      environment: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (status !== 0) return { reason: `cannot install qemu-system-x86: ${stderr.trim().slice(-400)}` };
  }
  const found = await peer('linux-6.1');
  if ('reason' in found) return found;
  const kernel = readdirSync(found.path).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) return { reason: `no kernel in ${found.path}` };
  const modules = join(found.path, '../lib/modules', kernel.slice('vmlinuz-'.length));
  return { kernel: join(found.path, kernel), modules };
}

/**
 * First process: moves to a tmpfs, since the kernel's first root file system cannot be pivoted away from, then starts again
 * from there.
 */
const FIRST = `#!/bin/busybox sh
/bin/busybox mkdir -p /new /proc
/bin/busybox mount -t tmpfs -o mode=755 root /new
for name in /*; do
  case $name in
    /new | /proc | /dev) ;;
    *) /bin/busybox cp -a "$name" /new/ ;;
  esac
done
exec /bin/busybox switch_root /new /vm/main
`;

const MAIN = `#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
echo "@ boot"
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /etc /var/lib /usr/bin /sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
ip link set lo up
for module in $(cat /vm/modules); do insmod /vm/module/$module || echo "@ note cannot insert $module"; done
if ! sh -ex -c '. /vm/prelude; . /vm/setup' </dev/null >/tmp/out 2>&1; then
  echo "@ note setup failed"; sed 's/^/@ # /' /tmp/out
fi
cat /vm/names | while IFS=' ' read -r number name; do
  if (cd /root && exec sh -ex -c ". /vm/prelude; . /vm/scenario/$number") </dev/null >/tmp/out 2>&1; then
    echo "@ ok $name"
  else
    status=$?
    (tail -n 40 /tmp/out; echo "status $status"; dmesg | tail -n 3) | sed 's/^/@ # /'
    echo "@ not ok $name"
  fi
done
echo "@ end"
sync
poweroff -f
`;

function initramfs(plan: GuestPlan, modules: readonly string[]): Buffer {
  const names = Object.keys(plan.scenarios);
  const ordered = modules.map((path, index) => ({ path, name: `${index}.ko` }));
  return writeInitramfs([
    { path: '/init', content: FIRST, mode: 0o755 },
    { path: '/vm/main', content: MAIN, mode: 0o755 },
    { path: '/vm/prelude', content: plan.prelude ?? '' },
    { path: '/vm/setup', content: plan.setup ?? '' },
    { path: '/vm/modules', content: ordered.map(({ name }) => `${name}\n`).join('') },
    ...ordered.map(({ path, name }) => hostFile(path, `/vm/module/${name}`)),
    { path: '/vm/names', content: names.map((name, index) => `${index} ${name}\n`).join('') },
    ...names.map((name, index) => ({ path: `/vm/scenario/${index}`, content: plan.scenarios[name] ?? '' })),
    hostFile(BUSYBOX, '/bin/busybox'),
    ...plan.files,
  ]);
}

/** Reads the lines marked with `@`: a verdict comes after its details. */
function parseConsole(text: string): Map<string, string> {
  const results = new Map<string, string>();
  let details: string[] = [];
  for (const line of text.split(/\r*\n/)) {
    const [, kind, rest = ''] = /@ (ok|not ok|#) ?(.*)$/.exec(line) ?? [];
    if (kind === '#') details.push(rest);
    if (kind === 'ok') results.set(rest, 'ok');
    if (kind === 'not ok') results.set(rest, details.join('\n'));
    if (kind === 'ok' || kind === 'not ok') details = [];
  }
  return results;
}

/** Runs the emulator to its end; what the serial port said, and when user space came. */
async function boot(words: readonly string[], plan: GuestPlan): Promise<{ text: string; bootMs: number }> {
  const started = performance.now();
  const child = spawn(QEMU, [...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let bootMs = 0;
  const collect = (chunk: Buffer): void => {
    text += chunk.toString('utf8');
    if (bootMs === 0 && text.includes('@ boot')) bootMs = performance.now() - started;
    if (plan.cutAfter !== undefined && text.includes(`@ ok ${plan.cutAfter}`)) child.kill('SIGKILL');
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const timer = setTimeout(() => {
    text += `\nstopped: not done after ${plan.deadlineMs} ms\n`;
    child.kill('SIGKILL');
  }, plan.deadlineMs);
  const [status] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  if (status !== 0 && status !== null) text += `\nqemu: status ${status}\n`;
  return { text, bootMs };
}

/** Boots, runs every scenario, powers off. The console is kept in a file when anything failed. */
export async function runGuest(machine: Machine, plan: GuestPlan): Promise<GuestReport> {
  const directory = mkdtempSync('/tmp/tsc-vm-');
  const image = join(directory, 'initramfs');
  const started = performance.now();
  try {
    writeFileSync(image, initramfs(plan, orderModules(machine.modules, plan.modules)));
    // Software emulation: the hardware's may be there and yet hang.
    const words = ['-machine', 'pc,accel=tcg', '-cpu', 'max', '-smp', '1', '-m', String(plan.memoryMiB ?? 512)];
    words.push('-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio');
    const append = ['console=ttyS0 quiet loglevel=1 panic=-1', plan.kernelArguments ?? ''].join(' ').trim();
    words.push('-kernel', machine.kernel, '-initrd', image, '-append', append);
    if (plan.disk !== undefined) words.push('-drive', `file=${plan.disk},format=raw,if=virtio,cache=writethrough`);
    const { text, bootMs } = await boot(words, plan);
    const results = parseConsole(text);
    if (Object.keys(plan.scenarios).some((name) => results.get(name) !== 'ok')) {
      const log = `${directory}.log`;
      writeFileSync(log, text);
      console.warn(`the console of the virtual machine is kept in ${log}`);
    }
    return { results, console: text, bootMs, totalMs: performance.now() - started };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
