import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectMonitor, type KeeperLink } from '../../src/engine/runtime/index.ts';
import { pathExists, spawnProgram } from '../../src/host/index.ts';
import { type Bundle, openWorkshop, RUNTIME, type Workshop } from '../kit/bundle.ts';
import { TestKeeper, until } from '../kit/keeper.ts';
import { fetchConmon } from './conmon.ts';
import { type Measure, timed } from './measure.ts';

const LINES = 500_000;
/** A line of it with its share of JSON; fewer bytes in the log mean that lines are missing. */
const LEAST_LOG_BYTES = LINES * 40;
const OURS = 'tscompose';
const PEER = 'conmon 2.1 (forky)';

/** A container under a monitor. */
interface Watched {
  readonly monitorPid: number;
  readonly log: string;
  start(): Promise<void>;
  /** Resolves when the monitor has recorded its end. */
  readonly ended: Promise<unknown>;
  kill(): Promise<void>;
}

type Watch = (bundle: Bundle, directory: string) => Promise<Watched>;

function watchWithOurs(link: KeeperLink): Watch {
  return async (bundle, directory) => {
    const log = join(directory, 'log');
    const orders = {
      kind: 'container',
      id: bundle.id,
      container: bundle.id,
      run_dir: directory,
      runtime: null,
      runtime_root: bundle.options[1],
      bundle: bundle.directory,
      log: { path: log, max_size: 0, max_file: 1 },
    };
    writeFileSync(join(directory, 'orders.json'), JSON.stringify(orders));
    const { pid } = await link.spawn(['monitor', join(directory, 'orders.json')]);
    const monitor = await connectMonitor(join(directory, 'm.sock'));
    return {
      monitorPid: pid,
      log,
      start: async () => void (await monitor.start()),
      ended: monitor.exit.finally(() => monitor.close()),
      kill: () => monitor.kill(9),
    };
  };
}

/** The same runtime below, so that the monitors differ and nothing else. */
function watchWithConmon(program: string): Watch {
  return async (bundle, directory) => {
    const log = join(directory, 'log');
    const pidFile = join(directory, 'pid');
    const options = [
      '--api-version',
      '1',
      '--sync',
      '--no-sync-log',
      '-c',
      bundle.id,
      '-u',
      bundle.id,
      '-n',
      bundle.id,
    ];
    const runtime = ['-r', RUNTIME, '--runtime-arg', '--root', '--runtime-arg', bundle.options[1] ?? ''];
    const places = ['-b', bundle.directory, '-p', pidFile, '-l', `k8s-file:${log}`, '--exit-dir', directory];
    const sockets = ['--socket-dir-path', directory, '--persist-dir', directory];
    const child = spawnProgram(program, [...options, ...runtime, ...places, ...sockets], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await until('the container', () => pathExists(pidFile));
    await until('its creation', async () => (await bundle.runtime('state', bundle.id)).stdout.includes('"created"'));
    return {
      monitorPid: child.pid ?? 0,
      log,
      start: async () => {
        const { status, stderr } = await bundle.runtime('start', bundle.id);
        if (status !== 0) throw new Error(`start: ${stderr}`);
      },
      ended: ended.then(() => bundle.runtime('delete', '--force', bundle.id)),
      kill: async () => void process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL'),
    };
  };
}

const pssOf = (pid: number) =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;

/** A bundle whose container prints the lines. */
function linesBundle(workshop: Workshop): Bundle {
  const bundle = workshop.bundle([], (config) => {
    config.process.args = ['/bin/busybox', 'seq', String(LINES)];
  });
  copyFileSync('/bin/busybox', join(bundle.rootfs, 'bin/busybox'));
  return bundle;
}

/** Monitors alone, the same runtime below each: the way of the log, memory. */
export async function openMonitors(): Promise<{
  readonly names: readonly string[];
  readonly measures: readonly Measure[];
  close(): Promise<void>;
}> {
  const workshop = openWorkshop();
  const keeper = await TestKeeper.start({ instance: 'tscbench' });
  const ways = new Map([[OURS, watchWithOurs(await keeper.link())]]);
  try {
    ways.set(PEER, watchWithConmon(await fetchConmon()));
  } catch (error) {
    console.warn(`${PEER} is not available: ${error}`);
  }
  const lines = linesBundle(workshop);
  const paused = Array.from({ length: 50 }, () => workshop.bundle(['pause']));
  let count = 0;
  const watch = (name: string, bundle: Bundle) => {
    const directory = join(workshop.directory, `m${++count}`);
    mkdirSync(directory, { mode: 0o700 });
    const way = ways.get(name);
    if (!way) throw new Error(`no monitor ${name}`);
    return way(bundle, directory);
  };

  const measures: Measure[] = [
    {
      name: '500,000 short lines to the log, start to recorded end',
      rounds: 10,
      once: async (name) => {
        const one = await watch(name, lines);
        const elapsed = await timed(async () => {
          await one.start();
          await one.ended;
        });
        if (statSync(one.log).size < LEAST_LOG_BYTES) throw new Error(`${name} lost lines`);
        rmSync(one.log);
        return elapsed;
      },
    },
    {
      name: 'monitor memory per container, 50 of them',
      unit: 'MiB',
      rounds: 2,
      once: async (name) => {
        const all: Watched[] = [];
        for (const bundle of paused) all.push(await watch(name, bundle));
        for (const one of all) await one.start();
        const total = all.reduce((sum, one) => sum + pssOf(one.monitorPid), 0);
        for (const one of all) await one.kill();
        await Promise.all(all.map((one) => one.ended));
        return total / all.length;
      },
    },
  ];
  return {
    names: [...ways.keys()],
    measures,
    async close() {
      await keeper.stop();
      await workshop.close();
    },
  };
}
