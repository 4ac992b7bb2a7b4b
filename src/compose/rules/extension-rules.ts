import { EGRESS_EXAMPLES, parseEgressEntry } from '../../core/index.ts';
import { child, type Mapping, type Node } from '../node.ts';
import type { RuleContext } from './rule-context.ts';

/** `x-egress` of a service: a list of what it may reach outside its networks. */
export function checkEgress(service: Mapping, { name, report }: Pick<RuleContext, 'name' | 'report'>): void {
  const list = child(service, 'x-egress');
  if (!list) return;
  const wrong = (at: Node, why: string) =>
    report(at, 'compose/invalid-value', `x-egress of ${name}${why}`, EGRESS_EXAMPLES);
  if (list.kind !== 'list') {
    wrong(list, ' must be a list; an empty one allows nothing outside');
    return;
  }
  for (const item of list.items) {
    const problem = item.kind === 'scalar' ? parseEgressEntry(item.text) : 'it is not a text';
    if (typeof problem === 'string')
      wrong(item, `, entry ${item.kind === 'scalar' ? JSON.stringify(item.text) : ''}: ${problem}`);
  }
}

/** `x-tscompose` of the file: settings of this command. */
export function checkSettings(tree: Mapping, report: RuleContext['report']): void {
  const settings = child(tree, 'x-tscompose');
  if (!settings) return;
  if (settings.kind !== 'map') {
    report(settings, 'compose/invalid-value', 'x-tscompose must be a mapping', 'x-tscompose: {publish: loopback}');
    return;
  }
  for (const [key, { key: at, value }] of settings.entries) {
    if (key !== 'publish')
      report(at, 'compose/unknown-key', `x-tscompose has no setting ${JSON.stringify(key)}`, 'it has publish');
    else if (value.kind !== 'scalar' || !['all', 'loopback'].includes(value.text))
      report(value, 'compose/invalid-value', 'x-tscompose.publish must be all or loopback');
  }
}
