import { afterAll, beforeAll, expect, it } from 'vitest';
import { Place, World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.service.create({ name: 'front' });
});
afterAll(() => world.close());

it('a container that comes back is reached at once, although the kernel still has its namespace of before', async () => {
  const web = await world.start('web', [{ network: 'front' }]);
  const peer = await world.start('peer', [{ network: 'front' }]);
  // Keeps the namespace with its link, as the kernel does for a while when it is busy: same addresses, nobody listens.
  await world.spawn(web, '/bin/sh', '-c', 'echo ready; exec sleep 600');
  const answer = (place: Place) => place.probe('tcp', web.address, 80);
  expect(await answer(peer)).toMatch(/^web saw /);
  process.kill(web.server, 'SIGKILL');
  for (let round = 0; round < 3; round++) {
    await world.service.closeSandbox(web.id);
    const { path } = await world.service.openSandbox(web.id);
    const again = new Place(path ?? '');
    await world.spawn(again, '/bin/sh', '-c', 'echo ready; exec sleep 600');
    const server = await world.serve('web', again, 80);
    await world.service.publish(web.id, []);
    for (let n = 0; n < 3; n++) {
      expect(await answer(world.host)).toMatch(/^web saw /);
      expect(await answer(peer)).toMatch(/^web saw /);
    }
    process.kill(server, 'SIGKILL');
  }
});
