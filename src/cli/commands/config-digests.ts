import { type Project, renderImages, type Service } from '../../compose/index.ts';
import { formatImageRef, parseImageRef, withDefaultTag } from '../../core/index.ts';
import { hostPlatform, openRegistry, parsePlatform, type Registry } from '../../registry/index.ts';
import { forEachLimited } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { registryCredentials } from '../registry-login.ts';

/** Registries are asked for this many images at once. */
const PARALLEL = 4;

/** `--resolve-image-digests`: the project with every image named by the digest that its tag has now. */
export async function pinImages(context: Context, project: Project): Promise<Project> {
  const images = await resolveImages(context, project);
  const services = Array.from(project.services, ([name, service]): [string, Service] => {
    const image = images.get(name);
    return [name, image === undefined ? service : { ...service, image }];
  });
  return { ...project, services: new Map(services) };
}

/** `--lock-image-digests`: an override file with the pinned images only. */
export async function lockImages(context: Context, project: Project, format: 'yaml' | 'json'): Promise<string> {
  return renderImages(await resolveImages(context, project), { format });
}

async function resolveImages(context: Context, project: Project): Promise<ReadonlyMap<string, string>> {
  const registry = openRegistry();
  const credentials = registryCredentials(context.environment);
  const found = new Map<string, string>();
  await forEachLimited([...project.services.values()], PARALLEL, async (service) => {
    if (service.image === undefined) return;
    found.set(service.name, await pin(service.image, { registry, service, credentials }));
  });
  return new Map(
    [...project.services.keys()].flatMap((name) => {
      const image = found.get(name);
      return image === undefined ? [] : [[name, image] as const];
    }),
  );
}

interface Asking {
  readonly registry: Registry;
  readonly service: Service;
  readonly credentials: ReturnType<typeof registryCredentials>;
}

async function pin(image: string, { registry, service, credentials }: Asking): Promise<string> {
  const ref = withDefaultTag(parseImageRef(image));
  if (ref.digest !== undefined) return formatImageRef(ref);
  const login = await credentials(image);
  const platform = service.platform === undefined ? hostPlatform() : parsePlatform(service.platform);
  const { referenceDigest } = await registry.resolve(ref, { platform, ...(login && { credentials: login }) });
  return formatImageRef({ ...ref, digest: referenceDigest });
}
