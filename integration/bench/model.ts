import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { launcherFlags } from '../../src/bundle/launcher-flags.ts';
import { runProgram } from '../../src/host/index.ts';
import { peer } from '../kit/peers.ts';
import { type Measure, timed } from './measure.ts';

/** A measure of the compose model: it needs no engine, so it names its own contenders. */
export interface ModelMeasure {
  readonly contenders: readonly string[];
  readonly measure: Measure;
}

const ROOT = resolve(import.meta.dirname, '../..');
const OURS = 'tscompose';
const NODE = 'node -e 0';
const PEER = 'docker compose 2.40';

/** Loading and `config` of a small and of a large application; the whole process beside an empty one. */
export async function modelMeasures(directory: string): Promise<readonly ModelMeasure[]> {
  const small = writeSmall(join(directory, 'model-small'));
  const large = writeLarge(join(directory, 'model-large'));
  const reference = await peer('docker-compose-2');
  const peers = 'path' in reference ? [PEER] : [];
  const commands: Readonly<Record<string, readonly string[]>> = {
    [OURS]: [join(ROOT, 'src/launch/tscompose'), 'config', '-q'],
    [NODE]: [join(ROOT, 'src/launch/node'), '-e', '0'],
    ...('path' in reference && { [PEER]: [reference.path, 'config', '-q'] }),
  };
  const whole = (cwd: string) => (name: string) => timed(() => runIn(cwd, commands[name] ?? []));
  // What a load takes longer than a command that loads nothing: for a large one, the scatter of a process is small.
  const added = (cwd: string) => async () => {
    const idle = await timed(() => runIn(cwd, [join(ROOT, 'src/launch/tscompose'), 'version']));
    return (await whole(cwd)(OURS)) - idle;
  };
  return [
    {
      contenders: [OURS, NODE, ...peers],
      measure: { name: 'config, 5 services, process', rounds: 20, once: whole(small) },
    },
    {
      contenders: [OURS, ...peers],
      measure: { name: 'config, 1,000 services, process', rounds: 5, once: whole(large) },
    },
    { contenders: [OURS], measure: { name: 'load, 5 services, cold', rounds: 10, once: () => loadInside(small) } },
    { contenders: [OURS], measure: { name: 'load, 1,000 services, cold', rounds: 5, once: added(large) } },
  ];
}

async function runIn(cwd: string, [file = '', ...args]: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(file, args, { cwd });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.trim().slice(-500)}`);
  return stdout;
}

/** The first load of a fresh process, without its start-up. */
async function loadInside(cwd: string): Promise<number> {
  const script = join(import.meta.dirname, 'load-once.ts');
  const said = await runIn(cwd, [join(ROOT, 'src/launch/node'), ...launcherFlags('command'), script]);
  return Number(said.trim().split('\n').at(-1));
}

function writeSmall(folder: string): string {
  mkdirSync(folder);
  const text = `services:
  web: {image: "nginx:\${TAG:-1}", ports: ["80:80"], depends_on: {api: {condition: service_healthy}}}
  api: {build: ./api, environment: {A: 1}, healthcheck: {test: [CMD, x], interval: 5s}, volumes: ["./src:/src"]}
  db: {image: "postgres:16", volumes: ["data:/var/lib/postgresql/data"]}
  cache: {image: "redis:7"}
  worker: {extends: api, command: "worker --all"}
volumes: {data: }
`;
  writeFileSync(join(folder, 'compose.yaml'), text);
  return folder;
}

/** Ten files of 100 services each, included. */
function writeLarge(folder: string): string {
  mkdirSync(folder);
  const files = Array.from({ length: 10 }, (_, index) => `part${index}.yaml`);
  for (const [index, file] of files.entries()) writeFileSync(join(folder, file), largePart(index));
  writeFileSync(join(folder, 'compose.yaml'), `include: [${files.join(', ')}]\nservices: {top: {image: x}}\n`);
  return folder;
}

function largePart(part: number): string {
  const services = Array.from({ length: 100 }, (_, index) => {
    const name = `s${part}x${index}`;
    return [
      `  ${name}:`,
      `    image: x:${index}`,
      '    environment: {<<: *e, N: 1}',
      `    ports: ["${10_000 + part * 100 + index}:80"]`,
      `    volumes: ["data${part}:/data", "./src${index}:/src:ro"]`,
      `    depends_on: [${index === 0 ? '' : `s${part}x${index - 1}`}]`,
      '    healthcheck: {test: [CMD, x], interval: 5s}',
    ].join('\n');
  });
  return `x-e: &e {A: "1", B: "\${A:-x}"}\nservices:\n${services.join('\n')}\nvolumes: {data${part}: }\n`;
}
