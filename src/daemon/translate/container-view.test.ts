import { describe, expect, it } from 'vitest';
import type { ContainerId, NetworkId } from '../../core/index.ts';
import type { ContainerDetails } from '../../engine/index.ts';
import { containerInspect, containerSummary, statusText } from './container-view.ts';
import { wireFileMode } from './path-stat.ts';

const NOW = Date.parse('2025-01-01T00:01:00Z');
const NEVER = '0001-01-01T00:00:00Z';

function details(state: Partial<ContainerDetails['state']> = {}): ContainerDetails {
  const id = 'ab'.repeat(32) as ContainerId;
  return {
    version: 1,
    id,
    name: 'web',
    created: '2025-01-01T00:00:00Z',
    imageId: `sha256:${'cd'.repeat(32)}`,
    config: {
      image: 'busybox',
      hostname: 'h',
      domainname: '',
      user: '',
      tty: false,
      openStdin: false,
      stdinOnce: false,
      attachStdin: false,
      attachStdout: true,
      attachStderr: true,
      env: ['A=b'],
      command: ['sh', '-c', 'echo a b'],
      entrypoint: [],
      workdir: '/',
      labels: { a: 'b' },
      healthcheck: { test: ['CMD', 'true'], intervalNs: 1e9 },
      exposedPorts: ['80/tcp', '53/udp'],
      volumes: [],
      networkDisabled: false,
    },
    host: {
      binds: [],
      mounts: [{ type: 'volume', source: 'v', target: '/v' }],
      tmpfs: {},
      volumesFrom: [],
      networkMode: 'default',
      portBindings: [{ containerPort: '80/tcp', hostAddress: '', hostPort: '8080' }],
      publishAllPorts: false,
      restartPolicy: { name: 'no', maximumRetries: 0 },
      autoRemove: false,
      privileged: false,
      capAdd: [],
      capDrop: [],
      securityOpt: [],
      readonlyRootfs: false,
      init: true,
      resources: { memoryBytes: 64 << 20 },
      ulimits: [],
      devices: [],
      deviceCgroupRules: [],
      sysctls: {},
      shmSizeBytes: 0,
      extraHosts: [],
      links: [],
      dns: [],
      dnsSearch: [],
      dnsOptions: [],
      groupAdd: [],
      pidMode: '',
      ipcMode: '',
      utsMode: '',
      cgroupnsMode: '',
      usernsMode: '',
      cgroupParent: '',
      logging: { driver: '', options: {} },
      oomScoreAdj: 0,
      annotations: {},
      runtime: '',
    },
    networks: {},
    mounts: [],
    state: {
      status: 'running',
      pid: 7,
      exitCode: 0,
      oomKilled: false,
      error: '',
      startedAt: '2025-01-01T00:00:55Z',
      finishedAt: NEVER,
      restartCount: 0,
      ...state,
    },
    stoppedByUser: false,
    path: 'sh',
    args: ['-c', 'echo a b'],
    endpoints: [
      {
        network: 'bridge',
        networkId: 'ef'.repeat(32) as NetworkId,
        spec: { aliases: ['x'], links: [] },
        ipv4: '172.17.0.2',
        ipv4PrefixLength: 16,
        ipv6: '',
        ipv6PrefixLength: 0,
        gateway: '172.17.0.1',
        ipv6Gateway: '',
        macAddress: '02:42:ac:11:00:02',
        dnsNames: ['web'],
      },
    ],
    ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }],
    logPath: '/l',
    hostsPath: '/h',
    hostname: 'abc',
    hostnamePath: '/n',
    resolvConfPath: '/r',
    sandboxPath: '/proc/1/fd/9',
    execIds: [],
    lowerDirectories: ['/a', '/b'],
    upperDirectory: '/u',
    apparmorProfile: '',
    workDirectory: '/w',
  };
}

const noIds = () => new Map<string, string>();

describe('status text', () => {
  const ended = { pid: 0, finishedAt: '2025-01-01T00:00:58Z' };
  it.each<[Partial<ContainerDetails['state']>, string]>([
    [{}, 'Up 5 seconds'],
    [{ health: { status: 'starting', failingStreak: 0, log: [] } }, 'Up 5 seconds (health: starting)'],
    [{ health: { status: 'healthy', failingStreak: 0, log: [] } }, 'Up 5 seconds (healthy)'],
    [{ health: { status: 'none', failingStreak: 0, log: [] } }, 'Up 5 seconds'],
    [{ status: 'paused' }, 'Up 5 seconds (Paused)'],
    [{ ...ended, status: 'exited', exitCode: 3 }, 'Exited (3) 2 seconds ago'],
    [{ ...ended, status: 'restarting', exitCode: 1 }, 'Restarting (1) 2 seconds ago'],
    [{ status: 'created', pid: 0 }, 'Created'],
    [{ status: 'removing' }, 'Removal In Progress'],
    [{ status: 'dead' }, 'Dead'],
  ])('of %j is %s', (state, text) => {
    expect(statusText(details(state), NOW)).toBe(text);
  });
});

describe('list entry', () => {
  it('shows command, ports and networks of a running container', () => {
    expect(containerSummary(details(), NOW, () => new Map([['ef'.repeat(32), 'e1']]))).toMatchObject({
      Names: ['/web'],
      Command: "sh -c 'echo a b'",
      Created: 1735689600,
      Ports: [
        { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
        { PrivatePort: 53, Type: 'udp' },
      ],
      HostConfig: { NetworkMode: 'default' },
      NetworkSettings: { Networks: { bridge: { IPAddress: '172.17.0.2', EndpointID: 'e1' } } },
    });
  });

  it('shows no ports of a stopped one', () => {
    expect(containerSummary(details({ status: 'exited', pid: 0 }), NOW, noIds).Ports).toEqual([]);
  });
});

describe('inspect', () => {
  it('has everything a client may send back to create', () => {
    const shown = containerInspect(details(), noIds);
    expect(shown.HostConfig).toMatchObject({
      PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
      Mounts: [{ Type: 'volume', Source: 'v', Target: '/v' }],
      Memory: 64 << 20,
      Init: true,
      ShmSize: 64 << 20,
    });
    expect(shown.Config).toMatchObject({ Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9 }, Entrypoint: null });
    expect(shown.NetworkSettings).toMatchObject({
      IPAddress: '172.17.0.2',
      Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '53/udp': null },
    });
    expect(shown.State).toMatchObject({ Running: true, Pid: 7 });
  });

  it('counts a paused container as running', () => {
    expect(containerInspect(details({ status: 'paused' }), noIds).State).toMatchObject({ Running: true, Paused: true });
  });
});

describe('file modes', () => {
  it.each([
    [0o100644, 0o644],
    [0o040755, 2 ** 31 + 0o755],
    [0o120777, 2 ** 27 + 0o777],
    [0o104755, 2 ** 23 + 0o755],
    [0o041777, 2 ** 31 + 2 ** 20 + 0o777],
  ])('%o travels as %d', (mode, wire) => {
    expect(wireFileMode(mode)).toBe(wire);
  });
});
