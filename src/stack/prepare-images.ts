import type { EngineClient, ImageDetails, ProgressMessage } from '../client/index.ts';
import type { Project, Service } from '../compose/index.ts';
import { describeError, isKind, TscError } from '../core/index.ts';
import { type BuildOptions, buildService } from './build-service.ts';
import { forEachLimited } from './for-each-limited.ts';
import { imageOf } from './service-spec.ts';

export interface ImageOptions extends Omit<BuildOptions, 'onProgress'> {
  readonly build: 'always' | 'missing' | 'never';
  /** Overrides every service's pull_policy. */
  readonly pull?: string;
  readonly onProgress?: (progress: ImageProgress) => void;
  /** Value of the registry authentication header for a reference. */
  readonly authenticate?: (reference: string) => Promise<string | undefined>;
}

export interface ImageProgress {
  readonly action: 'build' | 'pull';
  readonly image: string;
  readonly service: string;
  readonly state: 'start' | 'message' | 'done' | 'failed';
  readonly message?: ProgressMessage;
}

/** What is to be done for one image. */
export interface ImageStep {
  readonly action: 'use' | 'build' | 'pull';
  readonly image: string;
  readonly service: Service;
}

/** Decides per image: use what is there, build, or pull. Pure. Throws when it may do neither. */
export function planImages(
  project: Project,
  names: readonly string[],
  have: ReadonlyMap<string, ImageDetails | undefined>,
  options: Pick<ImageOptions, 'build' | 'pull'>,
): ImageStep[] {
  const steps = new Map<string, ImageStep>();
  for (const name of names) {
    const service = project.services.get(name);
    if (!service) continue;
    const image = imageOf(project.name, service);
    const step = { action: decide(service, image, have.get(image) !== undefined, options), image, service };
    // Several services may name one image: the one that can build it decides.
    const known = steps.get(image);
    if (!known || (known.action !== 'build' && step.action === 'build')) steps.set(image, step);
  }
  return [...steps.values()];
}

function decide(
  service: Service,
  image: string,
  present: boolean,
  options: Pick<ImageOptions, 'build' | 'pull'>,
): ImageStep['action'] {
  const policy = options.pull ?? service.pullPolicy ?? 'missing';
  const canBuild = service.build !== undefined;
  if (canBuild && options.build !== 'never' && (options.build === 'always' || policy === 'build')) return 'build';
  if (policy === 'always' && !(canBuild && service.image === undefined)) return 'pull';
  if (!['always', 'missing', 'if_not_present', 'never', 'build'].includes(policy)) {
    throw new TscError('stack/unsupported', `service ${service.name}: pull policy ${policy} is not supported yet`, {
      hint: 'use always, missing, never or build',
      subject: ['services', service.name, 'pull_policy'],
    });
  }
  if (present) return 'use';
  if (canBuild && options.build !== 'never') return 'build';
  if (policy !== 'never' && service.image !== undefined) return 'pull';
  throw new TscError('stack/not-found', `service ${service.name}: image ${image} is missing`, {
    hint: canBuild ? 'run without --no-build' : 'pull or build it, or change pull_policy',
    subject: ['services', service.name, 'image'],
  });
}

/** Looks every image up, once each. */
export async function lookUpImages(
  client: EngineClient,
  project: Project,
  names: readonly string[],
): Promise<Map<string, ImageDetails | undefined>> {
  const images = new Set(
    names.flatMap((name) => project.services.get(name) ?? []).map((s) => imageOf(project.name, s)),
  );
  return new Map(
    await Promise.all([...images].map(async (image) => [image, await client.inspectImage(image)] as const)),
  );
}

/** Makes every image of the services present; returns the image id per service. */
export async function prepareImages(
  client: EngineClient,
  project: Project,
  names: readonly string[],
  options: ImageOptions,
): Promise<Map<string, string>> {
  const have = await lookUpImages(client, project, names);
  const steps = planImages(project, names, have, options).filter(({ action }) => action !== 'use');
  await forEachLimited(steps, 3, (step) => carryOut(client, project, step, options));
  const now = steps.length === 0 ? have : await lookUpImages(client, project, names);
  return new Map(
    names.flatMap((name) => {
      const service = project.services.get(name);
      const id = service && now.get(imageOf(project.name, service))?.id;
      return id ? [[name, id] as const] : [];
    }),
  );
}

async function carryOut(client: EngineClient, project: Project, step: ImageStep, options: ImageOptions): Promise<void> {
  const { image, service } = step;
  const action = step.action === 'build' ? 'build' : 'pull';
  const report = (state: ImageProgress['state'], message?: ProgressMessage) =>
    options.onProgress?.({ action, image, service: service.name, state, ...(message && { message }) });
  report('start');
  try {
    if (action === 'build')
      await buildService(client, project, service, { ...options, onProgress: (message) => report('message', message) });
    else await pull(client, step, options, (message) => report('message', message));
  } catch (error) {
    report('failed');
    throw error;
  }
  report('done');
}

async function pull(
  client: EngineClient,
  { image, service }: ImageStep,
  options: ImageOptions,
  onProgress: (message: ProgressMessage) => void,
): Promise<void> {
  try {
    const auth = await options.authenticate?.(image);
    await client.pullImage(image, {
      onProgress,
      ...(service.platform && { platform: service.platform }),
      ...(auth && { auth }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    if (isKind(error, 'cancelled')) throw error;
    // The engine's words and their cause often say the same.
    const parts = describeError(error).split(`cannot pull ${image}: `);
    const words = [...new Set(parts.map((part) => part.replace(/: $/, '')))].filter(Boolean).join(': ');
    throw new TscError('stack/not-found', `service ${service.name}: cannot pull image ${image}: ${words}`, {
      // Without the cause: its words, said already, would be printed again.
      hint: 'check the name and the network; tscompose build or docker load can provide it as well',
      subject: ['services', service.name, 'image'],
    });
  }
}
