import { forEachLimited, observe } from '../../stack/index.ts';
import { lock } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';

interface Options {
  readonly timeout?: number;
  /** Commander's name for `--no-deps`. */
  readonly deps: boolean;
}

/** `tscompose restart`: restarts containers as they are; dependents marked `restart: true` follow. */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const target = await context.target();
  const client = await context.engine();
  using _lock = await lock(context, client, target.name);
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const chosen = chooseContainers(have, services);
  const dependents =
    options.deps && services.length > 0
      ? [...(target.project?.services.values() ?? [])].filter(
          (item) =>
            !services.includes(item.name) &&
            [...item.dependsOn].some(([name, { restart }]) => restart && services.includes(name)),
        )
      : [];
  const followers = have.containers.filter(
    (item) => !item.oneoff && dependents.some(({ name }) => name === item.service),
  );
  for (const wave of [chosen, followers]) {
    await forEachLimited(wave, context.root.parallel ?? 16, async (item) => {
      await client.restartContainer(item.id, options.timeout);
      context.output.note(` Container ${item.name}  Restarted`);
    });
  }
  return 0;
}
