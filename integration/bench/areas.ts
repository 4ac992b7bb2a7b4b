import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { logs } from './area-logs.ts';
import { names } from './area-names.ts';
import { type Contender, callOk, memoryOf, runAgainst } from './contender.ts';
import { type Measure, timed } from './measure.ts';

/** What one area measures on the given contenders; `directory` is for its files. */
export type Area = (contenders: readonly Contender[], directory: string) => Measure[];

const IMAGE = 'bench:latest';

const byName = (contenders: readonly Contender[]) => (name: string) => {
  const found = contenders.find((contender) => contender.name === name);
  if (!found) throw new Error(`no contender ${name}`);
  return found;
};

/** One container through the API and through the command line; memory. */
const engine: Area = (contenders, directory) => {
  const find = byName(contenders);
  return [
    {
      name: 'api: create, start, wait, remove of true',
      rounds: 20,
      once: (name) => timed(() => runThroughApi(find(name))),
    },
    {
      name: 'docker cli: run --rm true',
      once: (name) =>
        timed(() => runAgainst(find(name), [...find(name).docker, 'run', '--rm', IMAGE, 'true'], directory)),
    },
    {
      name: 'engine memory, idle',
      unit: 'MiB',
      rounds: 3,
      once: async (name) => memoryOf(find(name)),
    },
    {
      name: 'engine memory per running container',
      unit: 'MiB',
      rounds: 2,
      once: (name) => memoryPerContainer(find(name)),
    },
  ];
};

async function runThroughApi(contender: Contender): Promise<void> {
  const { Id } = (await callOk(contender, 'POST', '/containers/create', { Image: IMAGE, Cmd: ['true'] })) as {
    Id: string;
  };
  await callOk(contender, 'POST', `/containers/${Id}/start`);
  await callOk(contender, 'POST', `/containers/${Id}/wait`);
  await callOk(contender, 'DELETE', `/containers/${Id}`);
}

async function memoryPerContainer(contender: Contender): Promise<number> {
  const count = 10;
  const before = memoryOf(contender);
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const { Id } = (await callOk(contender, 'POST', '/containers/create', {
      Image: IMAGE,
      Cmd: ['sleep', '3600'],
    })) as { Id: string };
    await callOk(contender, 'POST', `/containers/${Id}/start`);
    ids.push(Id);
  }
  const after = memoryOf(contender);
  for (const id of ids) await callOk(contender, 'DELETE', `/containers/${id}?force=1`);
  return (after - before) / count;
}

/** `up -d` and `down` of stacks of several sizes, the whole process. */
const compose: Area = (contenders, directory) => {
  const find = byName(contenders);
  const single = join(directory, 'single');
  mkdirSync(single, { recursive: true });
  writeFileSync(join(single, 'compose.yaml'), stackOf(1));
  const runOnce: Measure = {
    name: 'compose cli: run --rm true',
    once: (name) =>
      timed(() =>
        runAgainst(find(name), [...find(name).compose, '-p', 'benchrun', 'run', '--rm', '-T', 's0', 'true'], single),
      ),
  };
  const stacks = [1, 5, 20].flatMap((size) => {
    const project = join(directory, `s${size}`);
    mkdirSync(project, { recursive: true });
    writeFileSync(join(project, 'compose.yaml'), stackOf(size));
    const run = (name: string, ...args: string[]) =>
      runAgainst(find(name), [...find(name).compose, '-p', `bench${size}`, ...args], project);
    let started = '';
    return [
      {
        name: `up -d, ${size} services`,
        rounds: size === 20 ? 5 : 8,
        once: async (name: string) => {
          started = name;
          const took = await timed(() => run(name, 'up', '-d'));
          await run(name, 'down', '-t', '0');
          return took;
        },
      },
      {
        name: `up -d, nothing to do, ${size} services`,
        rounds: 5,
        once: async (name: string) => {
          await run(name, 'up', '-d');
          const took = await timed(() => run(name, 'up', '-d'));
          await run(name, 'down', '-t', '0');
          return took;
        },
      },
      {
        name: `down, ${size} services`,
        rounds: size === 20 ? 5 : 8,
        once: async (name: string) => {
          if (started === '') throw new Error('down is measured after up');
          await run(name, 'up', '-d');
          return timed(() => run(name, 'down', '-t', '0'));
        },
      },
    ];
  });
  return [runOnce, ...stacks];
};

function stackOf(size: number): string {
  const services = Array.from(
    { length: size },
    (_, index) => `  s${index}:\n    image: ${IMAGE}\n    command: sleep 3600\n`,
  );
  return `services:\n${services.join('')}`;
}

/** The areas by the name given on the command line. */
export const AREAS: Readonly<Record<string, Area>> = { engine, compose, logs, names };
