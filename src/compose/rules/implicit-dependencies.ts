import { child, childItems, childText, type Mapping, type Node } from '../node.ts';

/** A reference from one service to another that means: start that one first. */
export interface ServiceReference {
  readonly name: string;
  /** Where it is written. */
  readonly at: Node;
  /** The attribute, for messages. */
  readonly attribute: string;
  /** Recreating the dependency recreates this service, for it lives in namespaces of the old one. */
  readonly restart: boolean;
}

const NAMESPACES = ['network_mode', 'ipc', 'pid', 'uts', 'cgroup'];

/** Services a service refers to other than by depends_on. */
export function implicitDependencies(service: Mapping): ServiceReference[] {
  const found: ServiceReference[] = [];
  for (const item of childItems(service, 'links')) {
    if (item.kind === 'scalar')
      found.push({ name: item.text.split(':')[0] ?? '', at: item, attribute: 'links', restart: true });
  }
  for (const attribute of NAMESPACES) {
    const text = childText(service, attribute);
    const at = child(service, attribute);
    if (at && text?.startsWith('service:')) {
      found.push({ name: text.slice('service:'.length), at, attribute, restart: true });
    }
  }
  for (const item of childItems(service, 'volumes_from')) {
    if (item.kind !== 'scalar' || item.text.startsWith('container:')) continue;
    found.push({ name: item.text.split(':')[0] ?? '', at: item, attribute: 'volumes_from', restart: false });
  }
  return found;
}
