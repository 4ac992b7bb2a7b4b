import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../kit/daemon.ts';
import type { Contender } from './contender.ts';
import { install, unpackForky } from './forky.ts';

const PACKAGES = ['docker.io', 'docker-cli', 'docker-compose', 'containerd', 'runc', 'libc6', 'libseccomp2'];

async function fetchDockerd(): Promise<string> {
  await install('iptables');
  return unpackForky('dockerd-forky', PACKAGES, 'usr/sbin/runc');
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
