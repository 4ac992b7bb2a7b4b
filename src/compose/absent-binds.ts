import type { Diagnostic } from '../core/index.ts';
import type { LoadResult } from './load.ts';

/**
 * Warnings about bind mounts whose host path is missing and will not be created, which the engine refuses when containers are made.
 * `exists` looks at the machine that the engine runs on.
 */
export async function absentBinds(
  { project, locate }: Pick<LoadResult, 'project' | 'locate'>,
  exists: (path: string) => Promise<boolean>,
): Promise<readonly Diagnostic[]> {
  const found: Diagnostic[] = [];
  for (const [name, { volumes }] of project.services) {
    for (const [index, { type, source, target, bind }] of volumes.entries()) {
      if (type !== 'bind' || source === undefined || bind?.createHostPath || (await exists(source))) continue;
      const at = locate(['services', name, 'volumes', String(index), 'source']);
      found.push({
        code: 'compose/absent-bind',
        severity: 'warning',
        message: `service ${name} mounts ${source} at ${target}, and there is nothing`,
        hint: 'create it, or say bind: {create_host_path: true}',
        ...(at && { at }),
      });
    }
  }
  return found;
}
