import { observe, planStop } from '../../stack/index.ts';
import { carryOut, lock } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { checkServices } from '../select-containers.ts';

/** `tscompose stop` */
export async function run(
  context: Context,
  services: readonly string[],
  options: { readonly timeout?: number },
): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  using _lock = await lock(context, client, target.name);
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  await carryOut(context, client, { plan: planStop(have, services, options.timeout), have });
  return 0;
}
