import type { BoundPort } from './network.ts';
import { portKey } from './port-map.ts';
import type { Attachment } from './records.ts';

type Attachments = ReadonlyMap<string, Attachment>;

/**
 * A container that replaces a running one holds the same published ports beside it, and each port leads to one of them: the
 * newest that is ready, else the oldest. So a port moves when the new container is ready, and moves back when that one turns
 * unhealthy or ends while the old one still runs. Nothing of this is recorded but who replaces whom.
 */

/** Ports of the container's own address belong to it alone. */
export function isSamePort(a: BoundPort, b: BoundPort): boolean {
  return a.hostPort !== 0 && a.hostPort === b.hostPort && a.protocol === b.protocol && a.hostIp === b.hostIp;
}

/** Those before a container, the one it replaces first. */
export function predecessors(attachments: Attachments, { replaces }: Attachment): readonly string[] {
  const ids: string[] = [];
  for (let id = replaces; id !== undefined && !ids.includes(id); id = attachments.get(id)?.replaces) ids.push(id);
  return ids;
}

/** Whoever holds the port, oldest first. */
function holdersOf(attachments: Attachments, port: BoundPort): readonly Attachment[] {
  const holders = [...attachments.values()].filter(({ bound }) => bound.some((each) => isSamePort(each, port)));
  if (holders.length < 2) return holders;
  const age = (holder: Attachment) => predecessors(attachments, holder).length;
  return holders.sort((a, b) => age(a) - age(b));
}

/** The container that a published port leads to now. */
export function serverOf(attachments: Attachments, port: BoundPort): Attachment | undefined {
  const holders = holdersOf(attachments, port);
  return holders.findLast(({ readiness }) => (readiness ?? 'ready') === 'ready') ?? holders[0];
}

/** What leads to a container of what it holds. */
export function servedPorts(attachments: Attachments, attachment: Attachment): readonly BoundPort[] {
  const { containerId, bound } = attachment;
  const isAlone =
    attachment.replaces === undefined && ![...attachments.values()].some(({ replaces }) => replaces === containerId);
  if (isAlone) return bound;
  return bound.filter((port) => port.hostPort === 0 || serverOf(attachments, port)?.containerId === containerId);
}

/** Another container's hold of the same port that this one may share. */
export function sharedKey(attachments: Attachments, attachment: Attachment, port: BoundPort): string | undefined {
  const before = predecessors(attachments, attachment);
  const partner = holdersOf(attachments, port).find(
    (holder) =>
      before.includes(holder.containerId) || predecessors(attachments, holder).includes(attachment.containerId),
  );
  return partner && portKey(partner.containerId, port);
}
