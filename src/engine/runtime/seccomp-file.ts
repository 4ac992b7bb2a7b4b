import { TscError } from '../../core/index.ts';
import type { SeccompArgument, SeccompProfile, SeccompRule } from './default-seccomp.ts';

/** What a profile's conditions are asked about. */
export interface SeccompFacts {
  readonly capabilities: ReadonlySet<string>;
  /** As Node names it. */
  readonly architecture: string;
  /** `6.1.0-13-amd64` */
  readonly kernel: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Names of architectures in conditions, and of libseccomp. */
const ARCHITECTURES: Readonly<Record<string, readonly [string, string]>> = {
  x64: ['amd64', 'SCMP_ARCH_X86_64'],
  arm64: ['arm64', 'SCMP_ARCH_AARCH64'],
};

const RULE_KEYS = ['names', 'name', 'action', 'errnoRet', 'args', 'comment', 'includes', 'excludes'];
const CONDITION_KEYS = ['arches', 'caps', 'minKernel'];

/**
 * A profile as users of Docker write it, with `archMap`, `includes` and `excludes`, to the form of the OCI specification, for one
 * container. Names, actions and arguments are the runtime's to judge. Throws `container/invalid`.
 */
export function resolveSeccompFile(file: unknown, facts: SeccompFacts): SeccompProfile {
  const profile = fieldsOf(file, 'the profile');
  const text = (key: string) => (profile[key] === undefined ? {} : { [key]: textOf(profile[key], key) });
  const syscalls = listOf(profile['syscalls'], 'syscalls').flatMap((rule, index) => resolveRule(rule, index, facts));
  return {
    defaultAction: textOf(profile['defaultAction'], 'defaultAction'),
    ...(profile['defaultErrnoRet'] != null && { defaultErrnoRet: profile['defaultErrnoRet'] as number }),
    architectures: architecturesOf(profile, facts),
    ...(profile['flags'] != null && { flags: listOf(profile['flags'], 'flags').map((flag) => textOf(flag, 'flags')) }),
    ...text('listenerPath'),
    ...text('listenerMetadata'),
    syscalls,
  };
}

function architecturesOf(profile: Fields, facts: SeccompFacts): string[] {
  const plain = listOf(profile['architectures'], 'architectures').map((name) => textOf(name, 'architectures'));
  const map = listOf(profile['archMap'], 'archMap').map((entry) => fieldsOf(entry, 'archMap'));
  if (plain.length > 0 && map.length > 0) throw invalid('architectures and archMap exclude each other');
  const own = ARCHITECTURES[facts.architecture]?.[1];
  const entry = map.find(({ architecture }) => architecture === own);
  if (entry === undefined || own === undefined) return plain;
  return [
    own,
    ...listOf(entry['subArchitectures'], 'subArchitectures').map((name) => textOf(name, 'subArchitectures')),
  ];
}

function resolveRule(value: unknown, index: number, facts: SeccompFacts): SeccompRule[] {
  const where = `syscalls[${index}]`;
  const rule = fieldsOf(value, where);
  refuseOthers(rule, RULE_KEYS, where);
  const names = listOf(rule['names'], `${where}.names`).map((name) => textOf(name, `${where}.names`));
  if (rule['name'] != null && rule['name'] !== '') {
    if (names.length > 0) throw invalid(`${where}: name and names exclude each other`);
    names.push(textOf(rule['name'], `${where}.name`));
  }
  const needs = conditionOf(rule['includes'], `${where}.includes`);
  const shuns = conditionOf(rule['excludes'], `${where}.excludes`);
  if (!includes(needs, facts) || excludes(shuns, facts)) return [];
  const args = listOf(rule['args'], `${where}.args`);
  return [
    {
      names,
      action: textOf(rule['action'], `${where}.action`),
      ...(rule['errnoRet'] != null && { errnoRet: rule['errnoRet'] as number }),
      ...(args.length > 0 && { args: args as SeccompArgument[] }),
    },
  ];
}

interface Condition {
  readonly arches: readonly string[];
  readonly caps: readonly string[];
  readonly minKernel: string;
}

function conditionOf(value: unknown, where: string): Condition {
  const fields = value == null ? {} : fieldsOf(value, where);
  refuseOthers(fields, CONDITION_KEYS, where);
  const texts = (key: string) => listOf(fields[key], `${where}.${key}`).map((item) => textOf(item, `${where}.${key}`));
  const minKernel = fields['minKernel'] == null ? '' : textOf(fields['minKernel'], `${where}.minKernel`);
  if (minKernel !== '' && !/^\d+\.\d+$/.test(minKernel))
    throw invalid(`${where}.minKernel: expected a version such as 4.8`);
  return { arches: texts('arches'), caps: texts('caps'), minKernel };
}

/** All that is given must hold. */
function includes({ arches, caps, minKernel }: Condition, facts: SeccompFacts): boolean {
  return (
    (arches.length === 0 || arches.includes(ARCHITECTURES[facts.architecture]?.[0] ?? facts.architecture)) &&
    caps.every((name) => facts.capabilities.has(name)) &&
    (minKernel === '' || isAtLeast(facts.kernel, minKernel))
  );
}

/** Anything that is given and holds. */
function excludes({ arches, caps, minKernel }: Condition, facts: SeccompFacts): boolean {
  return (
    arches.includes(ARCHITECTURES[facts.architecture]?.[0] ?? facts.architecture) ||
    caps.some((name) => facts.capabilities.has(name)) ||
    (minKernel !== '' && isAtLeast(facts.kernel, minKernel))
  );
}

function isAtLeast(kernel: string, least: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = least.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${where}: expected an object`);
  return value as Fields;
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${where}: expected a list`);
  return value;
}

function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string') throw invalid(`${where}: expected text`);
  return value;
}

function refuseOthers(fields: Fields, known: readonly string[], where: string): void {
  const other = Object.keys(fields).find((key) => !known.includes(key));
  if (other !== undefined) throw invalid(`${where}: unknown key ${JSON.stringify(other.slice(0, 100))}`);
}

function invalid(text: string): TscError {
  return new TscError('container/invalid', `seccomp profile: ${text}`);
}
