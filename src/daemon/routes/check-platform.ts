import { TscError } from '../../core/index.ts';
import { parseJson } from '../read-body.ts';
import type { DaemonServices } from '../services.ts';
import { WireObject } from '../wire-object.ts';

/**
 * Refuses to use an image that is here for another platform than the asked one: `linux/arm64/v8`, or the same as JSON
 * as newer calls write it. An empty platform asks for nothing.
 */
export async function checkPlatform(services: DaemonServices, image: string, platform: string | null): Promise<void> {
  if (platform === null || platform === '') return;
  const { config } = await services.engine.images.resolve(image);
  const { os, architecture, variant } = readPlatform(platform);
  const fits =
    (os === '' || os === config.os) &&
    (architecture === '' || architecture === config.architecture) &&
    (variant === '' || config.variant === '' || variant === config.variant);
  if (fits) return;
  throw new TscError(
    'image/not-found',
    `image ${image} is here for platform ${config.os}/${config.architecture}, not for ${platform.slice(0, 80)}`,
    { hint: 'pull it for that platform first' },
  );
}

function readPlatform(text: string): { readonly os: string; readonly architecture: string; readonly variant: string } {
  if (!text.startsWith('{')) {
    const [os = '', architecture = '', variant = ''] = text.split('/');
    return { os, architecture, variant };
  }
  const object = WireObject.from(parseJson(text, 'platform'), 'platform');
  return {
    os: object.string('os') ?? '',
    architecture: object.string('architecture') ?? '',
    variant: object.string('variant') ?? '',
  };
}
