import { isUp, LABEL } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { formatTable } from '../view/table.ts';

interface Options {
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly format?: string;
}

/** `tscompose ls`: projects by the labels of their containers, whoever made them. */
export async function run(context: Context, _values: readonly string[], options: Options): Promise<number> {
  const client = await context.engine();
  const containers = await client.listContainers({ labels: [LABEL.project], all: true });
  const projects = Map.groupBy(containers, ({ labels }) => labels[LABEL.project] ?? '');
  const rows = [...projects]
    .filter(([, members]) => options.all || members.some(isUp))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([Name, members]) => ({
      Name,
      Status: [...Map.groupBy(members, ({ state }) => state)]
        .map(([state, some]) => `${state}(${some.length})`)
        .join(', '),
      ConfigFiles: members[0]?.labels[LABEL.configFiles] ?? '',
    }));
  if (options.quiet) for (const { Name } of rows) context.output.print(Name);
  else if (options.format === 'json') context.output.print(JSON.stringify(rows));
  else
    context.output.print(
      formatTable(
        ['NAME', 'STATUS', 'CONFIG FILES'],
        rows.map(({ Name, Status, ConfigFiles }) => [Name, Status, ConfigFiles]),
      ),
    );
  return 0;
}
