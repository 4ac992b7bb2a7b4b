import { type ContainerId, OBJECT_NAME, parseObjectId, TscError } from '../../core/index.ts';
import type { LiveContainer } from './live-container.ts';

/** All containers in memory, found by id, name or prefix; also who has which name. */
export class ContainerTable {
  readonly #byId = new Map<string, LiveContainer>();
  readonly #names = new Map<string, ContainerId>();

  get all(): readonly LiveContainer[] {
    return [...this.#byId.values()];
  }

  /** Takes the name for an id at once, so that of two creates one fails. Throws `container/conflict`. */
  reserveName(name: string, id: ContainerId): void {
    if (!OBJECT_NAME.test(name) || name.length < 2 || name.length > 255) {
      throw new TscError('container/invalid', `invalid container name ${JSON.stringify(name.slice(0, 80))}`, {
        hint: 'two or more letters, digits, _ . -, beginning with a letter or digit',
      });
    }
    const holder = this.#names.get(name);
    if (holder !== undefined && holder !== id) {
      throw new TscError(
        'container/conflict',
        `the container name "/${name}" is already in use by container "${holder}"`,
        {
          hint: 'remove or rename that container to be able to reuse the name',
        },
      );
    }
    this.#names.set(name, id);
  }

  releaseName(name: string, id: ContainerId): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  isTaken(name: string): boolean {
    return this.#names.has(name);
  }

  add(container: LiveContainer): void {
    this.#byId.set(container.id, container);
  }

  delete(container: LiveContainer): void {
    this.#byId.delete(container.id);
    this.releaseName(container.record.name, container.id);
  }

  /** The container that is meant: full id, then name, then id prefix. */
  find(ref: string): LiveContainer | undefined {
    const text = ref.replace(/^\//, '');
    const direct = this.#byId.get(text) ?? this.#byId.get(this.#names.get(text) ?? '');
    if (direct || !/^[0-9a-f]{1,63}$/.test(text)) return direct;
    const matches = this.all.filter((container) => container.id.startsWith(text));
    if (matches.length > 1) {
      throw new TscError('container/invalid', `id prefix ${text} is ambiguous: ${matches.length} containers match`, {
        hint: 'give more digits',
      });
    }
    return matches[0];
  }

  get(ref: string): LiveContainer {
    const found = this.find(ref);
    if (!found) throw new TscError('container/not-found', `no such container: ${ref}`);
    return found;
  }

  /** Containers that live in the given one's namespace of a kind. */
  sharing(id: ContainerId): readonly LiveContainer[] {
    return this.all.filter((other) => other.record.host.networkMode === `container:${id}`);
  }
}

const FIRST =
  'amber brisk calm clever crisp eager fair fleet gentle keen lively lucid merry mild neat plain quick quiet ready sharp sleek snug solid spry steady sunny swift tidy warm wise'.split(
    ' ',
  );
const SECOND =
  'alder badger beech birch crane dune egret fern finch fjord gull harbor heron ibis kestrel larch lark linden lynx maple marten moss otter plover poplar quail reed robin rowan shrike'.split(
    ' ',
  );

/** A free name made from an id, so that it needs no randomness of its own. */
export function generateName(id: ContainerId, isTaken: (name: string) => boolean): string {
  for (let at = 0; at + 4 <= id.length; at += 4) {
    const value = Number.parseInt(id.slice(at, at + 4), 16);
    const name = `${FIRST[value % FIRST.length]}_${SECOND[Math.floor(value / FIRST.length) % SECOND.length]}`;
    if (!isTaken(name)) return name;
  }
  return `container_${parseObjectId(id).slice(0, 12)}`;
}
