import type { Readable } from 'node:stream';
import { type ArchiveWriter, writeArchive } from '../../archive/index.ts';
import { type Digest, digestHex } from '../../core/index.ts';
import type { ImageCatalog } from './catalog.ts';
import { familiarName, type IndexedImage } from './image-index.ts';

/** An image and the names it is saved under (full references). */
export interface SavedImage {
  readonly image: IndexedImage;
  readonly names: readonly string[];
}

const blobPath = (digest: Digest) => `blobs/sha256/${digestHex(digest)}`;

/** One archive in two formats over the same blobs: an OCI layout, and the docker archive with manifest.json. */
export async function saveArchive(catalog: ImageCatalog, images: readonly SavedImage[]): Promise<Readable> {
  const contents = await Promise.all(
    images.map(async (item) => ({ ...item, layers: (await catalog.content(item.image)).layers })),
  );
  const blobs = new Set(
    contents.flatMap(({ image, layers }) => [image.id, image.manifest.digest, ...layers.map((layer) => layer.digest)]),
  );
  // Everything is there before the first byte leaves: a half archive helps nobody.
  const sizes = new Map<Digest, number>();
  for (const digest of blobs) {
    const size = await catalog.blobs.size(digest);
    if (size === undefined) await catalog.blobs.open(digest);
    else sizes.set(digest, size);
  }
  return writeArchive(async (writer) => {
    await writer.add({ name: 'oci-layout' }, '{"imageLayoutVersion":"1.0.0"}');
    await writer.add({ name: 'blobs/', type: 'directory' });
    await writer.add({ name: 'blobs/sha256/', type: 'directory' });
    for (const [digest, size] of sizes) await addBlob(catalog, writer, { digest, size });
    const manifests = contents.flatMap(({ image, names }) =>
      names.length === 0
        ? [image.manifest]
        : names.map((name) => ({
            ...image.manifest,
            annotations: {
              'io.containerd.image.name': name,
              'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
            },
          })),
    );
    await writer.add({ name: 'index.json' }, JSON.stringify({ schemaVersion: 2, manifests }));
    const rows = contents.map(({ image, names, layers }) => ({
      Config: blobPath(image.id),
      RepoTags: names.length > 0 ? names.map(familiarName) : null,
      Layers: layers.map((layer) => blobPath(layer.digest)),
    }));
    await writer.add({ name: 'manifest.json' }, JSON.stringify(rows));
  });
}

async function addBlob(
  catalog: ImageCatalog,
  writer: ArchiveWriter,
  { digest, size }: { readonly digest: Digest; readonly size: number },
): Promise<void> {
  await writer.addStream({ name: blobPath(digest) }, size, await catalog.blobs.open(digest));
}
