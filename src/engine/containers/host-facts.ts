import { TscError } from '../../core/index.ts';
import { deviceInfo, listDirectory, listEntries, pathExists, readTextIfExists } from '../../host/index.ts';
import { capabilitiesOfMask, type DeviceNode, type DeviceRule } from '../runtime/index.ts';
import type { DeviceMapping } from './container.ts';
import type { OwnLimits } from './limits.ts';

/** What this process may hand on. */
export interface OwnPowers extends OwnLimits {
  readonly capabilities: readonly string[];
}

let own: OwnPowers | undefined;

/** Our bounding set and limits; read once, they cannot grow. */
export async function ownPowers(): Promise<OwnPowers> {
  if (own) return own;
  const status = (await readTextIfExists('/proc/self/status')) ?? '';
  const limits = (await readTextIfExists('/proc/self/limits')) ?? '';
  const capabilities = capabilitiesOfMask(/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  own = {
    capabilities,
    mayRaise: capabilities.includes('CAP_SYS_RESOURCE'),
    hardNofile: hard === undefined || hard === 'unlimited' ? 1_048_576 : Number(hard),
  };
  return own;
}

let throttles: Promise<readonly string[]> | undefined;

/** Counters of each processor's thermal throttling: a side channel between containers. Read once. */
export function throttlePaths(): Promise<readonly string[]> {
  throttles ??= findThrottles();
  return throttles;
}

async function findThrottles(): Promise<readonly string[]> {
  const cpus = (await listDirectory('/sys/devices/system/cpu')).filter((name) => /^cpu\d+$/.test(name));
  const paths = cpus.map((name) => `/sys/devices/system/cpu/${name}/thermal_throttle`);
  const present = await Promise.all(paths.map(pathExists));
  return paths.filter((_, index) => present[index]);
}

export interface DeviceChoice {
  readonly nodes: readonly DeviceNode[];
  readonly rules: readonly DeviceRule[];
}

/** Nodes and permissions for mapped devices; a directory means all devices below it. Throws `container/invalid`. */
export async function devicesOf(
  mappings: readonly DeviceMapping[],
  extraRules: readonly string[],
): Promise<DeviceChoice> {
  const nodes: DeviceNode[] = [];
  const rules: DeviceRule[] = extraRules.map(parseRule);
  for (const { source, target, permissions } of mappings) {
    if (!/^[rwm]+$/.test(permissions))
      throw new TscError('container/invalid', `invalid permissions ${JSON.stringify(permissions)} of device ${source}`);
    const found = await collectDevices(source, target || source);
    if (found.length === 0) {
      throw new TscError('container/invalid', `cannot use ${source} as a device: it is not a device of this host`);
    }
    for (const node of found) {
      nodes.push(node);
      rules.push({ allow: true, type: node.type, major: node.major, minor: node.minor, access: permissions });
    }
  }
  return { nodes, rules };
}

/** Every device of the host, for privileged containers. */
export async function allDevices(): Promise<DeviceNode[]> {
  const standard = new Set(
    ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx'].map((name) => `/dev/${name}`),
  );
  return (await collectDevices('/dev', '/dev')).filter((node) => !standard.has(node.path));
}

const NOT_DEVICES: ReadonlySet<string> = new Set(['pts', 'shm', 'mqueue', 'fd', 'hugepages', '.lxc', 'net-ns']);

async function collectDevices(source: string, target: string): Promise<DeviceNode[]> {
  const info = await deviceInfo(source);
  if (info === undefined) return [];
  if (info.kind === 'device') {
    const { type, major, minor, mode, uid, gid } = info;
    return [{ path: target, type, major, minor, fileMode: mode, uid, gid }];
  }
  const nodes: DeviceNode[] = [];
  for (const entry of await listEntries(source)) {
    if (NOT_DEVICES.has(entry.name) || entry.isSymbolicLink()) continue;
    nodes.push(...(await collectDevices(`${source}/${entry.name}`, `${target}/${entry.name}`)));
  }
  return nodes;
}

function parseRule(text: string): DeviceRule {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text.trim());
  if (!match) throw new TscError('container/invalid', `invalid device cgroup rule ${JSON.stringify(text)}`);
  const [, type, major = '*', minor = '*', access = ''] = match;
  return {
    allow: true,
    type: type === 'b' ? 'b' : type === 'c' ? 'c' : 'a',
    ...(major !== '*' && { major: Number(major) }),
    ...(minor !== '*' && { minor: Number(minor) }),
    access,
  };
}
