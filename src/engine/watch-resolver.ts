import { describeError } from '../core/index.ts';
import type { Clock } from '../host/index.ts';
import type { ContainerRoom } from './containers/index.ts';
import type { EngineLogger } from './engine-face.ts';
import type { NetworkService } from './network/index.ts';

/** How often the host's resolv.conf is looked at while containers run. */
const CHECK_MS = 1_000;

export interface WatchResolverInput {
  readonly networks: NetworkService;
  readonly room: ContainerRoom;
  readonly logger: EngineLogger;
  readonly clock: Clock;
}

/** Containers follow the name servers of the host: a laptop joins another network, a VPN comes and goes. Ends with the signal. */
export async function watchResolver(
  { networks, room, logger, clock }: WatchResolverInput,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await clock.sleep(CHECK_MS, signal);
    } catch {
      return;
    }
    if (!room.isBusy()) continue;
    try {
      if (!(await networks.checkResolver())) continue;
      logger.info({}, 'the name servers of the host changed; containers ask the new ones');
      await room.followHostResolver();
    } catch (error) {
      logger.error({ error: describeError(error) }, "cannot follow the host's resolv.conf");
    }
  }
}
