import { posix } from 'node:path';
import { TscError } from '../../core/index.ts';
import type { MountSpec, Propagation } from './container.ts';

const PROPAGATIONS: ReadonlySet<string> = new Set(['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']);
/** Mean something on other systems only; accepted so that files written there work here. */
const IGNORED_OPTIONS: ReadonlySet<string> = new Set(['cached', 'delegated', 'consistent', 'default', 'rw', 'z', 'Z']);

function isPropagation(text: string): text is Propagation {
  return PROPAGATIONS.has(text);
}

/** A short form `source:target[:options]`, with the mode text for inspect. Throws `container/invalid`. */
export function parseBind(text: string): { readonly spec: MountSpec; readonly mode: string } {
  const [first = '', second, mode = '', ...more] = text.split(':');
  if (more.length > 0 || first === '') throw invalid(text, 'expected source:target[:options]');
  if (second === undefined) return { spec: { type: 'volume', target: checkTarget(first) }, mode: '' };
  const isPath = first.startsWith('/');
  if (!isPath && (first.includes('/') || first.startsWith('.')))
    throw invalid(text, 'the source must be an absolute path or a volume name');
  const base: MountSpec = {
    type: isPath ? 'bind' : 'volume',
    source: isPath ? posix.normalize(first) : first,
    target: checkTarget(second),
    ...(isPath && { createMountpoint: true }),
  };
  const options = mode === '' ? [] : mode.split(',');
  return { spec: Object.assign(base, ...options.map((option) => bindOption(text, option, isPath))), mode };
}

function bindOption(text: string, option: string, isPath: boolean): Partial<MountSpec> {
  if (option === 'ro') return { readOnly: true };
  if (option === 'nocopy' && !isPath) return { noCopy: true };
  if (isPropagation(option) && isPath) return { propagation: option };
  if (IGNORED_OPTIONS.has(option)) return {};
  throw invalid(text, `unknown option ${JSON.stringify(option)}`);
}

/** A destination inside the container, normalised. Throws `container/invalid`. */
export function checkTarget(target: string): string {
  const path = posix.normalize(target).replace(/(.)\/$/, '$1');
  if (!path.startsWith('/')) throw invalid(target, 'the mount target must be an absolute path');
  if (path === '/') throw invalid(target, 'the mount target cannot be /');
  if (path.includes('\0')) throw invalid(target, 'the mount target contains a zero byte');
  return path;
}

/** Checks a mount in long form and normalises it. Throws `container/invalid`. */
export function checkMount(spec: MountSpec): MountSpec {
  const target = checkTarget(spec.target);
  if (spec.type === 'bind' && !spec.source?.startsWith('/'))
    throw invalid(
      target,
      `the source of a bind mount must be an absolute path, not ${JSON.stringify(spec.source ?? '')}`,
    );
  if (spec.type === 'image' && !spec.source) throw invalid(target, 'an image mount needs an image as source');
  if (spec.subpath !== undefined && (spec.subpath.startsWith('/') || spec.subpath.split('/').includes('..')))
    throw invalid(target, `the subpath ${JSON.stringify(spec.subpath)} must stay inside`);
  return { ...spec, target };
}

/** OCI options of a tmpfs given as `size=64m,mode=1777`. Throws `container/invalid`. */
export function tmpfsOptions(text: string): string[] {
  const flags = new Map([
    ['exec', 'noexec'],
    ['suid', 'nosuid'],
    ['dev', 'nodev'],
  ]);
  const options = new Set(['noexec', 'nosuid', 'nodev']);
  for (const option of text === '' ? [] : text.split(',')) {
    const opposite = flags.get(option);
    if (opposite) options.delete(opposite);
    else if (
      /^(ro|rw|noexec|nosuid|nodev|noatime|relatime|strictatime|sync|dirsync|(size|mode|uid|gid|nr_inodes|nr_blocks|mpol|huge)=[\w%:,-]+)$/.test(
        option,
      )
    )
      options.add(option);
    else throw invalid(text, `unknown tmpfs option ${JSON.stringify(option)}`);
  }
  return [...options];
}

function invalid(what: string, why: string): TscError {
  return new TscError('container/invalid', `invalid mount ${JSON.stringify(what)}: ${why}`);
}
