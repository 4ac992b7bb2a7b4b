import type { EngineClient } from '../client/index.ts';
import { egressOf, type Service } from '../compose/index.ts';
import { TscError } from '../core/index.ts';

/** Throws `stack/unsupported` when a service asks for what the Engine API has no words for and another engine would ignore. */
export async function refuseForeignEngine(
  client: EngineClient,
  services: Iterable<Service | undefined>,
): Promise<void> {
  const limited = [...services].find((service) => service && egressOf(service) !== undefined);
  if (!limited || (await client.isOurs())) return;
  throw new TscError(
    'stack/unsupported',
    `service ${limited.name}: x-egress is carried out by tscompose's own engine only, not by the one at ${client.endpoint}`,
    {
      hint: 'unset DOCKER_HOST (or the context) to use the own engine, or remove x-egress: it would limit nothing there',
    },
  );
}
