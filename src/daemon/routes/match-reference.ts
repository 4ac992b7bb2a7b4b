import { TscError } from '../../core/index.ts';
import type { Image } from '../../engine/index.ts';

const MAX_PATTERN = 256;

/** Whether a name of the image fits one of the patterns: `redis`, `redis:7*`, `registry:5000/*`; `*` and `?` stop at `/`. */
export function matchesReference(image: Pick<Image, 'tags' | 'repoDigests'>, patterns: readonly string[]): boolean {
  const names = [...image.tags, ...image.repoDigests].flatMap((name) => [name, repositoryOf(name)]);
  return patterns.some((pattern) => {
    if (pattern.length > MAX_PATTERN) throw new TscError('daemon/invalid', 'reference pattern is too long');
    const wanted = pattern.replace(/^docker\.io\/(library\/)?/, '');
    return names.some((name) => matchesGlob(name, wanted));
  });
}

function repositoryOf(name: string): string {
  const at = name.indexOf('@');
  if (at >= 0) return name.slice(0, at);
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name;
}

// Linear: on a mismatch only the last star takes one character more.
function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let starAt = 0;
  while (at < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === '*') {
      star = inPattern;
      starAt = at;
      inPattern += 1;
    } else if (wanted === text[at] || (wanted === '?' && text[at] !== '/')) {
      at += 1;
      inPattern += 1;
    } else if (star >= 0 && text[starAt] !== '/') {
      starAt += 1;
      at = starAt;
      inPattern = star + 1;
    } else return false;
  }
  while (pattern[inPattern] === '*') inPattern += 1;
  return inPattern === pattern.length;
}
