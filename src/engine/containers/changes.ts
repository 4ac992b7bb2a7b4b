import { listEntries, lstatIfExists } from '../../host/index.ts';
import type { FileChange } from './container-service.ts';
import { type ContainerContext, pathsOf } from './context.ts';
import type { LiveContainer } from './live-container.ts';

/** More changes than this are cut off: the tree belongs to the container. */
const LIMIT = 200_000;

/** What the container changed against its image: its upper directory read without following any link. */
export async function changesOf(context: ContainerContext, container: LiveContainer): Promise<readonly FileChange[]> {
  const image = await context.images.find(container.record.imageId);
  const lower = image ? ((await context.layers.directories(image.config.diffIds)) ?? []) : [];
  const changes: FileChange[] = [];
  const pending: { path: string; layers: readonly string[] }[] = [{ path: '', layers: lower }];
  const { upper } = pathsOf(context, container.id);
  for (let at = pending.pop(); at && changes.length < LIMIT; at = pending.pop()) {
    for (const entry of await listEntries(`${upper}${at.path}`)) {
      const path = `${at.path}/${entry.name}`;
      const layers = await layersWith(at.layers, path);
      const stat = await lstatIfExists(`${upper}${path}`);
      if (!stat) continue;
      const whiteout = entry.isCharacterDevice() && stat.rdev === 0;
      changes.push({ path, kind: whiteout ? 'deleted' : layers.length > 0 ? 'modified' : 'added' });
      if (entry.isDirectory()) pending.push({ path, layers });
    }
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Those layers that have the path; its parents are directories in all of them. */
async function layersWith(layers: readonly string[], path: string): Promise<string[]> {
  const found: string[] = [];
  for (const layer of layers) {
    const stat = await lstatIfExists(`${layer}${path}`);
    if (!stat) continue;
    if (stat.isCharacterDevice() && stat.rdev === 0) break;
    found.push(layer);
    if (!stat.isDirectory()) break;
  }
  return found;
}
