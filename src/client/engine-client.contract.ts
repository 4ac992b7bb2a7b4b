import { describe, expect, it } from 'vitest';
import type { ContainerSpec } from './container-spec.ts';
import type { EngineClient } from './engine-client.ts';

export interface ContractEngine {
  readonly client: () => EngineClient;
  /** Reference of an image that is present and whose containers run until told otherwise. */
  readonly image: string;
}

/** What every engine client must do; run against the memory engine and the real daemon. */
export function engineClientContract(name: string, { client, image }: ContractEngine): void {
  const label = `dev.tscompose.contract=${name}`;
  const spec = (extra: Partial<ContainerSpec> = {}): ContainerSpec => ({
    name: `contract-${name}`,
    image,
    command: ['sleep', '600'],
    init: true,
    environment: {},
    labels: { 'dev.tscompose.contract': name },
    exposed: [],
    ports: [],
    mounts: [],
    endpoints: [],
    ...extra,
  });

  describe(`engine client: ${name}`, () => {
    it('takes a container through its life, and tells by events', async () => {
      const engine = client();
      const stop = new AbortController();
      const events = await engine.events({ labels: [label], types: ['container'], signal: stop.signal });
      const { id } = await engine.createContainer(spec());
      expect((await engine.listContainers({ labels: [label], all: true })).map((item) => item.state)).toEqual([
        'created',
      ]);
      expect(await engine.listContainers({ labels: [label] })).toEqual([]);
      await engine.startContainer(id);
      await engine.startContainer(id);
      expect(await engine.inspectContainer(id)).toMatchObject({ name: `contract-${name}`, state: 'running' });
      expect(await engine.awaitRest(id, { quietMs: 20, mostMs: 10_000 })).toBe('rest');
      const exit = engine.waitContainer(id, 'not-running');
      await engine.killContainer(id, 'SIGKILL');
      expect(await exit).toBe(137);
      expect(await engine.awaitRest(id, { quietMs: 20, mostMs: 10_000 })).toBe('ended');
      await engine.stopContainer(id);
      await engine.renameContainer(id, `contract-${name}-2`);
      expect((await engine.inspectContainer(`contract-${name}-2`)).exitCode).toBe(137);
      await engine.removeContainer(id);
      const seen: string[] = [];
      for await (const event of events) {
        if (['start', 'die', 'destroy'].includes(event.action)) seen.push(event.action);
        if (event.action === 'destroy') stop.abort();
      }
      expect(seen).toEqual(['start', 'die', 'destroy']);
    });

    it('says what is not there and what is in the way', async () => {
      const engine = client();
      await expect(engine.inspectContainer('absent')).rejects.toMatchObject({ code: 'client/not-found' });
      await expect(engine.removeNetwork('absent')).rejects.toMatchObject({ code: 'client/not-found' });
      await expect(engine.removeVolume('absent')).rejects.toMatchObject({ code: 'client/not-found' });
      await expect(engine.createContainer(spec({ image: 'absent:0' }))).rejects.toMatchObject({
        code: 'client/not-found',
      });
      expect(await engine.inspectImage('absent:0')).toBeUndefined();
      const { id } = await engine.createContainer(spec());
      await expect(engine.createContainer(spec())).rejects.toMatchObject({ code: 'client/conflict' });
      await engine.startContainer(id);
      await expect(engine.removeContainer(id)).rejects.toMatchObject({ code: 'client/conflict' });
      await engine.removeContainer(id, { force: true, volumes: true });
    });

    it('keeps networks and volumes with their labels', async () => {
      const engine = client();
      const object = { name: `contract-${name}`, labels: { 'dev.tscompose.contract': name } };
      const id = await engine.createNetwork(object);
      await engine.createVolume(object);
      await engine.createVolume(object);
      expect((await engine.listNetworks({ labels: [label] })).map((item) => [item.id, item.name])).toEqual([
        [id, object.name],
      ]);
      expect((await engine.listVolumes({ labels: [label] })).map((item) => item.labels)).toEqual([object.labels]);
      await engine.removeNetwork(id);
      await engine.removeVolume(object.name);
      expect(await engine.listNetworks({ labels: [label] })).toEqual([]);
      expect(await engine.listVolumes({ labels: [label] })).toEqual([]);
    });
  });
}
