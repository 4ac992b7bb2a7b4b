import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { waitUntil } from '../kit/daemon.ts';
import { peer } from '../kit/peers.ts';
import type { Contender } from './contender.ts';

/** Debian's podman with runc (which runs on hybrid cgroups too) and netavark, all unpacked beside it; without a name server, which no traffic passes. */
function configuration(root: string, runc: string, netavark: string): string {
  return `
[containers]
default_ulimits = []
cgroupns = "private"
log_driver = "k8s-file"
seccomp_profile = "${root}/usr/share/containers/seccomp.json"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
conmon_path = ["${root}/usr/bin/conmon"]
helper_binaries_dir = ["${dirname(netavark)}"]
runtime = "runc"
[engine.runtimes]
runc = ["${runc}"]
[network]
network_backend = "netavark"
network_config_dir = "NETWORKS"
`;
}

/** Podman's API service in a network and mount namespace of its own, with data of its own; or why it is not to be had here. */
export async function startPodman(directory: string): Promise<Contender | { readonly reason: string }> {
  const [podman, runc, netavark] = [await peer('podman-4'), await peer('runc'), await peer('netavark')];
  if ('reason' in podman) return podman;
  if ('reason' in runc) return runc;
  if ('reason' in netavark) return netavark;
  const root = podman.path.slice(0, -'/usr/bin/podman'.length);
  const home = join(directory, 'home');
  const policy = join(home, '.config/containers');
  mkdirSync(policy, { recursive: true });
  copyFileSync(`${root}/etc/containers/policy.json`, join(policy, 'policy.json'));
  const settings = join(directory, 'containers.conf');
  const text = configuration(root, runc.path, netavark.path).replace('NETWORKS', join(directory, 'networks'));
  writeFileSync(settings, text);
  const socket = join(directory, 'podman.sock');
  const logFile = join(directory, 'podman.log');
  const log = openSync(logFile, 'a');
  const places = `--root ${directory}/data --runroot ${directory}/run --tmpdir ${directory}/tmp --storage-driver vfs`;
  // Its namespaces are mounted below /run: in a mount namespace of its own nothing of them stays.
  const command = [
    'ip link set lo up; mount -t tmpfs none /run; mkdir -p /run/lock',
    `exec ${podman.path} ${places} system service --time 0 unix://${socket}`,
  ].join('; ');
  const words = ['-n', '-m', '--propagation', 'private', '/bin/sh', '-c', command];
  const child = spawn('/usr/bin/unshare', words, {
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: home,
      CONTAINERS_CONF: settings,
      CONTAINERS_REGISTRIES_CONF: `${root}/etc/containers/registries.conf`,
    },
    stdio: ['ignore', log, log],
    detached: true,
  });
  let ended = false;
  child.on('exit', () => {
    ended = true;
  });
  await waitUntil(30_000, async () => ended || existsSync(socket));
  if (ended) return { reason: `it ended: ${readFileSync(logFile, 'utf8').trim().slice(-400)}` };
  return {
    name: 'podman 4.3',
    socket,
    compose: [],
    docker: [],
    pid: child.pid ?? 0,
    directory,
    stop: async () => {
      child.kill('SIGTERM');
      await waitUntil(30_000, async () => ended);
    },
  };
}
