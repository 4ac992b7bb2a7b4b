import type { EventLog, EventType } from './events/index.ts';
import type { Image, ImageStore } from './images/index.ts';
import type { NetworkService } from './network/index.ts';

type Publish = (action: string, id: string, attributes?: Readonly<Record<string, string>>) => void;

const publisher =
  (events: EventLog, type: EventType): Publish =>
  (action, id, attributes = {}) =>
    void events.publish({ type, action, actor: { id, attributes } });

/** The image store with an event for each change. */
export function withImageEvents(store: ImageStore, events: EventLog): ImageStore {
  const publish = publisher(events, 'image');
  const named = (action: string, image: Image, name: string) =>
    publish(action, image.id, { ...Object.fromEntries(image.config.run.labels), name });
  return {
    resolve: (text) => store.resolve(text),
    find: (text) => store.find(text),
    list: () => store.list(),
    history: (text) => store.history(text),
    save: (names) => store.save(names),
    addLayer: (archive) => store.addLayer(archive),
    commitLayer: (upper) => store.commitLayer(upper),
    lowerDirectories: (image, options) => store.lowerDirectories(image, options),
    async tag(source, target) {
      await store.tag(source, target);
      named('tag', await store.resolve(target), target);
    },
    async remove(text, options) {
      const id = (await store.resolve(text)).id;
      const deletions = await store.remove(text, options);
      for (const deletion of deletions) {
        if ('untagged' in deletion) publish('untag', id, { name: deletion.untagged });
        else publish('delete', deletion.deleted, { name: deletion.deleted });
      }
      return deletions;
    },
    async pull(ref, options) {
      const image = await store.pull(ref, options);
      const name = ref.repository.replace(/^library\//, '');
      named('pull', image, `${name}${ref.digest ? `@${ref.digest}` : `:${ref.tag ?? 'latest'}`}`);
      return image;
    },
    async load(archive, options) {
      const names = await store.load(archive, options);
      for (const name of names) named('load', await store.resolve(name), name);
      return names;
    },
    async importRootfs(archive, request) {
      const image = await store.importRootfs(archive, request);
      named('import', image, image.tags[0] ?? image.id);
      return image;
    },
    async createImage(request) {
      const image = await store.createImage(request);
      for (const tag of image.tags) named('tag', image, tag);
      return image;
    },
    async prune(options) {
      const report = await store.prune(options);
      for (const deletion of report.deletions) if ('deleted' in deletion) publish('delete', deletion.deleted);
      return report;
    },
  };
}

/** The networks with an event for each change of a network or its members. */
export function withNetworkEvents(service: NetworkService, events: EventLog): NetworkService {
  const publish = publisher(events, 'network');
  const describe = (id: string) => {
    const { name, driver } = service.inspect(id);
    return { name, type: driver };
  };
  const removed = (targets: readonly string[]) =>
    targets.map((target) => ({ id: service.inspect(target).id, attributes: describe(target) }));
  return {
    ...service,
    async create(spec) {
      const network = await service.create(spec);
      publish('create', network.id, { name: network.name, type: network.driver });
      return network;
    },
    async remove(ref) {
      const gone = removed([ref]);
      await service.remove(ref);
      for (const { id, attributes } of gone) publish('destroy', id, attributes);
    },
    async removeAll(refs) {
      const gone = removed(refs);
      await service.removeAll(refs);
      for (const { id, attributes } of gone) publish('destroy', id, attributes);
    },
    async prune(wanted) {
      const before = new Map(service.list().map((network) => [network.name, network]));
      const names = await service.prune(wanted);
      for (const name of names) {
        const network = before.get(name);
        if (network) publish('destroy', network.id, { name, type: network.driver });
      }
      return names;
    },
    async publish(id, ports, replaces) {
      const bound = await service.publish(id, ports, replaces);
      for (const endpoint of service.endpoints(id))
        publish('connect', endpoint.networkId, { ...describe(endpoint.networkId), container: id });
      return bound;
    },
    async withdraw(id) {
      await service.withdraw(id);
      for (const endpoint of service.endpoints(id))
        publish('disconnect', endpoint.networkId, { ...describe(endpoint.networkId), container: id });
    },
    async connect(network, containerId, name, spec) {
      const endpoint = await service.connect(network, containerId, name, spec);
      publish('connect', endpoint.networkId, { ...describe(endpoint.networkId), container: containerId });
      return endpoint;
    },
    async disconnect(network, containerId) {
      const { id } = service.inspect(network);
      await service.disconnect(network, containerId);
      publish('disconnect', id, { ...describe(id), container: containerId });
    },
  };
}
