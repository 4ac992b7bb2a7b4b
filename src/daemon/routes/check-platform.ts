import { TscError } from '../../core/index.ts';
import type { DaemonServices } from '../services.ts';

/** Refuses to use an image that is here for another platform than the asked one. An empty platform asks for nothing. */
export async function checkPlatform(services: DaemonServices, image: string, platform: string | null): Promise<void> {
  if (platform === null || platform === '') return;
  const found = await services.engine.images.resolve(image);
  const [os, architecture, variant] = platform.split('/');
  const { config } = found;
  const fits =
    (os === undefined || os === config.os) &&
    (architecture === undefined || architecture === config.architecture) &&
    (variant === undefined || config.variant === '' || variant === config.variant);
  if (fits) return;
  throw new TscError(
    'image/not-found',
    `image ${image} is here for platform ${config.os}/${config.architecture}, not for ${platform.slice(0, 80)}`,
    { hint: `pull it for that platform first` },
  );
}
