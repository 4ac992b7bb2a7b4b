import type { EngineClient } from '../client/index.ts';
import { egressOf, type Network, type Service } from '../compose/index.ts';
import { TscError } from '../core/index.ts';

/** Throws `stack/unsupported` when a service asks for what the Engine API has no words for and another engine would ignore. */
export async function refuseForeignEngine(
  client: EngineClient,
  services: Iterable<Service | undefined>,
  networks: Iterable<Network>,
): Promise<void> {
  const limited = [...services].find((service) => service && egressOf(service) !== undefined);
  const [network, option] =
    [...networks]
      .flatMap((each) => [...each.driverOpts.keys()].map((key) => [each, key] as const))
      .find(([each, key]) => !each.external && key.startsWith('dev.tscompose.')) ?? [];
  if ((!limited && !network) || (await client.isOurs())) return;
  if (!limited)
    throw new TscError(
      'stack/unsupported',
      `network ${network?.name}: ${option} is carried out by tscompose's own engine only, not by the one at ${client.endpoint}`,
      {
        hint: 'unset DOCKER_HOST (or the context) to use the own engine, or remove the option: it would do nothing there',
      },
    );
  throw new TscError(
    'stack/unsupported',
    `service ${limited.name}: x-egress is carried out by tscompose's own engine only, not by the one at ${client.endpoint}`,
    {
      hint: 'unset DOCKER_HOST (or the context) to use the own engine, or remove x-egress: it would limit nothing there',
    },
  );
}
