import { mkdirSync, readdirSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { pathExists, type RunResult, runProgram, writeAtomically } from '../../src/host/index.ts';

/** Clients of other projects that our socket must satisfy unmodified, and what the virtual machine needs. */
export type PeerName =
  | 'docker-cli-20'
  | 'docker-cli-28'
  | 'docker-compose-1'
  | 'docker-compose-2'
  | 'linux-6.1'
  | 'apparmor-parser'
  | 'secilc'
  | 'uidmap'
  | 'dnsmasq'
  | 'dig'
  | 'musl'
  | 'crun'
  | 'runc'
  | 'netavark'
  | 'podman-4'
  | 'podman-5'
  | 'containerd-1'
  | 'firewalld'
  | 'oci-validation'
  | 'oci-validation-source'
  | 'network-servers';

/** Where the program is, or why it cannot be had here. */
export type Peer = { readonly path: string } | { readonly reason: string };

interface PeerSource {
  readonly suite: 'bookworm' | 'forky';
  readonly packages: readonly string[];
  /** Below the unpacked root. */
  readonly program: string;
  /** A Python program is run by the machine's own Python with the unpacked modules. */
  readonly python?: boolean;
  /** A program of a newer suite loads that suite's C library, unpacked beside it: the program itself is patched, not wrapped, since it executes itself again. */
  readonly ownLibraries?: boolean;
  /** Further programs below the unpacked root that `ownLibraries` holds for. */
  readonly companions?: readonly string[];
}

const MUSL = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-musl`;

const SOURCES: Readonly<Record<PeerName, PeerSource>> = {
  'docker-cli-20': { suite: 'bookworm', packages: ['docker.io'], program: 'usr/bin/docker' },
  'docker-cli-28': { suite: 'forky', packages: ['docker-cli'], program: 'usr/bin/docker' },
  'docker-compose-1': {
    suite: 'bookworm',
    packages: ['+docker-compose'],
    program: 'usr/bin/docker-compose',
    python: true,
  },
  'docker-compose-2': {
    suite: 'forky',
    packages: ['docker-compose'],
    program: 'usr/libexec/docker/cli-plugins/docker-compose',
  },
  // A directory: vmlinuz and config, with the modules beside it below lib/modules.
  'linux-6.1': { suite: 'bookworm', packages: ['=linux-image-cloud-amd64'], program: 'boot' },
  secilc: { suite: 'bookworm', packages: ['secilc'], program: 'usr/bin/secilc' },
  'apparmor-parser': { suite: 'bookworm', packages: ['apparmor'], program: 'sbin/apparmor_parser' },
  // With conmon, the configuration files and the libraries a host without podman lacks, below the same root.
  'podman-4': {
    suite: 'bookworm',
    packages: [
      'podman',
      'conmon',
      'catatonit',
      'golang-github-containers-common',
      'golang-github-containers-image',
      'libassuan0',
      'libaudit1',
      'libdevmapper1.02.1',
      'libglib2.0-0',
      'libgpg-error0',
      'libgpgme11',
      'libpcre2-8-0',
      'libseccomp2',
      'libselinux1',
      'libsemanage2',
      'libsubid4',
      'libyajl2',
      'fuse-overlayfs',
    ],
    program: 'usr/bin/podman',
    // conmon starts podman again, with an environment of its own.
    ownLibraries: true,
    companions: ['usr/bin/conmon'],
  },
  'podman-5': {
    suite: 'forky',
    packages: [
      ...['podman', 'conmon', 'catatonit', 'netavark', 'golang-github-containers-common'],
      ...[
        'golang-github-containers-image',
        'libassuan9',
        'libatomic1',
        'libaudit1',
        'libbsd0',
        'libc6',
        'libcap-ng0',
        'libcap2',
        'libcrypt1',
        'libffi8',
      ],
      ...[
        'libacl1',
        'libgcc-s1',
        'libglib2.0-0t64',
        'libgpg-error0',
        'libgpgme45',
        'libmd0',
        'libpam0g',
        'libpcre2-8-0',
      ],
      ...['libseccomp2', 'libselinux1', 'libsemanage2', 'libsepol2', 'libsqlite3-0', 'libsubid6', 'libbz2-1.0'],
      ...['libsystemd0', 'zlib1g'],
    ],
    program: 'usr/bin/podman',
    ownLibraries: true,
    companions: ['usr/bin/conmon'],
  },
  // What makes the networks of podman.
  netavark: { suite: 'bookworm', packages: ['netavark'], program: 'usr/lib/podman/netavark' },
  firewalld: {
    suite: 'bookworm',
    packages: [
      ...['firewalld', 'python3-firewall', 'python3-nftables', 'libnftables1'],
      ...['python3-dbus', 'python3-gi', 'gir1.2-glib-2.0', 'libgirepository-1.0-1'],
    ],
    program: 'usr/sbin/firewalld',
    python: true,
  },
  // ctr and the shim are beside it.
  'containerd-1': { suite: 'bookworm', packages: ['containerd'], program: 'usr/bin/containerd' },
  // The compiler and the modules that the OCI project's validation programs are built with, and these.
  'oci-validation': {
    suite: 'bookworm',
    packages: [
      '@golang-github-opencontainers-runtime-tools-dev',
      'golang-1.19-go',
      'golang-1.19-src',
      'golang-github-google-uuid-dev',
    ],
    program: 'usr/lib/go-1.19/bin/go',
  },
  'oci-validation-source': {
    suite: 'forky',
    packages: ['%golang-github-opencontainers-runtime-tools'],
    program: 'src',
  },
  // A root file system with nginx and iperf3.
  'network-servers': {
    suite: 'bookworm',
    packages: [
      ...['nginx', 'iperf3', 'libiperf0', 'libsctp1', 'libc6', 'libcrypt1', 'libpcre2-8-0', 'libssl3', 'zlib1g'],
    ],
    program: 'usr/sbin/nginx',
  },
  // newuidmap and newgidmap.
  uidmap: { suite: 'bookworm', packages: ['uidmap'], program: 'usr/bin/newuidmap' },
  dnsmasq: {
    suite: 'bookworm',
    packages: [
      'dnsmasq-base',
      'libdbus-1-3',
      'libgmp10',
      'libhogweed6',
      'libidn2-0',
      'libmnl0',
      'libnetfilter-conntrack3',
      'libnettle8',
      'libnfnetlink0',
      'libnftables1',
      'libnftnl11',
      'libjansson4',
      'libunistring2',
      'libxtables12',
    ],
    program: 'usr/sbin/dnsmasq',
    ownLibraries: true,
  },
  dig: {
    suite: 'bookworm',
    packages: [
      'bind9-dnsutils',
      'bind9-libs',
      'libfstrm0',
      'libidn2-0',
      'libjemalloc2',
      'libjson-c5',
      'liblmdb0',
      'libmaxminddb0',
      'libnghttp2-14',
      'libprotobuf-c1',
      'libunistring2',
      'libuv1',
      'libxml2',
      'libicu72',
    ],
    program: 'usr/bin/dig',
    ownLibraries: true,
  },
  // The C library alone: its start files and archive, for programs linked against it.
  musl: { suite: 'bookworm', packages: ['musl', 'musl-dev'], program: `usr/lib/${MUSL}/libc.a` },
  crun: {
    suite: 'forky',
    packages: ['crun', 'libc6', 'libcap2', 'libjson-c5', 'libseccomp2', 'libsystemd0', '=libblake3-0', 'libblake3-0'],
    program: 'usr/bin/crun',
    ownLibraries: true,
  },
  runc: { suite: 'forky', packages: ['runc', 'libc6', 'libseccomp2'], program: 'usr/sbin/runc', ownLibraries: true },
};

/** `$TSCOMPOSE_PEERS`, else a cache that survives the tests. */
export function peersDirectory(): string {
  return process.env['TSCOMPOSE_PEERS'] ?? '/var/cache/tscompose-peers';
}

/** Finds a peer, downloading its Debian packages once. A peer that cannot be had is reported on stderr, never silently. */
export async function peer(name: PeerName): Promise<Peer> {
  const result = await findPeer(name).catch((error: unknown) => ({ reason: String(error) }));
  if ('reason' in result) console.warn(`peer ${name} is not available: ${result.reason}`);
  return result;
}

async function findPeer(name: PeerName): Promise<Peer> {
  const source = SOURCES[name];
  const cache = peersDirectory();
  const directory = join(cache, name);
  const program = join(directory, source.python ? 'run' : join('root', source.program));
  if (await pathExists(source.ownLibraries ? join(directory, 'patched') : program)) return { path: program };
  if (!(await pathExists('/usr/bin/apt-get')))
    return { reason: 'it is fetched with apt-get, which this machine lacks' };
  mkdirSync(cache, { recursive: true });
  const script = join(import.meta.dirname, 'fetch-peer.sh');
  const fetched = await runProgram('/bin/sh', [
    script,
    cache,
    source.suite,
    await debianMirror(),
    directory,
    ...source.packages,
  ]);
  if (fetched.status !== 0) return { reason: `download failed: ${fetched.stderr.trim().slice(-400)}` };
  if (source.python) await writePythonRunner(directory, program, source.program);
  if (source.ownLibraries) {
    const companions = (source.companions ?? []).map((path) => join(directory, 'root', path));
    await useOwnLibraries(directory, [program, ...companions]);
  }
  return { path: program };
}

/** Without a C library among the packages only the others are the peer's own. */
async function useOwnLibraries(directory: string, programs: readonly string[]): Promise<void> {
  const machine = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
  const libraries = join(directory, 'root/usr/lib', machine);
  const loader = readdirSync(libraries).find((name) => /^ld-linux-.*\.so/.test(name));
  const commands = [
    ['/usr/bin/apt-get', '-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends', 'patchelf'],
    ...programs.flatMap((program) => [
      ...(loader === undefined ? [] : [['/usr/bin/patchelf', '--set-interpreter', join(libraries, loader), program]]),
      [
        '/usr/bin/patchelf',
        '--force-rpath',
        '--set-rpath',
        `${libraries}:${join(directory, 'root/lib', machine)}`,
        program,
      ],
    ]),
  ];
  if (await pathExists('/usr/bin/patchelf')) commands.shift();
  for (const [file = '', ...args] of commands) {
    const { status, stderr } = await runProgram(file, args);
    if (status !== 0) throw new Error(`${file}: ${stderr.trim().slice(-400)}`);
  }
  await writeAtomically(join(directory, 'patched'), '');
}

/** The mirror this machine's own packages come from. */
async function debianMirror(): Promise<string> {
  const { stdout } = await runProgram('/usr/bin/apt-get', [
    'indextargets',
    '--format',
    '$(SITE)',
    'Created-By: Packages',
  ]);
  const site = stdout.split('\n').find((line) => /\/debian\/?$/.test(line));
  if (site === undefined) throw new Error('no Debian mirror among the sources of apt');
  return site;
}

async function writePythonRunner(directory: string, runner: string, program: string): Promise<void> {
  const modules = join(directory, 'root/usr/lib/python3/dist-packages');
  const text = `#!/bin/sh\nPYTHONPATH='${modules}' exec /usr/bin/python3 '${join(directory, 'root', program)}' "$@"\n`;
  await writeAtomically(runner, text, { mode: 0o755 });
  await chmod(runner, 0o755);
}

/** Runs a peer against a socket with an empty configuration of its own. */
export function runPeer(
  path: string,
  args: readonly string[],
  options: {
    readonly host: string;
    readonly home: string;
    readonly input?: string | Uint8Array;
    readonly environment?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly timeoutMs?: number;
  },
): Promise<RunResult> {
  return runProgram(path, args, {
    environment: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'C.UTF-8',
      HOME: options.home,
      DOCKER_HOST: options.host,
      DOCKER_BUILDKIT: '0',
      ...options.environment,
    },
    signal: AbortSignal.timeout(options.timeoutMs ?? 30_000),
    ...(options.input !== undefined && { input: options.input }),
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
}
