import { observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';
import { formatTable } from '../view/table.ts';

/** `tscompose top` */
export async function run(context: Context, services: readonly string[]): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  for (const { id, name } of chooseContainers(have, services).filter(({ state }) => state === 'running')) {
    const { titles, rows } = await client.topContainer(id);
    context.output.print(`${name}\n${formatTable(titles, rows)}\n`);
  }
  return 0;
}
