import type { DependencyGraph, GraphEdge } from './dependency-graph.ts';

/** A tree per service that nobody needs; what was drawn already is only named. Ends with a newline. */
export function formatText({ nodes, edges }: DependencyGraph): string {
  const needed = new Set(edges.map(({ to }) => to));
  const drawn = new Set<string>();
  const lines: string[] = [];
  const draw = (name: string, label: string, branch: { readonly head: string; readonly indent: string }): void => {
    const below = edges.filter(({ from }) => from === name);
    const again = drawn.has(name) && below.length > 0;
    lines.push(`${branch.head}${name}${label}${again ? ' …' : ''}`);
    if (again) return;
    drawn.add(name);
    for (const [index, edge] of below.entries()) {
      const isLast = index === below.length - 1;
      const head = `${branch.indent}${isLast ? '└─ ' : '├─ '}`;
      draw(edge.to, labelOf(edge, ' (', ')'), { head, indent: `${branch.indent}${isLast ? '   ' : '│  '}` });
    }
  };
  for (const { name } of nodes) if (!needed.has(name)) draw(name, '', { head: '', indent: '' });
  return lines.map((line) => `${line}\n`).join('');
}

function labelOf({ condition, required }: GraphEdge, open: string, close: string): string {
  const words = [condition, required ? undefined : 'optional'].filter((word) => word !== undefined);
  return words.length === 0 ? '' : `${open}${words.join(', ')}${close}`;
}

/** A Mermaid flow chart. */
export function formatMermaid({ nodes, edges }: DependencyGraph): string {
  // Names such as `end` are words of the language: nodes get ids of their own.
  const ids = new Map(nodes.map(({ name }, index) => [name, `s${index}`]));
  const rows = [
    'flowchart LR',
    ...nodes.map(({ name }) => `  ${ids.get(name)}["${name}"]`),
    ...edges.map(
      (edge) =>
        `  ${ids.get(edge.from)} ${edge.required ? '-->' : '-.->'}${labelOf({ ...edge, required: true }, '|', '|')} ${ids.get(edge.to)}`,
    ),
  ];
  return `${rows.join('\n')}\n`;
}

/** A Graphviz graph. */
export function formatDot({ project, nodes, edges }: DependencyGraph): string {
  const rows = [
    `digraph ${JSON.stringify(project)} {`,
    '  rankdir=LR;',
    '  node [shape=box];',
    ...nodes.map(({ name }) => `  ${JSON.stringify(name)};`),
    ...edges.map((edge) => `  ${JSON.stringify(edge.from)} -> ${JSON.stringify(edge.to)}${attributes(edge)};`),
    '}',
  ];
  return `${rows.join('\n')}\n`;
}

function attributes({ condition, required }: GraphEdge): string {
  const words = [
    ...(condition === undefined ? [] : [`label=${JSON.stringify(condition)}`]),
    ...(required ? [] : ['style=dashed']),
  ];
  return words.length === 0 ? '' : ` [${words.join(', ')}]`;
}
