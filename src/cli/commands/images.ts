import { formatByteSize, shortId } from '../../core/index.ts';
import { observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';
import { formatTable } from '../view/table.ts';

/** `tscompose images`: the images that existing containers run. */
export async function run(
  context: Context,
  services: readonly string[],
  options: { readonly quiet?: boolean; readonly format?: string },
): Promise<number> {
  const { output } = context;
  const target = await context.target();
  const client = await context.engine();
  const have = await observe(client, target.name);
  checkServices(target, have, services);
  const rows = await Promise.all(
    chooseContainers(have, services).map(async (item) => {
      const details = await client.inspectImage(item.imageId || item.image);
      const reference = details?.tags[0] ?? item.image;
      const colon = reference.lastIndexOf(':');
      const tagged = colon > reference.lastIndexOf('/');
      return {
        ContainerName: item.name,
        Repository: tagged ? reference.slice(0, colon) : reference,
        Tag: tagged ? reference.slice(colon + 1) : '<none>',
        Platform: details ? `${details.os}/${details.arch}` : '',
        ID: item.imageId,
        Size: details?.size ?? 0,
      };
    }),
  );
  if (options.quiet) for (const id of new Set(rows.map(({ ID }) => ID))) output.print(id.replace(/^sha256:/, ''));
  else if (options.format === 'json') output.print(JSON.stringify(rows));
  else {
    const cells = rows.map((row) => [
      row.ContainerName,
      row.Repository,
      row.Tag,
      row.Platform,
      shortId(row.ID),
      formatByteSize(row.Size),
    ]);
    output.print(formatTable(['CONTAINER', 'REPOSITORY', 'TAG', 'PLATFORM', 'IMAGE ID', 'SIZE'], cells));
  }
  return 0;
}
