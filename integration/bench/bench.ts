import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { startTestDaemon } from '../kit/daemon.ts';
import { busyboxRootfsBytes } from '../kit/images.ts';
import { AREAS } from './areas.ts';
import { type Contender, callOk } from './contender.ts';
import { startDockerd } from './dockerd.ts';
import { LAYER_CONTENDERS, layerMeasures } from './layers.ts';
import { formatResults, type Measure, type Result, runMeasure } from './measure.ts';
import { modelMeasures } from './model.ts';
import { openMonitors } from './monitors.ts';
import { openNetwork } from './network.ts';
import { hybridCover, openRuntimes } from './runtimes.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** `npm run bench -- AREA… [--json FILE]`: us and every peer in turn, medians and ratios of this run only. */
async function main(argv: readonly string[]): Promise<void> {
  const jsonAt = argv.indexOf('--json');
  const jsonFile = jsonAt < 0 ? undefined : argv[jsonAt + 1];
  const names = argv.filter((_, index) => jsonAt < 0 || (index !== jsonAt && index !== jsonAt + 1));
  const known = [...Object.keys(AREAS), 'model', 'runtime', 'monitor', 'layers', 'network'];
  const areas = names.length > 0 ? names : known;
  const unknown = areas.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`unknown area ${unknown.join(', ')}; areas: ${known.join(', ')}`);
  const directory = mkdtempSync('/tmp/tsc-bench-');
  // Where /run is on most machines: in memory, for every engine.
  const runDirectory = mkdtempSync('/dev/shm/tsc-bench-');
  const contenders: Contender[] = [];
  try {
    if (areas.includes('model')) await runModelArea({ directory, jsonFile });
    if (areas.includes('runtime')) await runRuntimeArea({ directory, jsonFile });
    if (areas.includes('monitor') && !areas.includes('runtime')) await runMonitorArea({ directory, jsonFile });
    if (areas.includes('layers')) await runLayersArea({ directory: runDirectory, jsonFile });
    if (areas.includes('network')) await runNetworkArea({ directory, jsonFile }, runDirectory);
    const withEngines = areas.filter((name) => name in AREAS);
    if (withEngines.length === 0) return;
    const dockerd = await startDockerd(directory, runDirectory);
    contenders.push(dockerd);
    contenders.unshift(await startOurs(dockerd.docker, join(runDirectory, 'ours')));
    for (const contender of contenders) {
      await callOk(
        contender,
        'POST',
        '/images/create?fromSrc=-&repo=bench&tag=latest',
        Readable.from([await busyboxRootfsBytes()]),
      );
    }
    for (const name of withEngines) await runArea(name, contenders, { directory, jsonFile });
  } finally {
    for (const contender of contenders) await contender.stop();
    rmSync(directory, { recursive: true, force: true });
    rmSync(runDirectory, { recursive: true, force: true });
  }
}

interface Place {
  readonly directory: string;
  readonly jsonFile: string | undefined;
}

async function runModelArea(place: Place): Promise<void> {
  console.log('\nmodel');
  for (const { measure, contenders } of await modelMeasures(place.directory))
    await runOne('model', measure, contenders, place);
}

async function runLayersArea(place: Place): Promise<void> {
  console.log('\nlayers');
  for (const measure of await layerMeasures(place.directory)) await runOne('layers', measure, LAYER_CONTENDERS, place);
}

/** Runtimes alone, without any engine, then their monitors. */
async function runRuntimeArea(place: Place): Promise<void> {
  const cover = hybridCover();
  if (cover !== undefined) {
    console.log(
      `\nruntime: ${cover} is covered by an empty file, in a mount namespace of the bench: crun refuses the host else`,
    );
    const again = [process.execPath, ...process.execArgv, import.meta.filename, 'runtime'];
    if (place.jsonFile !== undefined) again.push('--json', resolve(place.jsonFile));
    const script = 'mount --bind /dev/null "$1" && shift && exec "$@"';
    const { status } = spawnSync('/usr/bin/unshare', ['-m', '/bin/sh', '-c', script, 'sh', cover, ...again], {
      stdio: 'inherit',
    });
    if (status !== 0) throw new Error(`the runtime area failed: status ${status}`);
    return;
  }
  const { measures, names, close } = await openRuntimes();
  try {
    console.log('\nruntime');
    for (const measure of measures) await runOne('runtime', measure, names, place);
  } finally {
    await close();
  }
  await runMonitorArea(place);
}

/** Monitors alone, over one runtime. */
async function runMonitorArea(place: Place): Promise<void> {
  const { measures, names, close } = await openMonitors();
  try {
    console.log('\nmonitor');
    for (const measure of measures) await runOne('monitor', measure, names, place);
  } finally {
    await close();
  }
}

/** Engines on hosts of their own, since what is measured is the host's network. */
async function runNetworkArea(place: Place, runDirectory: string): Promise<void> {
  const { measures, close } = await openNetwork(place.directory, runDirectory);
  try {
    console.log('\nnetwork');
    for (const { measure, names } of measures) await runOne('network', measure, names, place);
  } finally {
    await close();
  }
}

async function runArea(name: string, contenders: readonly Contender[], place: Place): Promise<void> {
  const names = contenders.map((contender) => contender.name);
  console.log(`\n${name}`);
  for (const measure of AREAS[name]?.(contenders, place.directory) ?? []) await runOne(name, measure, names, place);
}

async function runOne(area: string, measure: Measure, names: readonly string[], { jsonFile }: Place): Promise<void> {
  const results: Result[] = await runMeasure(measure, names);
  console.log(formatResults(results));
  if (jsonFile !== undefined)
    appendFileSync(jsonFile, results.map((row) => `${JSON.stringify({ area, ...row })}\n`).join(''));
}

async function startOurs(docker: readonly string[], runDirectory: string): Promise<Contender> {
  const daemon = await startTestDaemon({ flags: ['--log-level=warn'], runDirectory });
  return {
    name: 'tscompose',
    socket: daemon.socket,
    compose: [join(ROOT, 'src/launch/tscompose')],
    // The same client on both sides, so that the engines differ and nothing else.
    docker,
    pid: daemon.keeperPid,
    directory: daemon.directory,
    stop: async () => {
      await daemon.stop();
    },
  };
}

await main(process.argv.slice(2));
