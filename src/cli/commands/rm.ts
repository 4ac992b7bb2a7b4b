import { createInterface } from 'node:readline/promises';
import { TscError } from '../../core/index.ts';
import { forEachLimited, isUp, observe } from '../../stack/index.ts';
import { lock } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';

interface Options {
  readonly force?: boolean;
  readonly stop?: boolean;
  readonly volumes?: boolean;
}

/** `tscompose rm` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  using _lock = await lock(context, client, target.name);
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const doomed = chooseContainers(have, services).filter((item) => options.stop || !isUp(item));
  if (doomed.length === 0) {
    context.output.note(' No stopped containers');
    return 0;
  }
  if (!options.force && !(await confirm(doomed.map(({ name }) => name)))) return 1;
  await forEachLimited(doomed, context.root.parallel ?? 16, async (item) => {
    if (isUp(item)) await client.stopContainer(item.id);
    await client.removeContainer(item.id, { volumes: options.volumes === true });
    context.output.note(` Container ${item.name}  Removed`);
  });
  return 0;
}

async function confirm(names: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new TscError('cli/invalid', 'rm asks before it removes, and there is no terminal', { hint: 'add --force' });
  }
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await reader.question(`Going to remove ${names.join(', ')}. Are you sure? [y/N] `);
  reader.close();
  return /^y(es)?$/i.test(answer.trim());
}
