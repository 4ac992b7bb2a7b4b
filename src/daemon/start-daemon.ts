import { createWriteStream } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import { TscError } from '../core/index.ts';
import { createBuildService, createContainerFiles, createEngine, type Engine, openLayerTool } from '../engine/index.ts';
import { systemClock } from '../host/index.ts';
import { enterKeeper } from './enter-keeper.ts';
import { createHandler } from './handle.ts';
import { type DaemonOptions, parseDaemonOptions } from './options.ts';
import { type ApiServer, startServer } from './server.ts';
import { VERSION } from './version.ts';

/** Descriptors the keeper passes: the listening API socket and its control stream. */
const API_SOCKET = 3;
const KEEPER_CONTROL = 4;
const GRACE_MS = 5_000;
const IDLE_CHECK_MS = 5_000;
const KEEPER_LOST = 'the keeper is gone';

/**
 * Runs the daemon under a keeper until it is asked to end or has been idle long enough. `program` is the directory of
 * the running bundle or sources. Settles when everything is let go of; containers live on unless there are none.
 */
export async function startDaemon(argv: readonly string[], program: string): Promise<void> {
  const options = parseDaemonOptions(argv, process.env, program);
  const logger = openLog(options);
  const keeper = openControl();
  const engine = await createEngine({
    dataDir: options.dataDir,
    runDir: options.runDir,
    instance: options.instance,
    nativeDir: options.nativeDir,
    keeper,
    logger,
    network: { addressPools: options.addressPools },
  });
  const build = await createBuildService(engine, options.dataDir);
  const handler = createHandler({
    engine,
    build,
    files: createContainerFiles(
      engine.containers,
      openLayerTool({ program: join(options.nativeDir, 'tscompose-layer') }),
    ),
    instance: options.instance,
    version: VERSION,
    clock: systemClock,
    logger,
  });
  const server = await startServer({ fd: API_SOCKET }, { handler, version: VERSION, logger });
  logger.info({ instance: options.instance, socket: options.socket, pid: process.pid }, 'serving');
  const reason = await waitForEnd(options, engine, { server, keeper });
  logger.info({ reason, busy: engine.isBusy() }, 'leaving');
  await server.close(reason === KEEPER_LOST ? 0 : GRACE_MS);
  const orphaned = reason === KEEPER_LOST && options.replaceKeeper && engine.isBusy();
  await leave(engine, reason);
  // A command may start a keeper at the same moment: the lock lets one of the two live, and either finds the containers.
  if (orphaned) await enterKeeper(argv, program, process.argv[1] ?? import.meta.filename);
}

// Idle: nothing of this instance is left behind, the keeper included. A signal may also mean that the keeper wants
// another daemon in our place: then only what the next one makes again is taken down.
async function leave(engine: Engine, reason: string): Promise<void> {
  if (reason === 'idle') {
    await engine.shutdown();
    return;
  }
  if (!engine.isBusy() && reason !== KEEPER_LOST) await engine.networks.dismantle();
  await engine.detach();
}

function openControl(): Socket {
  try {
    return new Socket({ fd: KEEPER_CONTROL, readable: true, writable: true });
  } catch (error) {
    throw new TscError('daemon/invalid', 'descriptor 4 is not the control stream of a keeper', {
      hint: 'start the daemon with tscomposed',
      cause: error,
    });
  }
}

function openLog(options: DaemonOptions): Logger {
  const settings = {
    level: options.logLevel,
    base: { pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    serializers: { error: describe },
  };
  return options.logFile === undefined
    ? pino(settings, destination({ dest: 2, sync: true }))
    : pino(settings, createWriteStream(options.logFile, { flags: 'a', mode: 0o600 }));
}

function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  return {
    code,
    message: error.message,
    stack: error.stack,
    ...(error.cause !== undefined && { cause: describe(error.cause) }),
  };
}

/**
 * Resolves with the reason: a signal, idleness, or that the keeper was killed: without it nothing can be started.
 */
function waitForEnd(
  options: DaemonOptions,
  engine: Engine,
  { server, keeper }: { readonly server: ApiServer; readonly keeper: Socket },
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  process.once('SIGTERM', () => resolve('SIGTERM'));
  process.once('SIGINT', () => resolve('SIGINT'));
  keeper.once('close', () => resolve(KEEPER_LOST));
  if (options.idleSeconds === 0) return promise;
  let busyUntil = performance.now();
  const timer = setInterval(
    () => {
      const now = performance.now();
      if (engine.isBusy() || server.connections > 0) busyUntil = now;
      const since = Math.max(busyUntil, server.lastActivity);
      if (now - since >= options.idleSeconds * 1000) resolve('idle');
    },
    Math.min(IDLE_CHECK_MS, Math.max(100, options.idleSeconds * 250)),
  );
  timer.unref();
  return promise.finally(() => clearInterval(timer));
}
