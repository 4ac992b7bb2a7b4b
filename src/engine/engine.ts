import { join } from 'node:path';
import { describeError, isKind } from '../core/index.ts';
import { type Clock, listDirectory, makeDirectory, systemClock } from '../host/index.ts';
import { openRegistry } from '../registry/index.ts';
import { applyChanges } from './build/index.ts';
import { appArmor, type ContainerRoom, openContainers } from './containers/index.ts';
import type { CreateEngine, Engine, EngineLogger, EngineOptions } from './engine-face.ts';
import { gatherInfo, readEngineId } from './engine-info.ts';
import { createEventLog, type EventLog } from './events/index.ts';
import { openImageStore } from './images/index.ts';
import { openLayerStore, openLayerTool } from './layers/index.ts';
import { createNetworkService, type NetworkService } from './network/index.ts';
import { withImageEvents, withNetworkEvents } from './publish-events.ts';
import { KeeperLink } from './runtime/index.ts';
import { createVolumeService } from './volumes/index.ts';
import { watchResolver } from './watch-resolver.ts';

/** How often the firewall table is looked after while containers run. */
const FIREWALL_CHECK_MS = 1_000;
/** The same, when it cannot be looked at. */
const FIREWALL_RETRY_MS = 10_000;

/**
 * Opens the engine on its directories. Order matters: networks first learn which namespaces are alive, then containers are
 * found again, and only then restart policies begin to act.
 */
export const createEngine: CreateEngine = async (options) => {
  const { dataDir, runDir, instance, nativeDir, logger } = options;
  const clock = options.clock ?? systemClock;
  await makeDirectory(dataDir);
  await makeDirectory(runDir);
  const keeper = new KeeperLink(options.keeper);
  const events = createEventLog(clock);
  const tool = openLayerTool({ program: join(nativeDir, 'tscompose-layer') });
  const layers = await openLayerStore({ directory: join(dataDir, 'layers'), tool });
  const registry = options.registry ?? openRegistry();
  const stored = await openImageStore({ directory: join(dataDir, 'images'), layers, registry, clock, applyChanges });
  const images = withImageEvents(stored, events);
  const networks = openNetworks(options, { keeper, events, clock });
  const room = await openContainers({
    instance,
    directory: join(dataDir, 'containers'),
    runDir,
    keeper,
    images,
    layers,
    networks,
    openVolumes: (usersOf) => createVolumeService({ directory: join(dataDir, 'volumes'), events, clock, usersOf }),
    events,
    clock,
    logger,
  });
  // Half-made containers are gone by now; one whose record is damaged keeps its place.
  const present = new Set(await listDirectory(join(dataDir, 'containers')));
  const report = await networks.recover((id) => present.has(id));
  for (const note of report.notes) logger.info({ instance }, note);
  await room.recover(report.alive);
  const id = await readEngineId(dataDir);
  const stop = new AbortController();
  const findings = watchFirewall(networks, room, logger, { clock, signal: stop.signal });
  void watchResolver({ networks, room, logger, clock }, stop.signal);

  const engine: Engine = {
    containers: room.containers,
    exec: room.exec,
    images: {
      ...images,
      remove: (text, request) => images.remove(text, { ...request, usersOf: room.usersOfImage }),
      prune: (request) => images.prune({ ...request, usersOf: room.usersOfImage }),
    },
    layers,
    networks,
    volumes: room.volumes,
    events,
    runStep: room.runStep,
    info: async () => {
      const [{ length }, armor] = await Promise.all([images.list(), appArmor()]);
      return gatherInfo({ id, options, clock, counts: room.counts(), images: length, appArmor: armor, ...findings });
    },
    isBusy: () => room.isBusy(),
    async detach() {
      stop.abort();
      await room.detach();
      await keeper[Symbol.asyncDispose]();
    },
    async shutdown({ timeoutSeconds } = {}) {
      stop.abort();
      await room.stopAll(timeoutSeconds);
      await networks.dismantle();
      await room.detach();
      await keeper.shutdown();
    },
  };
  return engine;
};

function openNetworks(
  { instance, dataDir, network }: EngineOptions,
  parts: { readonly keeper: KeeperLink; readonly events: EventLog; readonly clock: Clock },
): NetworkService {
  const { keeper, events, clock } = parts;
  return withNetworkEvents(
    createNetworkService({ keeper, instance, dataDirectory: dataDir, clock, ...network }),
    events,
  );
}

/** What the last look at other firewalls found; nothing is known before the first container runs. */
interface Findings {
  advice: readonly string[];
}

/** Somebody else's firewall reload may take our table away; until it is back, nothing of ours may be open. */
function watchFirewall(
  networks: NetworkService,
  room: ContainerRoom,
  logger: EngineLogger,
  until: { readonly clock: Clock; readonly signal: AbortSignal },
): Findings {
  const found: Findings = { advice: [] };
  void keepFirewall({ networks, room, logger, found, ...until });
  return found;
}

async function keepFirewall({
  networks,
  room,
  logger,
  found,
  clock,
  signal,
}: {
  readonly networks: NetworkService;
  readonly room: ContainerRoom;
  readonly logger: EngineLogger;
  readonly found: Findings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  let next = FIREWALL_CHECK_MS;
  while (!signal.aborted) {
    if (next > 0) await clock.sleep(next, signal).catch(() => undefined);
    next = FIREWALL_CHECK_MS;
    if (!room.isBusy()) continue;
    try {
      const advice = await networks.advice();
      for (const line of advice) if (!found.advice.includes(line)) logger.warn({}, line);
      found.advice = advice;
      next = (await networks.watchFirewall()) === 'idle' ? FIREWALL_CHECK_MS : 0;
      if (await networks.checkFirewall()) logger.warn({}, 'the firewall table was changed by somebody; it is back');
    } catch (error) {
      if (isKind(error, 'unavailable')) return;
      next = FIREWALL_RETRY_MS;
      logger.error({ error: describeError(error) }, 'cannot check the firewall table');
    }
  }
}
