import { forEachLimited, observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';

/** `tscompose kill` */
export async function run(
  context: Context,
  services: readonly string[],
  options: { readonly signal?: string },
): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const running = chooseContainers(have, services).filter(({ state }) => state === 'running' || state === 'paused');
  await forEachLimited(running, context.root.parallel ?? 16, async ({ id, name }) => {
    await client.killContainer(id, options.signal ?? 'SIGKILL');
    context.output.note(` Container ${name}  Killed`);
  });
  return 0;
}
