import type { DependencyGraph, GraphEdge, GraphNode } from './dependency-graph.ts';

const WIDTH = 180;
const HEIGHT = 48;
const GAP_X = 110;
const GAP_Y = 24;
const MARGIN = 24;
/** Characters that fit into a box. */
const MAX_TEXT = 24;

interface Placed extends GraphNode {
  readonly x: number;
  readonly y: number;
}

/** A drawing: who depends stands left of what it needs. Needs no font or style from outside. */
export function formatSvg(graph: DependencyGraph): string {
  const placed = place(graph.nodes);
  const all = [...placed.values()];
  const width = Math.max(0, ...all.map(({ x }) => x + WIDTH)) + MARGIN;
  const height = Math.max(0, ...all.map(({ y }) => y + HEIGHT)) + MARGIN;
  const rows = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `  <title>${escapeXml(graph.project)}</title>`,
    '  <defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
    `  <rect width="${width}" height="${height}" fill="#fff"/>`,
    ...graph.edges.flatMap((edge) => drawEdge(edge, placed)),
    ...all.flatMap(drawNode),
    '</svg>',
  ];
  return `${rows.join('\n')}\n`;
}

/** One column per level, the highest on the left. */
function place(nodes: readonly GraphNode[]): ReadonlyMap<string, Placed> {
  const top = Math.max(0, ...nodes.map(({ level }) => level));
  const filled = new Map<number, number>();
  return new Map(
    nodes.map((node) => {
      const row = filled.get(node.level) ?? 0;
      filled.set(node.level, row + 1);
      const x = MARGIN + (top - node.level) * (WIDTH + GAP_X);
      return [node.name, { ...node, x, y: MARGIN + row * (HEIGHT + GAP_Y) }];
    }),
  );
}

function drawNode({ name, origin, x, y }: Placed): string[] {
  const middle = x + WIDTH / 2;
  return [
    `  <rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="6" fill="#eef3fb" stroke="#4a6fa5"/>`,
    `  <text x="${middle}" y="${y + 20}" text-anchor="middle" font-weight="bold">${escapeXml(shorten(name))}</text>`,
    `  <text x="${middle}" y="${y + 37}" text-anchor="middle" fill="#555" font-size="11">${escapeXml(shorten(origin))}</text>`,
  ];
}

function drawEdge({ from, to, condition, required }: GraphEdge, placed: ReadonlyMap<string, Placed>): string[] {
  const a = placed.get(from);
  const b = placed.get(to);
  if (!a || !b) return [];
  const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
  const middle = (x1 + x2) / 2;
  const dash = required ? '' : ' stroke-dasharray="5 4"';
  const path = `  <path d="M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}" fill="none" stroke="#555"${dash} marker-end="url(#to)"/>`;
  if (condition === undefined) return [path];
  const label = `  <text x="${middle}" y="${(y1 + y2) / 2 - 4}" text-anchor="middle" fill="#555" font-size="11">${condition}</text>`;
  return [path, label];
}

function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
