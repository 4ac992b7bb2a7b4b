import { describeError } from '../../core/index.ts';
import { newObjectId, removeTree, timestamp } from '../../host/index.ts';
import type { Readiness } from '../network/index.ts';
import type { ContainerConfig, Healthcheck, HealthResult, HealthState } from './container.ts';
import { type ContainerContext, publishContainerEvent, saveState } from './context.ts';
import { writeExec } from './exec-spec.ts';
import { decodeFrames } from './frames.ts';
import { applyProbe, delayAfter, type HealthTiming, timingOf } from './health-policy.ts';
import type { LiveContainer } from './live-container.ts';
import { ownNetwork } from './network-owner.ts';

const OUTPUT_LIMIT = 4096;

function hasChecks(check: Healthcheck | undefined): check is Healthcheck {
  return check !== undefined && check.test.length > 0 && check.test[0] !== 'NONE';
}

/** What other containers may expect of one that is about to run. */
export function firstReadiness(config: ContainerConfig): Readiness {
  return hasChecks(config.healthcheck) ? 'starting' : 'ready';
}

function readinessOf(status: HealthState['status']): Readiness {
  return status === 'starting' || status === 'unhealthy' ? status : 'ready';
}

/** Begins to probe a container that has just started; replaces the health in its state. */
export function startHealthChecks(context: ContainerContext, container: LiveContainer, known?: HealthState): void {
  const check = container.record.config.healthcheck;
  if (!hasChecks(check)) return;
  container.setState({ health: known ?? { status: 'starting', failingStreak: 0, log: [] } });
  const stop = new AbortController();
  container.health = { stop: () => stop.abort() };
  const signal = AbortSignal.any([stop.signal, context.closing]);
  void probeUntil({ context, container, check, timing: timingOf(check), signal });
}

interface Probing {
  readonly context: ContainerContext;
  readonly container: LiveContainer;
  readonly check: Healthcheck;
  readonly timing: HealthTiming;
  readonly signal: AbortSignal;
}

async function probeUntil(probing: Probing): Promise<void> {
  const { context, container, timing, signal } = probing;
  const began = context.clock.monotonic();
  for (let round = 0; !signal.aborted; round += 1) {
    // A frozen container cannot answer; its probe would only time out.
    if (container.state.status === 'running') {
      const result = await probe(probing);
      if (signal.aborted) return;
      record(probing, result, context.clock.monotonic() - began);
    }
    const elapsed = context.clock.monotonic() - began;
    const wait = delayAfter(timing, container.state.health?.status ?? 'starting', round, elapsed);
    try {
      await context.clock.sleep(wait, signal);
    } catch {
      return;
    }
  }
}

function record({ context, container, timing }: Probing, result: HealthResult, elapsedMs: number): void {
  const before = container.state.health;
  if (!before) return;
  const after = applyProbe(timing, before, result, elapsedMs);
  container.setState({ health: after });
  if (after.status === before.status) return;
  publishContainerEvent(context, container, `health_status: ${after.status}`);
  const warn = (text: string) => (error: unknown) =>
    context.logger.warn({ container: container.id, error: describeError(error) }, text);
  saveState(context, container).catch(warn('cannot save the health of a container'));
  if (!ownNetwork(container)) return;
  context.networks
    .setReadiness(container.id, readinessOf(after.status))
    .catch(warn('cannot publish the health of a container to its networks'));
}

/** One probe; a failure to start it or its timeout is a failed result, not an error. */
async function probe({ context, container, check, timing, signal }: Probing): Promise<HealthResult> {
  const start = timestamp(context.clock);
  const finish = (exitCode: number, output: string): HealthResult => ({
    start,
    end: timestamp(context.clock),
    exitCode,
    output: output.slice(0, OUTPUT_LIMIT),
  });
  const id = newObjectId();
  let runDirectory: string | undefined;
  try {
    const orders = await writeExec(context, container, id, { command: probeCommand(check, container.record.config) });
    runDirectory = orders.runDirectory;
    const monitor = await context.spawner.spawn(orders.file, orders.runDirectory);
    const streams = await monitor.attach({ stdin: false, stdout: true, stderr: true, terminal: false });
    const output = collect(streams.output);
    const timeout = new AbortController();
    const expired = context.clock.sleep(timing.timeoutMs, AbortSignal.any([timeout.signal, signal])).then(
      () => true,
      () => false,
    );
    try {
      await monitor.start();
      const late = await Promise.race([monitor.exited.then(() => false), expired]);
      if (late || signal.aborted) await monitor.kill(9).catch(() => undefined);
      const ended = await monitor.exited;
      return late
        ? finish(-1, `Health check exceeded timeout (${timing.timeoutMs} ms): ${await output}`)
        : finish(ended?.exitCode ?? -1, await output);
    } finally {
      timeout.abort();
      await monitor.kill(9).catch(() => undefined);
      streams.close();
      monitor.close();
    }
  } catch (error) {
    return finish(-1, describeError(error));
  } finally {
    if (runDirectory) await removeTree(runDirectory).catch(() => undefined);
  }
}

function probeCommand(check: Healthcheck, config: ContainerConfig): readonly string[] {
  const [kind, ...rest] = check.test;
  if (kind === 'CMD') return rest;
  if (kind === 'CMD-SHELL') return [...(config.shell ?? ['/bin/sh', '-c']), ...rest];
  return check.test;
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const { data } of decodeFrames(stream)) {
      if (size < OUTPUT_LIMIT) parts.push(data);
      size += data.length;
    }
  } catch {
    // A probe that was cut off keeps what it said.
  }
  return Buffer.concat(parts).toString('utf8');
}
