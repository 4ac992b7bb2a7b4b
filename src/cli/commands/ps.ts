import { TscError } from '../../core/index.ts';
import { isUp, observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';
import { formatContainers, toContainerJson } from '../view/containers.ts';

interface Options {
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly services?: boolean;
  readonly status?: readonly string[];
  readonly format?: string;
}

/** `tscompose ps` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const { output } = context;
  const target = await context.target(services);
  const state = await observe(await context.engine(), target.name);
  checkServices(target, state, services);
  const shown = chooseContainers(state, services, { oneoff: options.all === true }).filter((item) =>
    options.status ? options.status.includes(item.state) : options.all || isUp(item),
  );
  if (options.quiet) for (const { id } of shown) output.print(id);
  else if (options.services) for (const name of new Set(shown.map(({ service }) => service))) output.print(name);
  else if (options.format === 'json')
    for (const item of shown) output.print(JSON.stringify(toContainerJson(item, target.name, Date.now())));
  else if (options.format === undefined || options.format === 'table')
    output.print(formatContainers(shown, Date.now()));
  else
    throw new TscError('cli/unsupported', `ps --format ${options.format} is not supported`, {
      hint: 'use table or json',
    });
  return 0;
}
