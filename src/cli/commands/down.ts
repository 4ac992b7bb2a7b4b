import { TscError } from '../../core/index.ts';
import { formatPlan, imageOf, observe, planDown } from '../../stack/index.ts';
import { carryOut, lock } from '../carry-out.ts';
import type { Context, Target } from '../context.ts';
import { checkServices } from '../select-containers.ts';

interface Options {
  readonly volumes?: boolean;
  readonly removeOrphans?: boolean;
  readonly rmi?: string;
  readonly timeout?: number;
}

/** `tscompose down` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  using _lock = await lock(context, client, target.name);
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const plan = planDown(have, target.project, {
    services,
    removeOrphans: options.removeOrphans === true,
    volumes: options.volumes === true,
    images: imagesToRemove(
      target,
      have.containers.map(({ image }) => image),
      options.rmi,
    ),
    ...(options.timeout !== undefined && { timeout: options.timeout }),
  });
  if (context.root.dryRun) {
    context.output.print(formatPlan(plan));
    return 0;
  }
  if (plan.operations.length === 0) context.output.note(` Nothing of ${target.name} is there`);
  await carryOut(context, client, { plan, have });
  return 0;
}

/** `local`: only images without a name of their own in the file; `all`: every image of the project. */
function imagesToRemove(target: Target, used: readonly string[], which: string | undefined): string[] {
  if (which === undefined) return [];
  if (which !== 'local' && which !== 'all') {
    throw new TscError('cli/invalid', `down --rmi ${which} is unknown`, { hint: 'use --rmi local or --rmi all' });
  }
  const services = [...(target.project?.services.values() ?? [])];
  if (which === 'local') {
    return services
      .filter(({ image, build }) => build && image === undefined)
      .map((item) => imageOf(target.name, item));
  }
  return [...new Set([...services.map((item) => imageOf(target.name, item)), ...used])];
}
