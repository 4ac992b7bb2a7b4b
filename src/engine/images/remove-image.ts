import { type Digest, parseImageRef, shortId, TscError } from '../../core/index.ts';
import type { ImageCatalog } from './catalog.ts';
import { findImage, noSuchImage } from './find-image.ts';
import type { Image } from './image.ts';
import { familiarName, type IndexedImage } from './image-index.ts';
import type { ImageDeletion, ImageStore, PruneReport, RemoveOptions } from './image-store.ts';

/**
 * `rmi`. By name: the name goes, and the image when it was the last one. By id: all names and the image; several
 * repositories need force. A running container always keeps the image.
 */
export async function removeImage(
  catalog: ImageCatalog,
  text: string,
  options: RemoveOptions,
): Promise<ImageDeletion[]> {
  const found = findImage(catalog.index, text);
  if (!found) throw noSuchImage(text);
  const { image, name } = found;
  const isTag = name !== undefined && image.names.includes(name);
  if (isTag && image.names.length > 1) return await untag(catalog, image, [name]);
  if (!isTag && new Set(image.names.map(repositoryOf)).size > 1 && !options.force)
    throw new TscError('image/conflict', `image ${shortId(image.id)} has names in several repositories`, {
      hint: 'remove it by name, or with force',
    });
  const users = await options.usersOf(image.id);
  const running = users.find((user) => user.running);
  // With force a name goes even so; the image stays without it until the container is gone.
  if (isTag && options.force && running) return await untag(catalog, image, [name]);
  const user = running ?? (options.force ? undefined : users[0]);
  if (user)
    throw new TscError(
      'image/in-use',
      `image ${text} is used by ${user.running ? 'running' : 'stopped'} container ${shortId(user.container)}`,
      { hint: user.running ? 'stop and remove the container first' : 'remove the container first, or use force' },
    );
  return await destroy(catalog, image, options);
}

function repositoryOf(name: string): string {
  const { registry, repository } = parseImageRef(name);
  return `${registry}/${repository}`;
}

async function untag(catalog: ImageCatalog, image: IndexedImage, names: readonly string[]): Promise<ImageDeletion[]> {
  // The repository's digest goes with its last tag.
  const left = image.names.filter((name) => !names.includes(name)).map(repositoryOf);
  const digests = image.repoDigests.filter(
    (digest) =>
      names.some((name) => repositoryOf(name) === repositoryOf(digest)) && !left.includes(repositoryOf(digest)),
  );
  const gone = [...names, ...digests];
  await catalog.index.withdraw(image.id, gone);
  return gone.map((name) => ({ untagged: familiarName(name) }));
}

async function destroy(catalog: ImageCatalog, image: IndexedImage, options: RemoveOptions): Promise<ImageDeletion[]> {
  const doomed = [image, ...(options.noPrune ? [] : await danglingParents(catalog, image, options))];
  const deletions: ImageDeletion[] = [...image.names, ...image.repoDigests].map((name) => ({
    untagged: familiarName(name),
  }));
  const layers = await forgetImages(catalog, doomed);
  for (const item of doomed) {
    deletions.push({ deleted: item.id });
  }
  return [...deletions, ...layers.removed.map((digest) => ({ deleted: digest }))];
}

/** Parents without a name that nothing else was made from. */
async function danglingParents(
  catalog: ImageCatalog,
  image: IndexedImage,
  options: RemoveOptions,
): Promise<IndexedImage[]> {
  const parents: IndexedImage[] = [];
  const gone = new Set<Digest>([image.id]);
  for (let id = image.parent; id !== undefined; ) {
    const parent = catalog.index.get(id);
    if (!parent || gone.has(parent.id) || parent.names.length > 0) break;
    if (catalog.index.all.some((other) => other.parent === id && !gone.has(other.id))) break;
    if ((await options.usersOf(parent.id)).length > 0) break;
    parents.push(parent);
    gone.add(parent.id);
    id = parent.parent;
  }
  return parents;
}

interface Forgotten {
  readonly removed: readonly Digest[];
  readonly bytes: number;
}

/** Drops images from the index first, then content that nothing refers to any more: a crash leaves garbage, no holes. */
async function forgetImages(catalog: ImageCatalog, images: readonly IndexedImage[]): Promise<Forgotten> {
  const contents = await Promise.all(images.map((image) => catalog.content(image).catch(() => undefined)));
  await catalog.index.remove(images.map((image) => image.id));
  for (const image of images) catalog.forget(image.id);
  const kept = await referenced(catalog);
  const candidates = images.flatMap((image, index) => [
    image.id,
    image.manifest.digest,
    ...(contents[index]?.layers ?? []).map((layer) => layer.digest),
  ]);
  let bytes = 0;
  for (const digest of new Set(candidates)) {
    if (kept.blobs.has(digest)) continue;
    bytes += (await catalog.blobs.size(digest)) ?? 0;
    await catalog.blobs.remove(digest);
  }
  const stacks = contents.flatMap((content) => (content ? [content.config.diffIds] : []));
  return { removed: await catalog.layers.removeUnreferenced(kept.stacks, stacks), bytes };
}

async function referenced(catalog: ImageCatalog) {
  const blobs = new Set<Digest>(catalog.leased);
  const stacks: (readonly Digest[])[] = catalog.leased.map((digest) => [digest]);
  for (const image of catalog.index.all) {
    blobs.add(image.id).add(image.manifest.digest);
    const content = await catalog.content(image).catch(() => undefined);
    if (!content) continue;
    stacks.push(content.config.diffIds);
    for (const layer of content.layers) blobs.add(layer.digest);
  }
  return { blobs, stacks };
}

/** Removes images nobody uses, then whatever content and layers are left over from crashes and failed work. */
export async function pruneImages(
  catalog: ImageCatalog,
  options: Parameters<ImageStore['prune']>[0],
): Promise<PruneReport> {
  const deletions: ImageDeletion[] = [];
  let reclaimed = 0;
  // Children first: a parent without a name may only go after what was made from it.
  for (let again = true; again; ) {
    again = false;
    for (const image of catalog.index.all) {
      if (!(await mayPrune(catalog, image, options))) continue;
      const size = (await catalog.view(image).catch((): Pick<Image, 'size'> => ({ size: 0 }))).size;
      deletions.push(...(await destroy(catalog, image, { usersOf: options.usersOf })));
      reclaimed += size;
      again = true;
    }
  }
  return { deletions, reclaimed: reclaimed + (await sweep(catalog)) };
}

async function mayPrune(
  catalog: ImageCatalog,
  image: IndexedImage,
  { all, accept, usersOf }: Parameters<ImageStore['prune']>[0],
): Promise<boolean> {
  if (catalog.index.get(image.id) === undefined) return false;
  if (!all && image.names.length > 0) return false;
  if (catalog.index.all.some((other) => other.parent === image.id)) return false;
  if ((await usersOf(image.id)).length > 0) return false;
  return accept === undefined || accept(await catalog.view(image));
}

/** Content and layers without any image; what a build in progress holds stays. */
async function sweep(catalog: ImageCatalog): Promise<number> {
  const kept = await referenced(catalog);
  let bytes = 0;
  for (const digest of await catalog.blobs.list()) {
    if (kept.blobs.has(digest)) continue;
    bytes += (await catalog.blobs.size(digest)) ?? 0;
    await catalog.blobs.remove(digest);
  }
  await catalog.layers.removeUnreferenced(kept.stacks);
  return bytes;
}
