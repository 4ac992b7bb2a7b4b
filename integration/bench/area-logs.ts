import type { Area } from './areas.ts';
import { type Contender, call, callOk } from './contender.ts';
import { timed } from './measure.ts';

const IMAGE = 'bench:latest';
const LINES = 500_000;
/** The numbers with their newlines and the frame header of each. */
const LEAST_BYTES = LINES * 8 + 3_000_000;

/** Output on its way to the log and back through the API, and `exec` through the API. */
export const logs: Area = (contenders) => {
  const find = (name: string) => {
    const found = contenders.find((contender) => contender.name === name);
    if (!found) throw new Error(`no contender ${name}`);
    return found;
  };
  return [
    {
      name: 'api: 500,000 short lines, start to end',
      rounds: 8,
      once: (name) => writeLines(find(name)),
    },
    {
      name: 'api: 500,000 short lines read back',
      rounds: 8,
      once: (name) => readBack(find(name)),
    },
    {
      name: 'api: exec of true, create to end',
      rounds: 30,
      once: (name) => execTrue(find(name)),
    },
  ];
};

async function create(contender: Contender, command: readonly string[]): Promise<string> {
  const body = { Image: IMAGE, Cmd: command, HostConfig: { LogConfig: { Type: 'json-file', Config: {} } } };
  const { Id } = (await callOk(contender, 'POST', '/containers/create', body)) as { Id: string };
  return Id;
}

const remove = (contender: Contender, id: string) => callOk(contender, 'DELETE', `/containers/${id}?force=1`);

async function writeLines(contender: Contender): Promise<number> {
  const id = await create(contender, ['seq', String(LINES)]);
  const elapsed = await timed(async () => {
    await callOk(contender, 'POST', `/containers/${id}/start`);
    await callOk(contender, 'POST', `/containers/${id}/wait`);
  });
  await remove(contender, id);
  return elapsed;
}

async function readBack(contender: Contender): Promise<number> {
  const id = await create(contender, ['seq', String(LINES)]);
  await callOk(contender, 'POST', `/containers/${id}/start`);
  await callOk(contender, 'POST', `/containers/${id}/wait`);
  const elapsed = await timed(async () => {
    const { body } = await call(contender, 'GET', `/containers/${id}/logs?stdout=1&stderr=1`);
    const size = String(body).length;
    if (size < LEAST_BYTES) throw new Error(`${contender.name} gave ${size} bytes of log`);
  });
  await remove(contender, id);
  return elapsed;
}

/** One container per contender, for the life of the bench; removed with its engine. */
const hosts = new Map<string, string>();

async function execTrue(contender: Contender): Promise<number> {
  const running = hosts.get(contender.name) ?? (await create(contender, ['sleep', '3600']));
  if (!hosts.has(contender.name)) await callOk(contender, 'POST', `/containers/${running}/start`);
  hosts.set(contender.name, running);
  return timed(async () => {
    const { Id } = (await callOk(contender, 'POST', `/containers/${running}/exec`, {
      Cmd: ['true'],
      AttachStdout: true,
    })) as { Id: string };
    await callOk(contender, 'POST', `/exec/${Id}/start`, { Detach: false });
  });
}
