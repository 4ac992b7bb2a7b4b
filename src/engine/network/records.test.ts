import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRecords } from './records.ts';

const id = (digit: string) => digit.repeat(64);

describe('records', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tsc-records-'));
    await openRecords(directory).load();
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const pool = { subnet: '172.20.1.0/24', gateway: '172.20.1.1', auxiliary: {} };
  const pool6 = { subnet: 'fd00:1::/64', gateway: 'fd00:1::1', auxiliary: {} };
  const write = (place: string, name: string, value: object) =>
    writeFile(join(directory, place, `${name}.json`), JSON.stringify(value));

  it('without IPv6 (of older versions) and with it are read; damaged ones are named and left', async () => {
    await write('networks', id('1'), { id: id('1'), name: 'old', pool, bridge: 'tsc-1' });
    await write('networks', id('2'), { id: id('2'), name: 'new', pool, pool6, bridge: 'tsc-2' });
    await write('networks', id('3'), { id: id('3'), name: 'mixed', pool, pool6: pool, bridge: 'tsc-3' });
    await write('networks', id('4'), { id: id('4'), name: 'x', pool, pool6: { ...pool6, ipRange: '; flush ruleset' } });
    const attachment = { containerId: id('a'), name: 'a', bound: [], active: false };
    await write('endpoints', id('a'), { ...attachment, endpoints: [{ address: '172.20.1.2' }] });
    await write('endpoints', id('b'), { ...attachment, endpoints: [{ address: '172.20.1.3', address6: 'fd00:1::3' }] });
    await write('endpoints', id('c'), { ...attachment, endpoints: [{ address: '172.20.1.4', address6: 'fd00:1::g' }] });
    const loaded = await openRecords(directory).load();
    expect(loaded.networks.map(({ name }) => name).toSorted()).toEqual(['new', 'old']);
    expect(loaded.networks.find(({ name }) => name === 'new')?.pool6).toEqual(pool6);
    expect(loaded.attachments).toHaveLength(2);
    expect(loaded.notes).toHaveLength(3);
  });
});
