import { isAbsolute, join, normalize } from 'node:path/posix';
import { isWindowsPath } from './mount-codec.ts';

/**
 * Absolute form of a path written in a file: `~` is the home folder, relative ones start at `base`. `~x` is `x` in the home
 * folder, as for docker compose, not the home folder of a user x.
 */
export function absolutePath(text: string, base: string, home: string | undefined): string {
  if (isWindowsPath(text)) return text;
  const path = home !== undefined && text.startsWith('~') ? join(home, text.slice(1)) : text;
  if (isAbsolute(path) && path === text) return path;
  const whole = normalize(join(isAbsolute(path) ? '/' : base, path));
  return whole.length > 1 && whole.endsWith('/') ? whole.slice(0, -1) : whole;
}

/** Whether a build context or include is an address rather than a path. */
export function isRemote(text: string): boolean {
  return (
    /^(?:https?|git|ssh|oci|docker-image|oci-layout|target|service):|^git@[\w.-]+:|^github\.com\//.test(text) ||
    /^[a-z][a-z0-9+.-]*:\/\//.test(text)
  );
}
