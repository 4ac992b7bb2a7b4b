import { describeError, TscError } from '../../core/index.ts';
import { pathExists, readTextIfExists, runProgram } from '../../host/index.ts';
import { apparmorProfileText, DEFAULT_APPARMOR_PROFILE } from '../runtime/index.ts';
import type { HostConfig } from './container.ts';
import { parseSecurityOptions } from './security-options.ts';

const PARSERS = ['/sbin/apparmor_parser', '/usr/sbin/apparmor_parser'];

export interface AppArmor {
  readonly active: boolean;
  /** Why containers do not get the default profile although AppArmor is there. */
  readonly problem?: string;
}

let state: Promise<AppArmor> | undefined;

/** Whether AppArmor is there; loads the default profile the first time. */
export function appArmor(): Promise<AppArmor> {
  state ??= prepare();
  return state;
}

async function prepare(): Promise<AppArmor> {
  const enabled = (await readTextIfExists('/sys/module/apparmor/parameters/enabled').catch(() => undefined)) ?? '';
  if (!enabled.startsWith('Y')) return { active: false };
  const problem = await loadDefault().catch(describeError);
  return { active: true, ...(problem !== undefined && { problem }) };
}

async function loadDefault(): Promise<string | undefined> {
  for (const parser of PARSERS) {
    if (!(await pathExists(parser))) continue;
    const { status, stderr } = await runProgram(parser, ['--replace', '--skip-cache'], {
      input: apparmorProfileText(),
    });
    return status === 0 ? undefined : `apparmor_parser: ${stderr.trim().slice(0, 300)}`;
  }
  return 'apparmor_parser is not installed';
}

/** The default profile, where it could be loaded. */
export async function defaultApparmorProfile(): Promise<string | undefined> {
  const { active, problem } = await appArmor();
  return active && problem === undefined ? DEFAULT_APPARMOR_PROFILE : undefined;
}

/** The profile a container's processes get; undefined: none. Throws `container/unsupported` when one is asked for that this host cannot give. */
export async function apparmorProfileOf(host: HostConfig): Promise<string | undefined> {
  const { apparmor } = parseSecurityOptions(host.securityOpt);
  if (apparmor === 'unconfined' || (apparmor === 'default' && host.privileged)) return undefined;
  if (apparmor === 'default') return defaultApparmorProfile();
  if ((await appArmor()).active) return apparmor;
  throw new TscError('container/unsupported', `cannot use AppArmor profile ${JSON.stringify(apparmor)}`, {
    hint: 'AppArmor is not active on this host',
  });
}
