import type { Context } from '../context.ts';
import { VERSION } from '../version.ts';

interface Options {
  readonly short?: boolean;
  readonly format?: string;
}

/** `tscompose version` */
export async function run({ output }: Context, _values: readonly string[], options: Options): Promise<number> {
  if (options.short) output.print(VERSION);
  else if (options.format === 'json') output.print(JSON.stringify({ version: `v${VERSION}` }));
  else output.print(`tscompose version v${VERSION}`);
  return 0;
}
