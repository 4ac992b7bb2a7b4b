import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runProgram } from '../../src/host/index.ts';
import { waitUntil } from '../kit/daemon.ts';
import { peersDirectory } from '../kit/peers.ts';
import type { Contender } from './contender.ts';

/** Debian's testing suite has the engine; its runtime needs that suite's C library, which is unpacked beside it. */
const PACKAGES = ['docker.io', 'docker-cli', 'docker-compose', 'containerd', 'runc', 'libc6', 'libseccomp2'];
const MACHINE_PACKAGES = ['iptables', 'patchelf'];

async function need(file: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(file, args);
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.trim().slice(-500)}`);
  return stdout;
}

/** Unpacks dockerd and what it runs, once; returns the root of the unpacked tree. */
async function fetchDockerd(): Promise<string> {
  const directory = join(peersDirectory(), 'dockerd-forky');
  const root = join(directory, 'root');
  if (existsSync(join(directory, 'patched'))) return root;
  mkdirSync(peersDirectory(), { recursive: true });
  await need('/usr/bin/apt-get', ['install', '-y', '--no-install-recommends', ...MACHINE_PACKAGES]);
  const targets = await need('/usr/bin/apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']);
  const mirror = targets.split('\n').find((line) => /\/debian\/?$/.test(line));
  if (mirror === undefined) throw new Error('no Debian mirror among the sources of apt');
  const script = resolve(import.meta.dirname, '../kit/fetch-peer.sh');
  await need('/bin/sh', [script, peersDirectory(), 'forky', mirror, directory, ...PACKAGES]);
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  // The program itself is patched, not wrapped: runc executes itself again.
  await need('/usr/bin/patchelf', [
    '--set-interpreter',
    loader,
    '--force-rpath',
    '--set-rpath',
    libraries,
    join(root, 'usr/sbin/runc'),
  ]);
  writeFileSync(join(directory, 'patched'), '');
  return root;
}

export interface DockerdOptions {
  /** Path of a network namespace; a new one unless told. */
  readonly network?: string;
  /** A directory with programs that go before the machine's. */
  readonly programs?: string;
}

/** A dockerd of its own in network and mount namespaces of its own: the machine's firewall stays untouched. */
export async function startDockerd(
  directory: string,
  runDirectory: string,
  { network, programs }: DockerdOptions = {},
): Promise<Contender> {
  const root = await fetchDockerd();
  const socket = join(directory, 'docker.sock');
  const path = [...(programs ? [programs] : []), join(root, 'usr/sbin'), join(root, 'usr/bin')].join(':');
  const log = openSync(join(directory, 'dockerd.log'), 'a');
  const command = [
    'ip link set lo up; exec dockerd',
    `--data-root ${directory}/data --exec-root ${runDirectory}/exec --pidfile ${runDirectory}/pid -H unix://${socket}`,
    '--cgroup-parent /tscompose-bench --log-level error',
  ].join(' ');
  const place =
    network === undefined ? ['/usr/bin/unshare', '-n'] : ['/usr/bin/nsenter', `--net=${network}`, 'unshare'];
  const [program = '', ...args] = [...place, '-m', '--propagation', 'private', '/bin/sh', '-c', command];
  const child = spawn(program, args, {
    env: { PATH: `${path}:/usr/sbin:/usr/bin:/sbin:/bin` },
    stdio: ['ignore', log, log],
    detached: true,
  });
  let ended = false;
  child.on('exit', () => {
    ended = true;
  });
  await waitUntil(30_000, async () => {
    if (ended) throw new Error(`dockerd ended:\n${readFileSync(join(directory, 'dockerd.log'), 'utf8').slice(-2000)}`);
    return existsSync(socket);
  });
  return {
    name: 'dockerd 28.5 (forky)',
    socket,
    compose: [join(root, 'usr/libexec/docker/cli-plugins/docker-compose')],
    docker: [join(root, 'usr/bin/docker')],
    pid: child.pid ?? 0,
    directory: runDirectory,
    stop: async () => {
      child.kill('SIGTERM');
      await waitUntil(30_000, async () => ended);
    },
  };
}
