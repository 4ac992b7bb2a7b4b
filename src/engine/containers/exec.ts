import { describeError, type ExecId, parseObjectId, TscError } from '../../core/index.ts';
import { newObjectId, type ProcessIdentity, removeTree } from '../../host/index.ts';
import type { ExecDetails, ExecService, ExecSession, ExecSpec } from './container-service.ts';
import { type ContainerContext, logCut, publishContainerEvent } from './context.ts';
import { writeExec } from './exec-spec.ts';
import type { LiveContainer } from './live-container.ts';
import type { ProcessMonitor } from './process-monitor.ts';
import { createSession, type PendingSession } from './session.ts';
import { classifyStartFailure } from './start-failure.ts';

interface Exec {
  readonly id: ExecId;
  readonly container: LiveContainer;
  readonly spec: ExecSpec;
  phase: 'created' | 'starting' | 'running' | 'ended';
  exitCode: number | null;
  monitor: ProcessMonitor | undefined;
  readonly ended: PromiseWithResolvers<number>;
}

/** More ended ones than this are forgotten, oldest first. */
const KEPT_ENDED = 1000;

/** Exec sessions of all containers. They live in memory: a client that asks for one is gone with the daemon anyway. */
export class ExecSessions implements ExecService {
  readonly #context: ContainerContext;
  readonly #execs = new Map<string, Exec>();

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  /** Whether any is running. */
  get isBusy(): boolean {
    return [...this.#execs.values()].some((exec) => exec.phase === 'starting' || exec.phase === 'running');
  }

  async create(containerRef: string, spec: ExecSpec): Promise<ExecId> {
    const container = this.#context.table.get(containerRef);
    if (spec.command.length === 0 || spec.command[0] === '')
      throw new TscError('exec/invalid', 'no exec command specified');
    requireRunning(container);
    const id = newObjectId();
    const ended = Promise.withResolvers<number>();
    ended.promise.catch(() => undefined);
    this.#execs.set(id, { id, container, spec, phase: 'created', exitCode: null, monitor: undefined, ended });
    container.execIds.add(id);
    this.#publish('exec_create', container, id, spec);
    this.#forgetOld();
    return id;
  }

  async startDetached(id: string): Promise<void> {
    const exec = this.#accept(id);
    await this.#launch(exec, undefined).catch((cause) => {
      throw this.#fail(exec, cause);
    });
  }

  start(id: string): ExecSession {
    const exec = this.#accept(id);
    const pending = openSession(exec, () => logCut(this.#context, exec.container));
    const started = this.#launch(exec, pending).catch((cause) => {
      pending.abandon();
      throw this.#fail(exec, cause);
    });
    // Whoever only reads the streams sees them end.
    started.catch(() => undefined);
    return { ...pending.session, started };
  }

  #accept(id: string): Exec {
    const exec = this.#get(id);
    if (exec.phase !== 'created') throw new TscError('exec/conflict', `exec ${id.slice(0, 12)} was already started`);
    requireRunning(exec.container);
    exec.phase = 'starting';
    return exec;
  }

  async resize(id: string, rows: number, columns: number): Promise<void> {
    const exec = this.#get(id);
    if (!exec.monitor) throw new TscError('exec/conflict', `exec ${id.slice(0, 12)} is not running`);
    await exec.monitor.resize(rows, columns);
  }

  inspect(id: string): ExecDetails {
    const exec = this.#get(id);
    return {
      id: exec.id,
      containerId: exec.container.id,
      spec: exec.spec,
      running: exec.phase === 'running' || exec.phase === 'starting',
      exitCode: exec.exitCode,
      pid: exec.phase === 'running' ? (exec.monitor?.process.pid ?? 0) : 0,
    };
  }

  async wait(id: string, signal?: AbortSignal): Promise<number> {
    const { ended } = this.#get(id);
    if (!signal) return ended.promise;
    const cancelled = new Promise<never>((_, reject) => {
      const give = () => reject(new TscError('exec/cancelled', 'the wait was given up'));
      if (signal.aborted) give();
      else signal.addEventListener('abort', give, { once: true });
    });
    return Promise.race([ended.promise, cancelled]);
  }

  async #launch(exec: Exec, pending: PendingSession | undefined): Promise<void> {
    const context = this.#context;
    const orders = await writeExec(context, exec.container, exec.id, exec.spec);
    const monitor = await context.spawner.spawn(orders.file, orders.runDirectory);
    exec.monitor = monitor;
    const begun = Promise.withResolvers<void>();
    void Promise.all([monitor.exited, begun.promise]).then(async ([record]) => {
      monitor.close();
      // Without its monitor nobody reads its output or knows its end: it must not go on.
      if (!record && monitor.process.pid > 0) await this.#endOrphan(exec, monitor.process);
      if (exec.phase === 'running') this.#end(exec, record?.exitCode ?? 255);
      await removeTree(orders.runDirectory).catch(() => undefined);
    });
    try {
      await pending?.bind(monitor);
      await monitor.start();
      exec.phase = 'running';
      this.#publish('exec_start', exec.container, exec.id, exec.spec);
    } catch (error) {
      await monitor.kill(9).catch(() => context.spawner.abandon(orders.runDirectory));
      throw error;
    } finally {
      begun.resolve();
    }
  }

  async #endOrphan({ id, container }: Exec, process: ProcessIdentity): Promise<void> {
    const { logger, spawner } = this.#context;
    const fields = { exec: id, container: container.id, pid: process.pid };
    logger.warn(fields, 'the monitor of an exec was lost; its process is ended');
    await spawner
      .endOrphan(process)
      .catch((error) => logger.error({ ...fields, error: describeError(error) }, 'cannot end the process of an exec'));
  }

  #fail(exec: Exec, cause: unknown): TscError {
    const { exitCode, error } = classifyStartFailure(cause, exec.spec.command[0] ?? '');
    this.#end(exec, exitCode === 128 ? 126 : exitCode);
    const kind = error.kind === 'invalid' ? 'exec/invalid' : 'exec/failed';
    return new TscError(kind, `cannot exec in container ${exec.container.record.name}: ${describeError(error)}`, {
      cause,
    });
  }

  #end(exec: Exec, exitCode: number): void {
    exec.phase = 'ended';
    exec.exitCode = exitCode;
    exec.container.execIds.delete(exec.id);
    publishContainerEvent(this.#context, exec.container, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
    exec.ended.resolve(exitCode);
  }

  #get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (!exec) throw new TscError('exec/not-found', `no such exec instance: ${id}`);
    return exec;
  }

  #publish(action: string, container: LiveContainer, execID: string, spec: ExecSpec): void {
    publishContainerEvent(this.#context, container, `${action}: ${spec.command.join(' ')}`, {
      execID: parseObjectId(execID),
    });
  }

  #forgetOld(): void {
    const ended = [...this.#execs.values()].filter((exec) => exec.phase === 'ended');
    for (const exec of ended.slice(0, Math.max(0, ended.length - KEPT_ENDED))) this.#execs.delete(exec.id);
  }
}

function openSession({ spec, ended }: Exec, onCut: () => void): PendingSession {
  return createSession({
    stdin: spec.attachStdin ?? false,
    stdout: spec.attachStdout ?? true,
    stderr: spec.attachStderr ?? true,
    logs: false,
    stream: true,
    tty: spec.tty ?? false,
    settled: ended.promise,
    onCut,
  });
}

function requireRunning(container: LiveContainer): void {
  const { status } = container.state;
  if (status === 'running') return;
  throw new TscError(
    'exec/conflict',
    `container ${container.record.name} is ${status === 'paused' ? 'paused' : 'not running'}`,
    {
      hint: status === 'paused' ? 'unpause it first' : 'start it first',
    },
  );
}
