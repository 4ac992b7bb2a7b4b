import { runProgram } from '../../src/host/index.ts';
import { ASK } from '../kit/bundle.ts';
import type { Area } from './areas.ts';
import { type Contender, callOk } from './contender.ts';
import type { Measure } from './measure.ts';

const IMAGE = 'bench:latest';
const SECONDS = '2';
const REPLICAS = 3;

interface Answers {
  readonly qps: number;
  readonly p99: number;
  readonly lost: number;
  readonly refused: number;
}

/** Names of a network asked from inside a container: questions per second, and how late the slowest hundredth is. */
export const names: Area = (contenders) => {
  const find = (name: string) => {
    const found = contenders.find((contender) => contender.name === name);
    if (!found) throw new Error(`no contender ${name}`);
    return found;
  };
  return [1, 32].flatMap((inFlight): Measure[] => {
    // One run gives both numbers.
    const late = new Map<string, number[]>();
    return [
      {
        name: `names: service of ${REPLICAS}, ${inFlight} in flight`,
        unit: 'q/s',
        moreIsBetter: true,
        rounds: 5,
        once: async (name) => {
          const answers = await askService(find(name), inFlight);
          late.set(name, [...(late.get(name) ?? []), answers.p99]);
          return answers.qps;
        },
      },
      {
        name: `names: the same, slowest hundredth`,
        unit: 'µs',
        rounds: 5,
        once: async (name) => late.get(name)?.shift() ?? Number.NaN,
      },
    ];
  });
};

/** Process of a container that asks, for the life of the bench. */
const askers = new Map<string, Promise<number>>();

async function openService(contender: Contender): Promise<number> {
  // Internal: the routing of the machine stays as it is.
  await callOk(contender, 'POST', '/networks/create', { Name: 'bench-names', Internal: true });
  const start = async (name: string) => {
    const { Id } = (await callOk(contender, 'POST', `/containers/create?name=${name}`, {
      Image: IMAGE,
      Cmd: ['sleep', '3600'],
      HostConfig: { NetworkMode: 'bench-names' },
      NetworkingConfig: { EndpointsConfig: { 'bench-names': { Aliases: ['web'] } } },
    })) as { Id: string };
    await callOk(contender, 'POST', `/containers/${Id}/start`);
    return Id;
  };
  const ids: string[] = [];
  for (let index = 1; index <= REPLICAS; index++) ids.push(await start(`bench-names-${index}`));
  const { State } = (await callOk(contender, 'GET', `/containers/${ids[0]}/json`)) as { State: { Pid: number } };
  return State.Pid;
}

async function askService(contender: Contender, inFlight: number): Promise<Answers> {
  const opening = askers.get(contender.name) ?? openService(contender);
  askers.set(contender.name, opening);
  const netns = `--net=/proc/${await opening}/ns/net`;
  const asked = await runProgram('/usr/bin/nsenter', [netns, ASK, '127.0.0.11', 'web', String(inFlight), SECONDS]);
  if (asked.status !== 0) throw new Error(`${contender.name}: ${asked.stderr}`);
  const answers = JSON.parse(asked.stdout) as Answers;
  if (answers.refused > 0) throw new Error(`${contender.name} refused ${answers.refused} questions`);
  return answers;
}
