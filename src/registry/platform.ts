import { TscError } from '../core/index.ts';
import type { IndexEntry } from './manifest.ts';
import type { Platform } from './registry.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  x64: 'amd64',
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  ia32: 'i386',
  armhf: 'arm',
  armel: 'arm',
});

const canonical = (architecture: string) => ARCHITECTURES[architecture] ?? architecture;

/** The platform this process runs on. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: canonical(process.arch) };
}

/** Parses `linux/arm64/v8`, `linux/amd64` or `amd64`. Throws `registry/invalid`. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9][a-z0-9_.-]*$/.test(part)))
    throw new TscError('registry/invalid', `invalid platform ${JSON.stringify(text.slice(0, 100))}`, {
      hint: 'write os/architecture[/variant], for example linux/arm64',
    });
  const [os, architecture, variant] = parts.length === 1 ? ['linux', parts[0]] : parts;
  return {
    os: os ?? 'linux',
    architecture: canonical(architecture ?? ''),
    ...(variant !== undefined && { variant }),
  };
}

/** `linux/arm64/v8` */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** How well an offer suits the wish: 0 not at all, higher is better. */
function rank(wanted: Platform, offered: Platform): number {
  if (offered.os !== wanted.os || canonical(offered.architecture) !== wanted.architecture) return 0;
  const defaults: Readonly<Record<string, string>> = { arm64: 'v8', arm: 'v7', amd64: 'v1' };
  const fallback = defaults[wanted.architecture] ?? '';
  const want = wanted.variant ?? fallback;
  const offer = offered.variant ?? fallback;
  if (want === offer) return 100;
  // An older variant runs on a newer processor, not the other way round.
  const level = (variant: string) => (/^v\d$/.test(variant) ? Number(variant.slice(1)) : Number.NaN);
  return level(offer) < level(want) ? level(offer) : 0;
}

/** The entry of an index for a platform. Throws `registry/not-found` with what there is. */
export function choosePlatform(entries: readonly IndexEntry[], wanted: Platform): IndexEntry {
  const ranked = entries
    .filter((entry) => entry.platform !== undefined)
    .map((entry) => ({ entry, rank: entry.platform ? rank(wanted, entry.platform) : 0 }))
    .filter((item) => item.rank > 0)
    .sort((a, b) => b.rank - a.rank);
  const best = ranked[0]?.entry ?? (entries.length === 1 && !entries[0]?.platform ? entries[0] : undefined);
  if (best) return best;
  const offered = entries.flatMap(({ platform }) =>
    platform && platform.os !== 'unknown' ? [formatPlatform(platform)] : [],
  );
  throw new TscError('registry/not-found', `the image does not exist for ${formatPlatform(wanted)}`, {
    hint: offered.length > 0 ? `it exists for ${offered.join(', ')}` : 'its index names no platform',
  });
}
