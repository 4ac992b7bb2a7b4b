import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Half } from './open-bundle.ts';

const LAUNCHERS: Readonly<Record<Half, string>> = { command: 'tscompose', daemon: 'tscomposed' };

/** The flags that the launcher of a half gives to Node: what it puts before the first `--`. */
export function launcherFlags(half: Half): string[] {
  const launcher = LAUNCHERS[half];
  const text = readFileSync(join(import.meta.dirname, '../launch', launcher), 'utf8');
  const line = /^set -- ((?:--\S+ )*)-- "/m.exec(text);
  if (!line) throw new Error(`${launcher} no longer says Node's flags in a line of its own`);
  return (line[1] ?? '').split(' ').filter((flag) => flag !== '');
}
