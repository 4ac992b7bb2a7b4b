import { hostname, release } from 'node:os';
import { allDone, shortId } from '../../core/index.ts';
import { makeDirectory, makeDirectoryLike, readTextWithin, writeAtomically } from '../../host/index.ts';
import {
  buildOciConfig,
  chooseCapabilities,
  DEFAULT_MASKED_PATHS,
  defaultSeccompProfile,
  type NamespaceChoice,
  type OciConfigInput,
  type OciMount,
  type ProcessInput,
  resolveSeccompFile,
  type SeccompProfile,
} from '../runtime/index.ts';
import { apparmorProfileOf } from './apparmor.ts';
import type { ContainerRecord } from './container.ts';
import { type ContainerContext, type ContainerPaths, cgroupPath, pathsOf } from './context.ts';
import { allDevices, devicesOf, ownPowers, throttlePaths } from './host-facts.ts';
import { limitsOf, rlimitsOf } from './limits.ts';
import { environmentWithLinks } from './link-variables.ts';
import { logFileOf } from './log-options.ts';
import { chooseNamespaces, usesHostName } from './namespaces.ts';
import { ociMountOf } from './resolve-mounts.ts';
import { parseSecurityOptions } from './security-options.ts';
import { type ResolvedUser, resolveUser } from './user-lookup.ts';

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Account files larger than this are not read: an image decides their size. */
const ACCOUNT_FILE_LIMIT = 4 << 20;

export interface BundleInput {
  readonly record: ContainerRecord;
  /** Layers of the image, top first. */
  readonly lower: readonly string[];
  /** hosts, hostname, resolv.conf. */
  readonly nameMounts: readonly OciMount[];
}

/** What is decided of a bundle before its network namespace exists. */
export interface PreparedBundle {
  readonly bundle: string;
  /** Path of the monitor's orders. */
  readonly orders: string;
  readonly input: Omit<OciConfigInput, 'namespaces'> & {
    readonly namespaces: Omit<OciConfigInput['namespaces'], 'network'>;
  };
}

/** Makes the directories and the monitor's orders, and decides everything else but the network. */
export async function prepareBundle(context: ContainerContext, input: BundleInput): Promise<PreparedBundle> {
  const { record } = input;
  const paths = pathsOf(context, record.id);
  const directories = [
    ...[paths.rootfs, paths.work, paths.run].map((path) => makeDirectory(path)),
    // Overlay shows the upper directory's owner and mode as those of /.
    makeDirectoryLike(paths.upper, input.lower[0]),
  ];
  const { tty, openStdin, stdinOnce } = record.config;
  const size = record.host.consoleSize;
  const orders = {
    kind: 'container',
    id: record.id,
    container: record.id,
    run_dir: paths.run,
    runtime: null,
    runtime_root: `${context.runDir}/runtime`,
    bundle: paths.bundle,
    terminal: tty,
    rows: size?.rows ?? 0,
    cols: size?.columns ?? 0,
    stdin: openStdin,
    // A terminal outlives its first client: detaching and attaching again is how it is used.
    stdin_once: stdinOnce && !tty,
    log: logFileOf(record.host.logging, paths.log),
  };
  const written = writeAtomically(paths.monitorFile, JSON.stringify(orders));
  const [config] = await allDone([ociInputOf(context, input, paths), written, ...directories]);
  return { bundle: paths.bundle, orders: paths.monitorFile, input: config };
}

/** Writes config.json; returns the path of the monitor's orders. */
export async function writeBundle(prepared: PreparedBundle, networkPath: string | null): Promise<string> {
  const network = networkPath === null ? 'host' : ({ path: networkPath } satisfies NamespaceChoice);
  const { input, bundle, orders } = prepared;
  const config = buildOciConfig({ ...input, namespaces: { ...input.namespaces, network } });
  await writeAtomically(`${bundle}/config.json`, JSON.stringify(config));
  return orders;
}

