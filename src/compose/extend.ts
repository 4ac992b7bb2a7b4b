import { dirname } from 'node:path/posix';
import { type LoadContext, loadLayer } from './load-context.ts';
import { dropTags, merge, mergeService } from './merge.ts';
import {
  child,
  childMap,
  childText,
  type Entry,
  type Mapping,
  type Node,
  positionOf,
  type Scalar,
  withEntry,
} from './node.ts';
import { absolutePath } from './paths.ts';
import { mayReach } from './remote/check-reach.ts';
import { locateRemote, type RemotePlace } from './remote/locate-remote.ts';
import { isRemoteFile } from './remote/remote-address.ts';
import { suggest } from './suggest.ts';

const MAX_CHAIN = 1000;

/**
 * Stage 6: services with `extends` become their base with the own definition on top. `earlier` is what previous files
 * gave; a base may live there. Paths of a base keep starting at the folder of its file, for every node knows it.
 */
export async function extend(tree: Mapping, earlier: Mapping | undefined, context: LoadContext): Promise<Mapping> {
  const services = childMap(tree, 'services');
  if (!services?.entries.values().some(({ value }) => child(value, 'extends'))) return tree;
  const run = new Extension(context);
  const entries = new Map<string, Entry>();
  for (const [name, entry] of services.entries) {
    const value = await run.resolve(
      { name, services, earlier: childMap(earlier, 'services'), file: tree.source.file },
      [],
    );
    entries.set(name, { key: entry.key, value: value ?? entry.value });
  }
  return withEntry(tree, 'services', { ...services, entries });
}

/** A service and where its bases may be found. */
interface Place {
  readonly name: string;
  readonly services: Mapping;
  readonly earlier: Mapping | undefined;
  readonly file: string;
}

class Extension {
  readonly #context: LoadContext;
  readonly #done = new Map<Node, Mapping>();
  readonly #files = new Map<string, Promise<Mapping | undefined>>();

  constructor(context: LoadContext) {
    this.#context = context;
  }

  /** Undefined after a problem, which is reported. */
  async resolve(place: Place, chain: readonly string[]): Promise<Mapping | undefined> {
    const service = child(place.services, place.name) ?? child(place.earlier, place.name);
    if (service?.kind !== 'map') return undefined;
    const known = this.#done.get(service);
    if (known) return known;
    const extension = child(service, 'extends');
    if (extension?.kind !== 'map') return service;
    const made = await this.#extended(place, service, extension, chain);
    if (made) this.#done.set(service, made);
    return made;
  }

  async #extended(
    place: Place,
    service: Mapping,
    extension: Mapping,
    chain: readonly string[],
  ): Promise<Mapping | undefined> {
    const own = withEntry(service, 'extends', undefined);
    const target = await this.#target(place, extension);
    if (!target) return own;
    const link = `${place.name} (${place.file})`;
    if (chain.length > MAX_CHAIN) {
      this.#report(
        extension,
        'compose/too-deep',
        `more than ${MAX_CHAIN} services extend each other`,
        'shorten the chain',
      );
      return own;
    }
    if (chain.includes(link)) {
      const cycle = [...chain.slice(Math.max(0, chain.indexOf(link))), link].join(' → ');
      this.#report(extension, 'compose/extends-cycle', `extends cycle: ${cycle}`, 'remove one of these extends');
      return own;
    }
    const base = await this.resolve(target, [...chain, link]);
    // What the base resets is reset in the base; it says nothing about what earlier files give this service.
    if (!base || !this.#context.budget.takeTree(base, extension)) return own;
    return mergeService(dropTags(withEntry(base, 'extends', undefined)), own);
  }

  async #target(place: Place, extension: Mapping): Promise<Place | undefined> {
    const name = childText(extension, 'service');
    if (name === undefined) {
      const message = `extends of service ${place.name} needs the key service`;
      this.#report(extension, 'compose/missing-key', message, 'name the service to start from');
      return undefined;
    }
    const fileNode = child(extension, 'file');
    if (fileNode?.kind !== 'scalar' || fileNode.text === '') {
      return this.#named(name, { ...place, name }, extension);
    }
    const located = await this.#locate(fileNode, extension.source.base);
    if (!located) return undefined;
    const { file } = located;
    // A file may extend a service of its own by naming itself; its trees are the ones at hand.
    const tree = await this.#load(located, fileNode);
    if (!tree) return undefined;
    const services = childMap(tree, 'services');
    if (!services) {
      this.#report(fileNode, 'compose/unknown-service', `${file} has no services`, 'check the path');
      return undefined;
    }
    return this.#named(name, { name, services, earlier: undefined, file }, extension);
  }

  /** What a remote file extends by a path came with it. */
  async #locate(path: Scalar, base: string): Promise<RemotePlace | undefined> {
    if (isRemoteFile(path.text)) return locateRemote(path.text, positionOf(path), this.#context);
    const file = absolutePath(path.text, base, this.#context.home);
    const { origin } = path.source;
    return mayReach(path, file, this.#context.findings) ? { file, ...(origin && { origin }) } : undefined;
  }

  #load(place: RemotePlace, from: Node): Promise<Mapping | undefined> {
    const { file } = place;
    const known = this.#files.get(file);
    if (known) return known;
    const started = this.#mergedLayers(place, from);
    this.#files.set(file, started);
    return started;
  }

  async #mergedLayers({ file, origin }: RemotePlace, from: Node): Promise<Mapping | undefined> {
    const { layers } = this.#context;
    const loading = layers.get(file) ?? loadLayer(file, dirname(file), positionOf(from), { ...this.#context, origin });
    layers.set(file, loading);
    const documents = await loading;
    if (documents) this.#context.journal.extended.set(file, documents);
    return documents?.reduce<Mapping | undefined>((base, over) => merge(base, over, { keepTags: true }), undefined);
  }

  #named(name: string, place: Place, extension: Mapping): Place | undefined {
    if (child(place.services, name) || child(place.earlier, name)) return place;
    const near = suggest(name, place.services.entries.keys());
    const hint =
      near === undefined
        ? `services there: ${[...place.services.entries.keys()].slice(0, 10).join(', ')}`
        : `did you mean ${near}?`;
    const at = child(extension, 'service') ?? extension;
    this.#report(at, 'compose/unknown-service', `there is no service ${name} in ${place.file} to extend`, hint);
    return undefined;
  }

  #report(at: Node, code: string, message: string, hint: string): void {
    this.#context.findings.add({ code, severity: 'error', message, at: positionOf(at), hint });
  }
}
