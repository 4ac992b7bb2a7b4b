import { INSTANCE, type World } from '../network-reach/world.ts';

const NFT = '/usr/sbin/nft';

/** What the daemon does all the time: watches, and puts right what is not. */
export function guard(world: World): { stop(): Promise<void>; readonly repairs: number[] } {
  const repairs: number[] = [];
  let stopped = false;
  const running = (async () => {
    while (!stopped) {
      if ((await world.service.watchFirewall()) !== 'changed') continue;
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