async function ociInputOf(
  context: ContainerContext,
  { record, lower, nameMounts }: BundleInput,
  paths: ContainerPaths,
): Promise<PreparedBundle['input']> {
  const { config, host } = record;
  const layers = [paths.upper, ...lower];
  const user = await resolveUser(config.user, host.groupAdd, accountReader(layers));
  const devices = await devicesOf(host.devices, host.deviceCgroupRules);
  const mounts = await Promise.all(record.mounts.map(ociMountOf));
  const covered = new Set(mounts.map((mount) => mount.destination));
  const powers = await ownPowers();
  const capabilities = chooseCapabilities({
    privileged: host.privileged,
    add: host.capAdd,
    drop: host.capDrop,
    available: powers.capabilities,
  });
  const name = hostnameOf(context, record);
  return {
    id: record.id,
    rootPath: paths.rootfs,
    overlay: { lower, upper: paths.upper, work: paths.work },
    readonlyRootfs: host.readonlyRootfs,
    hostname: name,
    domainname: config.domainname,
    process: processOf(record, {
      hostname: name,
      env: environmentWithLinks(context, record),
      user,
      capabilities,
      rlimits: rlimitsOf(host.ulimits, powers),
      apparmorProfile: await apparmorProfileOf(host),
    }),
    namespaces: chooseNamespaces(context, record),
    cgroupsPath: cgroupPath(context.instance, record.id),
    limits: limitsOf(host.resources),
    devices: host.privileged ? await allDevices() : devices.nodes,
    deviceRules: devices.rules,
    // A user's own mount on /etc/hosts and its like wins.
    mounts: [...nameMounts.filter((mount) => !covered.has(mount.destination)), ...mounts],
    shmSizeBytes: host.shmSizeBytes,
    sysctls: Object.fromEntries(Object.entries(host.sysctls).filter(([key]) => !key.startsWith('net.'))),
    seccomp: seccompOf(record, capabilities),
    maskedPaths: host.maskedPaths ?? (host.privileged ? [] : [...DEFAULT_MASKED_PATHS, ...(await throttlePaths())]),
    readonlyPaths: host.readonlyPaths,
    privileged: host.privileged,
    init: host.init,
    annotations: host.annotations,
  };
}

/** Reads account files of a root given as layers, top first. */
export function accountReader(layers: readonly string[]): (path: string) => Promise<string | undefined> {
  return (path) => readTextWithin(layers, path, ACCOUNT_FILE_LIMIT);
}

/** The name the container has for itself: the one given, else that of whose names or network it shares. */
export function hostnameOf(context: Pick<ContainerContext, 'table'>, record: ContainerRecord): string {
  if (usesHostName(record)) return hostname();
  const { networkMode } = record.host;
  const shares = networkMode.startsWith('container:') && record.config.hostname === '';
  const owner = shares ? context.table.find(networkMode.slice('container:'.length)) : undefined;
  return owner ? hostnameOf(context, owner.record) : record.config.hostname || shortId(record.id);
}

function seccompOf(record: ContainerRecord, capabilities: readonly string[]): SeccompProfile | undefined {
  const { seccomp } = parseSecurityOptions(record.host.securityOpt);
  if (seccomp === 'unconfined' || (record.host.privileged && seccomp === 'default')) return undefined;
  const held = new Set(capabilities);
  return seccomp === 'default'
    ? defaultSeccompProfile(held)
    : resolveSeccompFile(seccomp.file, { capabilities: held, architecture: process.arch, kernel: release() });
}

function processOf(
  record: ContainerRecord,
  given: { readonly user: ResolvedUser; readonly hostname: string; readonly env: readonly string[] } & Pick<
    ProcessInput,
    'capabilities' | 'rlimits' | 'apparmorProfile'
  >,
): ProcessInput {
  const { config, host } = record;
  return {
    args: [...config.entrypoint, ...config.command],
    env: completeEnv(given.env, { hostname: given.hostname, tty: config.tty, home: given.user.home }),
    cwd: config.workdir || '/',
    terminal: config.tty,
    ...(host.consoleSize && { consoleSize: host.consoleSize }),
    user: given.user,
    capabilities: given.capabilities,
    rlimits: given.rlimits,
    apparmorProfile: given.apparmorProfile,
    noNewPrivileges: parseSecurityOptions(host.securityOpt).noNewPrivileges,
    oomScoreAdj: host.oomScoreAdj,
  };
}

/** The environment with what every process gets: PATH, HOSTNAME, TERM on a terminal, HOME. */
export function completeEnv(
  env: readonly string[],
  facts: { readonly hostname: string; readonly tty: boolean; readonly home: string },
): string[] {
  const defaults = [
    DEFAULT_PATH,
    ...(facts.hostname === '' ? [] : [`HOSTNAME=${facts.hostname}`]),
    ...(facts.tty ? ['TERM=xterm'] : []),
    `HOME=${facts.home}`,
  ];
  const keyOf = (entry: string) => entry.split('=', 1)[0];
  const own = new Set(env.map(keyOf));
  return [...defaults.filter((entry) => !own.has(keyOf(entry))), ...env];
}
