import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../host/index.ts';
import { createEventLog } from '../events/index.ts';
import { createVolumeService } from './index.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-volumes-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const users = new Map<string, string[]>();
const open = () =>
  createVolumeService({
    directory,
    events: createEventLog(systemClock),
    clock: systemClock,
    usersOf: (name) => users.get(name) ?? [],
  });

describe('volumes', () => {
  it('are made once, survive, and are listed by filter', async () => {
    const volumes = await open();
    const made = await volumes.create({ name: 'data', labels: { a: '1' } });
    expect(await volumes.create({ name: 'data' })).toEqual(made);
    writeFileSync(join(made.mountpoint, 'x'), '1');
    const again = await open();
    expect(again.inspect('data')).toEqual(made);
    expect(again.list({ label: ['a=1'] })).toHaveLength(1);
    expect(again.list({ label: ['a=2'] })).toEqual([]);
  });

  it('in use stay', async () => {
    const volumes = await open();
    await volumes.create({ name: 'busy' });
    users.set('busy', ['c1']);
    await expect(volumes.remove('busy')).rejects.toMatchObject({ code: 'volume/in-use' });
    expect(volumes.list({ dangling: true })).toEqual([]);
    users.delete('busy');
    await volumes.remove('busy');
    expect(() => volumes.inspect('busy')).toThrow('no such volume');
    await volumes.remove('busy', { force: true });
  });

  it('without a name are pruned first', async () => {
    const volumes = await open();
    const anonymous = await volumes.create({});
    await volumes.create({ name: 'named' });
    expect(anonymous.name).toMatch(/^[0-9a-f]{64}$/);
    expect((await volumes.prune()).deleted).toEqual([anonymous.name]);
    expect((await volumes.prune({ all: true })).deleted).toEqual(['named']);
  });

  it.each(['a', '../x', 'a/b', '.x', 'x y', `${'x'.repeat(256)}`])('refuse the name %j', async (name) => {
    await expect((await open()).create({ name })).rejects.toMatchObject({ code: 'volume/invalid' });
  });

  it('refuse what is not offered', async () => {
    const volumes = await open();
    await expect(volumes.create({ name: 'xx', driver: 'nfs' })).rejects.toMatchObject({ code: 'volume/unsupported' });
    await expect(volumes.create({ name: 'xx', driverOptions: { type: 'nfs' } })).rejects.toMatchObject({
      code: 'volume/unsupported',
    });
  });
});
