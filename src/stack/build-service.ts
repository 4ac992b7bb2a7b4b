import type { BuildRequest, EngineClient, ProgressMessage } from '../client/index.ts';
import type { Build, Project, Service } from '../compose/index.ts';
import { describeError, isKind, TscError } from '../core/index.ts';
import { LABEL, LABEL_VERSION } from './labels.ts';
import { imageOf } from './service-spec.ts';

export interface BuildOptions {
  readonly noCache?: boolean;
  /** Pull base images anew. */
  readonly pullBase?: boolean;
  /** Over those of the file. */
  readonly buildArgs?: ReadonlyMap<string, string | null>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: ProgressMessage) => void;
}

/** Builds one service's image and tags it; returns the image's id. */
export async function buildService(
  client: EngineClient,
  project: Project,
  service: Service,
  options: BuildOptions,
): Promise<string> {
  const { build } = service;
  if (!build) throw new TscError('stack/invalid', `service ${service.name} has no build section`);
  refuseBuildOptions(service.name, build);
  const image = imageOf(project.name, service);
  // Most commands build nothing: what writes archives is loaded only then.
  const { packContext } = await import('./pack-context.ts');
  const { archive, dockerfile } = await packContext(build).catch((error: unknown) => {
    if (!(error instanceof TscError)) throw error;
    const { code, hint, cause, message } = error;
    const subject = ['services', service.name, 'build', 'context'];
    throw new TscError(code, `service ${service.name}: ${message}`, { hint, cause, subject });
  });
  try {
    const id = await client.buildImage(archive, {
      ...toRequest(build, options),
      tags: [image],
      dockerfile,
      labels: {
        ...Object.fromEntries(build.labels),
        [LABEL.project]: project.name,
        [LABEL.service]: service.name,
        [LABEL.version]: LABEL_VERSION,
      },
      ...((build.platforms[0] ?? service.platform) && { platform: build.platforms[0] ?? service.platform ?? '' }),
    });
    for (const tag of build.tags) await client.tagImage(image, tag);
    return id;
  } catch (error) {
    if (isKind(error, 'cancelled')) throw error;
    const words = describeError(error).replace(`cannot build ${image}: `, '');
    const place =
      build.dockerfileInline === undefined
        ? `${build.context}/${build.dockerfile ?? 'Dockerfile'}`
        : 'dockerfile_inline in the compose file';
    throw new TscError('stack/failed', `service ${service.name}: build failed: ${words}`, {
      // Without the cause: its words, said already, would be printed again.
      hint: `mend ${place}; the output of the failing step is above`,
      subject: ['services', service.name, 'build'],
    });
  } finally {
    archive.destroy();
  }
}

function toRequest(build: Build, options: BuildOptions): Omit<BuildRequest, 'tags' | 'labels'> {
  const given = [...build.args].flatMap(([key, value]) => (value === null ? [] : [[key, value] as const]));
  return {
    buildArgs: { ...Object.fromEntries(given), ...Object.fromEntries(options.buildArgs ?? []) },
    ...(build.target && { target: build.target }),
    ...((options.noCache || build.noCache) && { noCache: true }),
    ...((options.pullBase || build.pull) && { pull: true }),
    ...(build.network && { networkMode: build.network }),
    ...(build.shmSize !== undefined && { shmSize: build.shmSize }),
    ...(build.extraHosts.size > 0 && {
      extraHosts: [...build.extraHosts].flatMap(([host, all]) => all.map((address) => `${host}:${address}`)),
    }),
    ...(build.cacheFrom.length > 0 && { cacheFrom: build.cacheFrom }),
    ...(options.signal && { signal: options.signal }),
    ...(options.onProgress && { onProgress: options.onProgress }),
  };
}

function refuseBuildOptions(service: string, build: Build): void {
  const asked: Readonly<Record<string, boolean>> = {
    additional_contexts: build.additionalContexts.size > 0,
    cache_to: build.cacheTo.length > 0,
    entitlements: build.entitlements.length > 0,
    no_cache_filter: build.noCacheFilter.length > 0,
    platforms: build.platforms.length > 1,
    privileged: build.privileged,
    provenance: build.provenance !== undefined && build.provenance !== 'false',
    sbom: build.sbom !== undefined && build.sbom !== 'false',
    secrets: build.secrets.length > 0,
    ssh: build.ssh.size > 0,
    ulimits: build.ulimits.size > 0,
  };
  const found = Object.keys(asked).find((key) => asked[key]);
  if (found)
    throw new TscError('stack/unsupported', `service ${service}: build.${found} is not supported yet`, {
      subject: ['services', service, 'build', found],
    });
}
