import { TscError } from '../../core/index.ts';
import { checkPorts, observe, planStart, ServiceWatch } from '../../stack/index.ts';
import { carryOut, lock } from '../carry-out.ts';
import { type Context, requireProject } from '../context.ts';
import { checkServices } from '../select-containers.ts';

/** `tscompose start` */
export async function run(context: Context, services: readonly string[]): Promise<number> {
  const target = await context.target(services);
  const project = requireProject(target);
  const client = await context.engine();
  using _lock = await lock(context, client, target.name);
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const wanted = services.length > 0 ? services : [...project.services.keys()];
  const absent = wanted.find((name) => !have.containers.some((item) => item.service === name && !item.oneoff));
  if (absent !== undefined && services.length > 0) {
    throw new TscError('cli/not-found', `service ${absent} has no container to start`, {
      hint: `create it with tscompose up -d ${absent}`,
    });
  }
  using watch = await ServiceWatch.open(client, target.name);
  const plan = planStart(have, project, services);
  await checkPorts(client, plan, have);
  await carryOut(context, client, { plan, have, watch });
  return 0;
}
