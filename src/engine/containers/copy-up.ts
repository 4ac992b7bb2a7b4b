import { isKind } from '../../core/index.ts';
import { listDirectory } from '../../host/index.ts';
import type { MountPoint } from './container.ts';
import type { ContainerContext } from './context.ts';

/**
 * Fills volumes that are still empty with what the image has at their destination, its owner and mode included. The image's
 * tree is read and the volume written by the confined helper, so links in the image lead nowhere on the host.
 */
export async function seedVolumes(
  context: ContainerContext,
  mounts: readonly MountPoint[],
  lower: readonly string[],
): Promise<void> {
  for (const mount of mounts) {
    if (mount.type !== 'volume' || mount.spec.noCopy || mount.name === undefined) continue;
    await context.lock.run(`volume:${mount.name}`, () => seed(context, mount, lower));
  }
}

async function seed(context: ContainerContext, mount: MountPoint, lower: readonly string[]): Promise<void> {
  if ((await listDirectory(mount.source)).length > 0) return;
  const tool = context.layers.tool;
  const tree = { kind: 'overlay', lower } as const;
  try {
    const entry = await tool.stat({ tree, path: `${mount.destination}/.` });
    if ((entry.mode & 0o170000) !== 0o040000) return;
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'invalid')) return;
    throw error;
  }
  const archive = tool.archive({ tree, path: `${mount.destination}/.` });
  await tool.extract({ tree: { kind: 'directory', path: mount.source }, path: '/', keepOwner: true }, archive);
}
