import { type Contender, callOk } from './contender.ts';
import { type Measure, timed } from './measure.ts';

/** Within what Docker's address pools give, beside the bench's own networks. */
const BATCH = 10;
const MANY = 100;

async function create(engine: Contender, name: string): Promise<void> {
  await callOk(engine, 'POST', '/networks/create', { Name: name });
}

async function remove(engine: Contender, name: string): Promise<void> {
  await callOk(engine, 'DELETE', `/networks/${name}`);
}

/** One network, and the networks of a `down`, which asks for all of them at once. */
export function networkCosts(engines: readonly Contender[]): readonly Measure[] {
  const find = (name: string): Contender => {
    const engine = engines.find((candidate) => candidate.name === name);
    if (!engine) throw new Error(`no contender ${name}`);
    return engine;
  };
  const names = Array.from({ length: BATCH }, (_, index) => `batch${index}`);
  return [
    {
      name: 'network create',
      once: async (name) => {
        const took = await timed(() => create(find(name), 'one'));
        await remove(find(name), 'one');
        return took;
      },
    },
    {
      name: 'network remove',
      once: async (name) => {
        await create(find(name), 'one');
        return timed(() => remove(find(name), 'one'));
      },
    },
    {
      name: `network remove, ${BATCH} at once`,
      rounds: 5,
      once: async (name) => {
        for (const network of names) await create(find(name), network);
        return timed(() => Promise.all(names.map((network) => remove(find(name), network))));
      },
    },
  ];
}

/** Whether the hundredth network costs what the first does: create and remove, the first ten and the last ten of them. */
export function manyNetworks(engines: readonly Contender[]): readonly Measure[] {
  const [engine] = engines;
  if (!engine) return [];
  const tens = new Map<string, number>();
  const run = async (): Promise<void> => {
    const names = Array.from({ length: MANY }, (_, index) => `many${index}`);
    for (const [verb, act] of [
      ['create', create],
      ['remove', remove],
    ] as const) {
      for (let first = 0; first < MANY; first += 10) {
        const took = await timed(async () => {
          for (const name of names.slice(first, first + 10)) await act(engine, name);
        });
        tens.set(`${verb} ${first + 1}`, took / 10);
      }
    }
  };
  const rows = ['create 1', 'create 91', 'remove 1', 'remove 91'];
  return rows.map((key, index) => {
    const [verb, first] = key.split(' ');
    return {
      name: `network ${verb}, number ${first} to ${Number(first) + 9} of ${MANY}`,
      rounds: 3,
      once: async () => {
        if (index === 0 || !tens.has(key)) await run();
        return tens.get(key) ?? Number.NaN;
      },
    };
  });
}
