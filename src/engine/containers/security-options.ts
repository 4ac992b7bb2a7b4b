import { release } from 'node:os';
import { TscError } from '../../core/index.ts';
import { resolveSeccompFile } from '../runtime/index.ts';

export interface SecurityChoice {
  readonly noNewPrivileges: boolean;
  /** `default`, `unconfined`, or the name of a loaded profile. */
  readonly apparmor: string;
  /** `default`, none, or the caller's own file, whose conditions are still to be resolved for the container. */
  readonly seccomp: 'default' | 'unconfined' | { readonly file: unknown };
}

/** Reads `security_opt`. Label settings that ask for nothing are fine; others are refused. Throws `container/invalid`, `container/unsupported`. */
export function parseSecurityOptions(options: readonly string[]): SecurityChoice {
  let choice: SecurityChoice = { noNewPrivileges: false, apparmor: 'default', seccomp: 'default' };
  for (const option of options) {
    const [, key = option, value = ''] = /^([^=:]+)[=:](.*)$/s.exec(option) ?? [];
    if (key === 'no-new-privileges') choice = { ...choice, noNewPrivileges: parseFlag(option, value) };
    else if (key === 'seccomp') choice = { ...choice, seccomp: parseSeccomp(value) };
    else if (key === 'apparmor' && value !== '') choice = { ...choice, apparmor: parseProfileName(value) };
    else if (key === 'label' && value === 'disable') continue;
    else
      throw new TscError(
        'container/unsupported',
        `security option ${JSON.stringify(option.slice(0, 200))} is not supported`,
        {
          hint: 'supported are no-new-privileges, seccomp=, apparmor= and label=disable',
        },
      );
  }
  return choice;
}

function parseProfileName(value: string): string {
  if (value.length <= 200 && /^[\x21-\x7e]+$/.test(value)) return value;
  throw new TscError('container/invalid', `invalid AppArmor profile ${JSON.stringify(value.slice(0, 200))}`);
}

function parseFlag(option: string, value: string): boolean {
  if (value === '' || value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new TscError('container/invalid', `invalid security option ${JSON.stringify(option)}`);
}

function parseSeccomp(value: string): SecurityChoice['seccomp'] {
  if (value === 'unconfined') return 'unconfined';
  if (value === 'default' || value === 'builtin') return 'default';
  const file = parseJson(value);
  // What is wrong with it should be said now, not at the start.
  resolveSeccompFile(file, { capabilities: new Set(), architecture: process.arch, kernel: release() });
  return { file };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TscError('container/invalid', 'the seccomp profile is not valid JSON', { cause: error });
  }
}
