import { expect, it } from 'vitest';
import {
  dependencyGraph,
  formatDot,
  formatGraph,
  formatMermaid,
  formatSvg,
  loadProject,
  memoryReader,
  narrowProject,
} from '../index.ts';

const TEXT = `name: shop
services:
  web: {image: nginx, depends_on: {api: {condition: service_healthy}, cache: {condition: service_started, required: false}}}
  api: {build: ., depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}}
  migrate: {build: ., depends_on: [db]}
  db: {image: postgres}
  cache: {image: redis}
  end: {image: x, links: [db]}
`;
const load = async () => {
  const reader = memoryReader({ '/p/compose.yaml': TEXT });
  return (await loadProject({ currentDirectory: '/p', environment: {}, reader, purpose: 'show' })).project;
};

it('draws trees of text, each service once', async () => {
  expect(formatGraph(dependencyGraph(await load()))).toBe(`web
├─ api (healthy)
│  ├─ db (healthy)
│  └─ migrate (completed)
│     └─ db
└─ cache (optional)
end
└─ db
`);
});

it('draws Mermaid with ids that are no words of the language', async () => {
  const text = formatMermaid(dependencyGraph(await load()));
  expect(text.split('\n')).toEqual(
    expect.arrayContaining(['flowchart LR', '  s5["end"]', '  s0 -->|healthy| s1', '  s0 -.-> s4', '  s5 --> s3']),
  );
});

it('draws dot', async () => {
  const text = formatDot(dependencyGraph(narrowProject(await load(), ['end'])));
  expect(text).toBe('digraph "shop" {\n  rankdir=LR;\n  node [shape=box];\n  "db";\n  "end";\n  "end" -> "db";\n}\n');
});

it('draws SVG with one box per service, one arrow per dependency, columns by level', async () => {
  const graph = dependencyGraph(await load());
  const text = formatSvg(graph);
  expect(text.match(/<rect [^>]*rx/g)).toHaveLength(6);
  expect(text.match(/marker-end/g)).toHaveLength(graph.edges.length);
  expect(graph.nodes.map(({ name, level }) => [name, level])).toEqual([
    ['web', 3],
    ['api', 2],
    ['migrate', 1],
    ['db', 0],
    ['cache', 0],
    ['end', 1],
  ]);
  expect(formatSvg({ ...graph, project: '<&"' })).toContain('<title>&#60;&#38;&#34;</title>');
});
