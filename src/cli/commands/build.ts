import { TscError } from '../../core/index.ts';
import { prepareImages } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { stopOnInterrupt } from '../interrupts.ts';
import { parsePairs } from '../parse-pairs.ts';
import { registryAuthentication } from '../registry-login.ts';
import { createProgressView } from '../view/progress.ts';

interface Options {
  /** Commander's name for `--no-cache`. */
  readonly cache: boolean;
  readonly pull?: boolean;
  readonly buildArg?: readonly string[];
  readonly quiet?: boolean;
}

/** `tscompose build` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const { project } = await context.load(services);
  const unknown = services.find((name) => !project.services.has(name));
  if (unknown !== undefined) throw new TscError('cli/not-found', `no such service: ${unknown}`);
  const names = (services.length > 0 ? services : [...project.services.keys()]).filter(
    (name) => project.services.get(name)?.build,
  );
  if (names.length === 0) {
    context.output.note(' No service to build');
    return 0;
  }
  const client = await context.engine();
  const view = await createProgressView(options.quiet ? 'quiet' : context.root.progress, context.output);
  const stop = new AbortController();
  using _interrupt = stopOnInterrupt(stop, context.output);
  try {
    await prepareImages(client, project, names, {
      build: 'always',
      noCache: !options.cache,
      pullBase: options.pull === true,
      buildArgs: parsePairs(options.buildArg ?? [], '--build-arg', context.environment),
      signal: stop.signal,
      onProgress: view.image,
      authenticate: registryAuthentication(context.environment),
    });
  } finally {
    await view.finish();
  }
  return 0;
}
