import { bringUp, selectServices } from '../../stack/index.ts';
import { lock } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { onInterrupt, stopOnInterrupt } from '../interrupts.ts';
import { registryAuthentication } from '../registry-login.ts';
import { createProgressView } from '../view/progress.ts';
import { startWatching } from '../watch.ts';

interface Options {
  /** Commander's name for `--no-up`. */
  readonly up: boolean;
  readonly quiet?: boolean;
}

/** `tscompose watch` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const { project } = await context.load(services);
  const client = await context.engine();
  if (options.up) {
    using _lock = await lock(context, client, project.name);
    const view = await createProgressView(options.quiet ? 'quiet' : context.root.progress, context.output);
    const stop = new AbortController();
    using _interrupt = stopOnInterrupt(stop, context.output);
    try {
      await bringUp(client, project, {
        services,
        noDeps: false,
        recreate: 'changed',
        removeOrphans: false,
        renewAnonymousVolumes: false,
        scale: new Map(),
        start: true,
        wait: false,
        images: {
          build: 'missing',
          signal: stop.signal,
          onProgress: view.image,
          authenticate: registryAuthentication(context.environment),
        },
        signal: stop.signal,
        onPlan: (plan) => view.plan(plan),
        onOperation: view.operation,
      });
    } finally {
      await view.finish();
    }
  }
  const interrupted = Promise.withResolvers<void>();
  using _interrupt = onInterrupt((count) => {
    interrupted.resolve();
    // A rebuild under way may take long.
    if (count > 1) process.exit(130);
  });
  const stop = await startWatching(context, client, project, selectServices(project, services, false));
  await interrupted.promise;
  await stop();
  return 0;
}
