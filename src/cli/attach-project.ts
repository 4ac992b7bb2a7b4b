import type { EngineClient, EngineEvent } from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import {
  executePlan,
  followProject,
  isUp,
  LABEL,
  type LogFollower,
  type LogSource,
  type ObservedContainer,
  type ObservedState,
  observe,
  planStop,
  ServiceWatch,
} from '../stack/index.ts';
import type { Context } from './context.ts';
import { onInterrupt } from './interrupts.ts';
import { LogView } from './view/log-lines.ts';

export interface AttachOptions {
  readonly project: Project;
  /** Services whose containers are shown and stopped. */
  readonly services: readonly string[];
  readonly state: ObservedState;
  /** Output since then is shown. */
  readonly since: string;
  readonly prefix: boolean;
  readonly colour: boolean;
  readonly timestamps: boolean;
  /** The first container that ends ends all. */
  readonly abortOnExit: boolean;
  readonly exitCodeFrom?: string;
  readonly timeout?: number;
  readonly watchFiles: boolean;
}

/**
 * Shows the output of a running project until all its containers have ended, or ctrl-C: the first asks them to stop, the
 * second kills them, the third leaves at once. Resolves with the exit status.
 */
export async function attachProject(context: Context, client: EngineClient, options: AttachOptions): Promise<number> {
  using watch = await ServiceWatch.open(client, options.project.name);
  const session = new AttachSession(context, client, watch, options);
  // Awaited here: the watch ends with this scope.
  return await session.run();
}

class AttachSession {
  readonly #context: Context;
  readonly #client: EngineClient;
  readonly #watch: ServiceWatch;
  readonly #options: AttachOptions;
  readonly #view: LogView;
  readonly #alive = new Map<string, LogSource>();
  readonly #finished = Promise.withResolvers<void>();
  readonly #hardStop = new AbortController();
  #follower: LogFollower | undefined;
  #status = 0;
  #interrupted = false;
  #stopping = false;
  #sourceEnded = false;

  constructor(context: Context, client: EngineClient, watch: ServiceWatch, options: AttachOptions) {
    this.#context = context;
    this.#client = client;
    this.#watch = watch;
    this.#options = options;
    this.#view = new LogView(context.output, options.project.name, options);
  }

  async run(): Promise<number> {
    const { state } = this.#options;
    const members = state.containers.filter((item) => this.#isMember(item.service) && !item.oneoff);
    for (const item of members) this.#alive.set(item.id, item);
    const shown = members.filter((item) => this.#isShown(item.service));
    this.#view.expect(shown.map(({ name }) => name));
    this.#follower = followProject(this.#client, this.#watch, shown, {
      follow: true,
      since: this.#options.since,
      timestamps: this.#options.timestamps,
      signal: this.#hardStop.signal,
      onLine: (line) => this.#view.line(line),
      accept: (event) => this.#acceptShown(event),
    });
    using _interrupt = onInterrupt((count) => this.#interrupt(count));
    const ending: Promise<void>[] = [];
    const unlisten = this.#watch.listen((event) => ending.push(this.#onEvent(event)));
    // Some may have ended between their start and our subscription.
    for (const item of members) if (!isUp(item)) await this.#onEnd(item.id, item.name, item.service);
    for (const item of await this.#missed(members)) await this.#onEnd(item.id, item.name, item.service);
    const stopFiles = this.#options.watchFiles ? await this.#watchFiles() : undefined;
    await Promise.race([this.#finished.promise, this.#watch.lost]).finally(() => stopFiles?.());
    unlisten();
    await this.#follower.drain();
    await Promise.all(ending);
    return this.#interrupted ? 130 : this.#status;
  }

  async #missed(members: readonly ObservedContainer[]): Promise<readonly ObservedContainer[]> {
    const now = await observe(this.#client, this.#options.project.name);
    const ended = new Set(now.containers.filter((item) => !isUp(item)).map(({ id }) => id));
    return members.filter((item) => isUp(item) && ended.has(item.id));
  }

  async #watchFiles(): Promise<() => void> {
    const { startWatching } = await import('./watch.ts');
    return startWatching(this.#context, this.#client, this.#options.project, this.#options.services);
  }

  #isMember(service: string): boolean {
    return this.#options.services.includes(service);
  }

  #isShown(service: string): boolean {
    return this.#isMember(service) && this.#options.project.services.get(service)?.attach !== false;
  }

  #acceptShown({ id, attributes }: EngineEvent): LogSource | undefined {
    const service = attributes[LABEL.service] ?? '';
    if (attributes[LABEL.oneoff] === 'True' || !this.#isShown(service)) return undefined;
    return { id, service, name: attributes['name'] ?? id, number: Number(attributes[LABEL.number] ?? 0) };
  }

  async #onEvent(event: EngineEvent): Promise<void> {
    const service = event.attributes[LABEL.service] ?? '';
    if (!this.#isMember(service) || event.attributes[LABEL.oneoff] === 'True') return;
    const name = event.attributes['name'] ?? event.id;
    if (event.action === 'start') this.#alive.set(event.id, { id: event.id, name, service, number: 0 });
    if (event.action === 'die') await this.#onEnd(event.id, name, service, Number(event.attributes['exitCode'] ?? 0));
    if (event.action === 'destroy') this.#forget(event.id);
  }

  async #onEnd(id: string, name: string, service: string, code?: number): Promise<void> {
    if (!this.#alive.has(id)) return;
    const details = await this.#client.inspectContainer(id).catch(() => undefined);
    const exitCode = code ?? details?.exitCode ?? 0;
    const again = details?.state === 'restarting' || details?.state === 'running';
    // Its last words come first; one that runs again goes on writing.
    if (!again) await this.#follower?.settled(id);
    this.#view.remark(name, `exited with code ${exitCode}${again ? ' (restarting)' : ''}`);
    if (again && !this.#options.abortOnExit) return;
    this.#noteStatus(service, exitCode);
    this.#forget(id);
    if (this.#options.abortOnExit && !this.#stopping) await this.#stopAll();
  }

  #noteStatus(service: string, exitCode: number): void {
    const { exitCodeFrom, abortOnExit } = this.#options;
    const decides = exitCodeFrom === undefined ? abortOnExit && !this.#stopping : service === exitCodeFrom;
    if (!decides || this.#sourceEnded) return;
    this.#sourceEnded = true;
    this.#status = exitCode;
  }

  #forget(id: string): void {
    this.#alive.delete(id);
    // While files are watched, a container may be replaced: the end of the last one is not the end.
    if (this.#alive.size === 0 && !(this.#options.watchFiles && !this.#stopping)) this.#finished.resolve();
  }

  #interrupt(count: number): void {
    this.#interrupted = true;
    if (count === 1) {
      this.#context.output.note('\n Stopping… (press ctrl-C again to kill)');
      void this.#stopAll();
    } else if (count === 2) {
      this.#context.output.note('\n Killing…');
      for (const id of this.#alive.keys()) void this.#client.killContainer(id, 'SIGKILL').catch(() => undefined);
    } else {
      this.#hardStop.abort();
      process.exit(130);
    }
  }

  async #stopAll(): Promise<void> {
    this.#stopping = true;
    const { project, services, timeout } = this.#options;
    try {
      const have = await observe(this.#client, project.name);
      await executePlan({ client: this.#client, plan: planStop(have, services, timeout), have });
    } catch (error) {
      this.#context.output.note(` warning: stopping failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    // An event may have been lost with the connection: what is stopped is stopped.
    this.#alive.clear();
    this.#finished.resolve();
  }
}
