import { type ContainerContext, publishContainerEvent } from './context.ts';

/** A name refused again within this time is no news: programs ask for it over and over. */
const QUIET_MS = 60_000;
/** Beyond so many names a container is trying them out, and the log is not its to fill. */
const NAMES_MAX = 1000;

/** Makes an event of each name that a limited container asked for and may not have. */
export function refusalEvents(
  context: ContainerContext,
): (refusal: { readonly sandbox: string; readonly name: string }) => void {
  const told = new Map<string, number>();
  return ({ sandbox, name }) => {
    const container = context.table.all.find(({ id }) => id === sandbox);
    const key = `${sandbox} ${name}`;
    const now = context.clock.monotonic();
    if (!container || now - (told.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    for (const [old, at] of told) if (now - at >= QUIET_MS) told.delete(old);
    if (told.size >= NAMES_MAX) return;
    told.set(key, now);
    publishContainerEvent(context, container, 'egress_denied', { host: name });
    context.logger.info({ container: container.id, name }, 'a name outside the egress list was refused');
  };
}
