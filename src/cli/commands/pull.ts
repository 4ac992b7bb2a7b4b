import { describeError } from '../../core/index.ts';
import { forEachLimited, selectServices } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { stopOnInterrupt } from '../interrupts.ts';
import { registryAuthentication } from '../registry-login.ts';
import { printable } from '../view/printable.ts';
import { createProgressView } from '../view/progress.ts';

interface Options {
  readonly quiet?: boolean;
  readonly ignoreBuildable?: boolean;
  readonly ignorePullFailures?: boolean;
}

/** `tscompose pull` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const { project } = await context.load(services);
  const chosen = selectServices(project, services, true).flatMap((name) => project.services.get(name) ?? []);
  const client = await context.engine();
  const view = await createProgressView(options.quiet ? 'quiet' : context.root.progress, context.output);
  const authenticate = registryAuthentication(context.environment);
  const images = new Map(
    chosen.flatMap((service) =>
      service.image && !(options.ignoreBuildable && service.build) ? [[service.image, service] as const] : [],
    ),
  );
  const stop = new AbortController();
  using _interrupt = stopOnInterrupt(stop, context.output);
  try {
    await forEachLimited([...images], 3, async ([image, service]) => {
      const progress = { action: 'pull', image, service: service.name } as const;
      view.image({ ...progress, state: 'start' });
      const auth = await authenticate(image);
      try {
        await client.pullImage(image, {
          ...(service.platform && { platform: service.platform }),
          ...(auth && { auth }),
          signal: stop.signal,
          onProgress: (message) => view.image({ ...progress, state: 'message', message }),
        });
        view.image({ ...progress, state: 'done' });
      } catch (error) {
        view.image({ ...progress, state: 'failed' });
        // What can be built need not be pullable.
        if (stop.signal.aborted || (!options.ignorePullFailures && !service.build)) throw error;
        context.output.note(` warning: ${printable(describeError(error))}`);
      }
    });
  } finally {
    await view.finish();
  }
  return 0;
}
