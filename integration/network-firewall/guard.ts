import { setImmediate as turn } from 'node:timers/promises';
import { INSTANCE, type World } from '../network-reach/world.ts';

const NFT = '/usr/sbin/nft';

/** What the daemon does all the time: watches, and puts right what is not. */
export function guard(world: World): { stop(): Promise<void>; readonly repairs: number[] } {
  const repairs: number[] = [];
  let stopped = false;
  const running = (async () => {
    while (!stopped) {
      const seen = await world.service.watchFirewall();
      // A service that has just been started again has no table yet, and says so at once: it must get on meanwhile.
      if (seen === 'idle') await turn();
      if (seen !== 'changed') continue;
      if (await world.service.checkFirewall()) repairs.push(Date.now());
    }
  })();
  return {
    repairs,
    async stop() {
      stopped = true;
      // Wakes the watch.
      await world.host.run(NFT, 'flush', 'chain', 'inet', INSTANCE, 'entering');
      await running;
      await world.service.checkFirewall();
    },
  };
}
