import { TscError } from './errors.ts';

const FACTOR: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
});

/** Parses `512`, `64m`, `1.5gb`, `64MiB` into bytes; units are powers of 1024 as in the compose specification. Throws `core/invalid`. */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$|^(\d+)\s*b$/i.exec(text.trim());
  if (!match) {
    throw new TscError('core/invalid', `invalid size ${JSON.stringify(text)}`, {
      hint: 'write a number with a unit (b, k, m, g), for example 64m',
    });
  }
  return Math.floor(Number(match[1] ?? match[3]) * (FACTOR[(match[2] ?? '').toLowerCase()] ?? 1));
}

/** Writes bytes for people with units of 1000: `1.25MB`, as the docker CLI shows sizes. */
export function formatByteSize(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (value < 1000 || unit === 'TB') return `${Number(value.toPrecision(4))}${unit}`;
    value /= 1000;
  }
  return `${bytes}B`;
}
