import { describe, expect, it } from 'vitest';
import { chooseCapabilities } from './capabilities.ts';
import { buildOciConfig, type OciConfigInput } from './oci-config.ts';

const CAPABILITIES = chooseCapabilities({
  privileged: false,
  add: [],
  drop: [],
  available: ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_RAW', 'CAP_SYS_ADMIN'],
});

const INPUT: OciConfigInput = {
  id: 'c1',
  rootPath: '/b/rootfs',
  overlay: { lower: ['/l/2', '/l/1'], upper: '/u', work: '/w' },
  readonlyRootfs: false,
  hostname: 'host1',
  domainname: '',
  process: {
    args: ['sh'],
    env: ['A=1'],
    cwd: '/',
    terminal: false,
    user: { uid: 1000, gid: 1000, additionalGids: [44] },
    capabilities: CAPABILITIES,
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 }],
    noNewPrivileges: false,
    oomScoreAdj: 0,
  },
  namespaces: { network: { path: '/proc/7/fd/9' }, pid: 'new', ipc: 'new', uts: 'new', cgroup: 'new' },
  cgroupsPath: '/tscompose-t/c1',
  limits: { memory: { limit: 1 << 26 }, pids: { limit: 4096 } },
  devices: [],
  deviceRules: [{ allow: true, type: 'c', major: 10, minor: 200, access: 'rwm' }],
  mounts: [
    { destination: '/data/deep', type: 'bind', source: '/s/2', options: ['rbind'] },
    { destination: '/data', type: 'bind', source: '/s/1', options: ['rbind'] },
    { destination: '/dev/shm', type: 'bind', source: '/s/3', options: ['rbind'] },
  ],
  shmSizeBytes: 64 << 20,
  sysctls: { 'kernel.msgmax': '1' },
  seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] },
  maskedPaths: undefined,
  readonlyPaths: undefined,
  privileged: false,
  init: true,
  annotations: { own: 'x' },
};

describe('config.json', () => {
  it('of an ordinary container', () => {
    expect(buildOciConfig(INPUT)).toMatchSnapshot();
  });

  it('keeps a user other than root without effective capabilities, and inheritable ones empty always', () => {
    const { capabilities } = buildOciConfig(INPUT).process;
    expect(capabilities).toEqual({
      bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_RAW'],
      effective: [],
      permitted: [],
      inheritable: [],
      ambient: [],
    });
  });

  it('of a privileged one masks nothing and allows all devices', () => {
    const { linux, mounts } = buildOciConfig({ ...INPUT, privileged: true, seccomp: undefined });
    expect(linux['maskedPaths']).toEqual([]);
    expect(linux['seccomp']).toBeUndefined();
    expect(linux['resources']).toMatchObject({ devices: [{ allow: true, access: 'rwm' }] });
    expect(mounts.find((mount) => mount.destination === '/sys')?.options).not.toContain('ro');
  });

  it('leaves out namespaces of the host and joins those of others', () => {
    const { linux, hostname } = buildOciConfig({
      ...INPUT,
      namespaces: { network: 'host', pid: { path: '/proc/9/ns/pid' }, ipc: 'host', uts: 'host', cgroup: 'new' },
    });
    expect(linux['namespaces']).toEqual([
      { type: 'mount' },
      { type: 'pid', path: '/proc/9/ns/pid' },
      { type: 'cgroup' },
    ]);
    expect(hostname).toBeUndefined();
  });
});

describe('capabilities', () => {
  const choose = (add: string[], drop: string[], available = CAPABILITIES) =>
    chooseCapabilities({ privileged: false, add, drop, available });
  it.each([
    [['net_raw'], ['ALL'], ['CAP_NET_RAW']],
    [[], ['CAP_KILL'], ['CAP_CHOWN', 'CAP_NET_RAW']],
    [['ALL'], ['NET_RAW'], ['CAP_CHOWN', 'CAP_KILL']],
  ])('add %j, drop %j', (add, drop, expected) => expect(choose(add, drop)).toEqual(expected));

  it('refuses what does not exist, and what the engine does not have', () => {
    expect(() => choose(['FLY'], [])).toThrow('unknown capability');
    expect(() => choose(['SYS_MODULE'], [])).toThrow('the engine does not have it');
  });
});
