import type { Measure } from './measure.ts';
import { HOST, HTTP_PORT, IPERF_PORT, runIn, type Site } from './network.ts';

const SECONDS = 2;

/** What passes in how much time: streams by iperf3, requests by wrk. */
export function traffic(sites: readonly Site[]): readonly Measure[] {
  const at = (name: string): Site => {
    const site = sites.find(({ engine }) => engine.name === name);
    if (!site) throw new Error(`no contender ${name}`);
    return site;
  };
  const stream = (name: string, from: (site: Site) => readonly [namespace: string, address: string]): Measure => ({
    name: `iperf3 ${name}`,
    unit: 'Gbit/s',
    rounds: 5,
    moreIsBetter: true,
    once: (engine) => iperf(...from(at(engine))),
  });
  const requests = (name: string, headers: readonly string[]): Measure => ({
    name: `HTTP through a port on 127.0.0.1, ${name}`,
    unit: 'requests/s',
    rounds: 5,
    moreIsBetter: true,
    once: (engine) => wrk(at(engine).host, headers),
  });
  return [
    stream('container to container', ({ client, server }) => [client, server]),
    stream('through a port from a LAN neighbour', ({ neighbour }) => [neighbour, HOST]),
    stream('through a port on 127.0.0.1', ({ host }) => [host, '127.0.0.1']),
    requests('kept connections', []),
    requests('new connections', ['-H', 'Connection: close']),
  ];
}

async function iperf(namespace: string, address: string): Promise<number> {
  const command = ['iperf3', '-c', address, '-p', String(IPERF_PORT), '-t', String(SECONDS), '-J'];
  const { end } = JSON.parse(await runIn(namespace, ...command));
  return end.sum_received.bits_per_second / 1e9;
}

async function wrk(namespace: string, headers: readonly string[]): Promise<number> {
  const command = ['wrk', '-t', '1', '-c', '16', '-d', `${SECONDS}s`, ...headers, `http://127.0.0.1:${HTTP_PORT}/`];
  const text = await runIn(namespace, ...command);
  const failed = /Non-2xx.*|Socket errors:.*(connect|read|write) [1-9].*/.exec(text);
  if (failed) throw new Error(`wrk: ${failed[0]}`);
  return Number(/^Requests\/sec:\s+([\d.]+)/m.exec(text)?.[1]);
}
