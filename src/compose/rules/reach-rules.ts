import { child, childItems, childMap, childText, type Mapping } from '../node.ts';
import { readBoolean } from '../scalar-formats.ts';
import type { RuleContext } from './rule-context.ts';

/** Warns of ports without effect: on the host's network they are open as they are, from internal networks nobody gets out or in. */
export function reachablePorts(service: Mapping, { name, tree, warn }: RuleContext): void {
  const [port] = childItems(service, 'ports');
  const networks = [...(childMap(service, 'networks')?.entries.keys() ?? [])];
  if (port && childText(service, 'network_mode') === 'host') {
    const message = `service ${name} is on the host's own network, where its ports are open as they are: ports is ignored`;
    warn(port, 'compose/no-effect', message, 'remove ports, or network_mode');
  }
  if (!port || networks.length === 0) return;
  const isInternal = (network: string): boolean => {
    const flag = child(child(child(tree, 'networks'), network), 'internal');
    return flag?.kind === 'scalar' && readBoolean(flag.text) === true;
  };
  if (!networks.every(isInternal)) return;
  const which = networks.length === 1 ? `its network ${networks[0]} is` : `its networks ${networks.join(', ')} are`;
  const message = `service ${name} publishes ports, and ${which} internal: nobody outside can reach them`;
  warn(port, 'compose/unreachable-port', message, 'add a network that is not internal, or remove ports');
}
