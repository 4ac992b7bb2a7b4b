/**
 * Orders nodes so that each comes after what it depends on; among equals the input order is kept.
 * Edges to unknown nodes are ignored. Returns either the order or one cycle as a closed path (`a → b → a`).
 */
export function sortTopologically(
  nodes: readonly string[],
  dependenciesOf: (node: string) => Iterable<string>,
): { readonly order: string[] } | { readonly cycle: string[] } {
  const known = new Set(nodes);
  const done = new Set<string>();
  const order: string[] = [];
  // Iterative depth-first walk: a chain of thousands of services must not exhaust the stack.
  for (const root of nodes) {
    const path: { node: string; rest: string[] }[] = [];
    const onPath = new Set<string>();
    const enter = (node: string) => {
      path.push({ node, rest: [...dependenciesOf(node)].filter((dependency) => known.has(dependency)).reverse() });
      onPath.add(node);
    };
    if (!done.has(root)) enter(root);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = top.rest.pop();
      if (next === undefined) {
        path.pop();
        onPath.delete(top.node);
        done.add(top.node);
        order.push(top.node);
      } else if (onPath.has(next)) {
        const names = path.map((step) => step.node);
        return { cycle: [...names.slice(names.indexOf(next)), next] };
      } else if (!done.has(next)) enter(next);
    }
  }
  return { order };
}
