import { basename, dirname, join, relative } from 'node:path';
import type { Service, WatchRule } from '../compose/index.ts';
import { compileIgnorePatterns, type IgnoreMatcher } from '../stack/index.ts';

/** One `develop.watch` entry ready for use. */
export interface ArmedRule {
  readonly service: Service;
  readonly rule: WatchRule;
  /** Folder that paths are relative to: the rule's path, or the folder of a watched file. */
  readonly root: string;
  /** Name of the one file watched; absent for folders. */
  readonly onlyFile?: string;
  readonly ignored: IgnoreMatcher;
  readonly included: IgnoreMatcher | undefined;
}

/** Left out always: version control, and what editors write beside the file they save. */
const ALWAYS_IGNORED = [
  '**/.git',
  '**/.hg',
  '**/.svn',
  '**/*~',
  '**/.*.swp',
  '**/.*.swx',
  '**/4913',
  '**/.#*',
  '**/#*#',
  '**/.DS_Store',
];

/** Prepares a rule; `isFolder` says what its path is, `dockerIgnore` the patterns of the build context it lies in. */
export function armRule(
  service: Service,
  rule: WatchRule,
  isFolder: boolean,
  dockerIgnore: readonly string[],
): ArmedRule {
  return {
    service,
    rule,
    root: isFolder ? rule.path : dirname(rule.path),
    ...(!isFolder && { onlyFile: basename(rule.path) }),
    ignored: compileIgnorePatterns([...ALWAYS_IGNORED, ...dockerIgnore, ...rule.ignore.map(anywhere)]),
    included: rule.include.length > 0 ? compileIgnorePatterns(rule.include.map(anywhere)) : undefined,
  };
}

/** A pattern without a slash matches at any depth, as in `ignore: [node_modules/]`. */
function anywhere(pattern: string): string {
  const clean = pattern.replace(/^\.\//, '').replace(/\/$/, '');
  return clean.includes('/') ? clean : `**/${clean}`;
}

/** Path relative to the rule's root when the rule is about it, else undefined. */
export function matchRule(armed: ArmedRule, path: string): string | undefined {
  const inside = relative(armed.root, path);
  if (inside === '' || inside.startsWith('../') || inside === '..') return undefined;
  if (armed.onlyFile !== undefined) return inside === armed.onlyFile ? inside : undefined;
  if (armed.ignored.isIgnored(inside)) return undefined;
  if (armed.included && !armed.included.isIgnored(inside)) return undefined;
  return inside;
}

/** Where the path belongs in the container. */
export function targetOf(armed: ArmedRule, inside: string): string {
  const target = armed.rule.target ?? '/';
  return armed.onlyFile === undefined ? join(target, inside) : target;
}
