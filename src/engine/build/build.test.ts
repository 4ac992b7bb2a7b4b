import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseDockerfile } from '../../dockerfile/index.ts';
import { EMPTY_RUN_CONFIG } from '../images/index.ts';
import { BuildContext, matcher } from './context.ts';
import { selectStages } from './select-stages.ts';
import { applyToConfig } from './stage-config.ts';
import { StepCache, stepKey } from './step-cache.ts';

const directories: string[] = [];
function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'tsc-build-'));
  directories.push(made);
  return made;
}
afterEach(() => {
  for (const made of directories.splice(0)) rmSync(made, { recursive: true, force: true });
});

describe('stages', () => {
  const file = parseDockerfile(
    'ARG BASE=debian\nFROM $BASE AS base\nFROM base AS unused\nRUN x\nFROM golang AS build\nFROM base\nCOPY --from=build /a /b\n',
  );
  const globals = (name: string) => (name === 'BASE' ? 'debian' : undefined);

  it('leaves out what the target does not need', () => {
    const planned = selectStages({ file, globals });
    expect(planned.map(({ stage, base }) => [stage.index, base])).toEqual([
      [0, { kind: 'image', ref: 'debian' }],
      [2, { kind: 'image', ref: 'golang' }],
      [3, { kind: 'stage', index: 0 }],
    ]);
  });

  it('stops at a target by name or number', () => {
    expect(selectStages({ file, globals, target: 'BUILD' }).map((item) => item.stage.index)).toEqual([2]);
    expect(selectStages({ file, globals, target: '1' }).map((item) => item.stage.index)).toEqual([0, 1]);
  });

  it('names the stages when the target is unknown', () => {
    expect(() => selectStages({ file, globals, target: 'tests' })).toThrow(
      expect.objectContaining({ code: 'build/invalid', hint: 'stages: base, unused, build' }),
    );
  });

  it('refuses an empty base with its line', () => {
    expect(() => selectStages({ file, globals: () => undefined })).toThrow(
      'Dockerfile:2: the base image "$BASE" is empty',
    );
  });
});

describe('metadata instructions', () => {
  const apply = (text: string) => {
    const instructions = parseDockerfile(`FROM scratch\n${text}`).stages[0]?.instructions ?? [];
    return instructions.reduce(
      (config, item) => applyToConfig(item, config, (word) => word) ?? config,
      EMPTY_RUN_CONFIG,
    );
  };

  it.each([
    ['ENV A=1\nENV A=2', { env: [...EMPTY_RUN_CONFIG.env, 'A=2'] }],
    ['CMD a\nENTRYPOINT ["b"]', { entrypoint: ['b'], cmd: undefined }],
    ['SHELL ["/bin/bash", "-c"]\nCMD a', { cmd: ['/bin/bash', '-c', 'a'] }],
    ['EXPOSE 80 8000-8001/udp', { exposedPorts: ['80/tcp', '8000/udp', '8001/udp'] }],
    ['VOLUME a /b/../c', { volumes: ['/a', '/c'] }],
    ['USER 1:2\nSTOPSIGNAL SIGINT', { user: '1:2', stopSignal: 'SIGINT' }],
    [
      'HEALTHCHECK --interval=2s CMD x',
      { healthcheck: expect.objectContaining({ test: ['CMD-SHELL', 'x'], interval: 2e9 }) },
    ],
    ['HEALTHCHECK NONE', { healthcheck: expect.objectContaining({ test: ['NONE'] }) }],
  ])('%s', (text, expected) => expect(apply(text)).toMatchObject(expected));

  it.each(['EXPOSE 0', 'EXPOSE 99999', 'EXPOSE 80/x', 'HEALTHCHECK --interval=x CMD y'])('refuses %s', (text) => {
    expect(() => apply(text)).toThrow('Dockerfile:2');
  });
});

describe('context', () => {
  it('matches patterns as Go does', () => {
    const names = ['a.txt', 'b.txt', 'dir/c.txt', 'a[1]'];
    expect(names.filter(matcher('*.txt'))).toEqual(['a.txt', 'b.txt']);
    expect(names.filter(matcher('?.txt'))).toEqual(['a.txt', 'b.txt']);
    expect(names.filter(matcher('*/c.txt'))).toEqual(['dir/c.txt']);
    expect(names.filter(matcher('[^a].txt'))).toEqual(['b.txt']);
    expect(names.filter(matcher('a\\[1\\]'))).toEqual(['a[1]']);
  });

  it('keys content, not times', async () => {
    const [one, two] = [directory(), directory()];
    for (const root of [one, two]) {
      mkdirSync(join(root, 'd'));
      writeFileSync(join(root, 'd/f'), 'same');
    }
    const digest = async (root: string) => (await BuildContext.open(root)).digest(['d']);
    expect(await digest(one)).toBe(await digest(two));
    writeFileSync(join(two, 'd/f'), 'other');
    expect(await digest(one)).not.toBe(await digest(two));
  });

  it('reads a Dockerfile only from inside', async () => {
    const root = directory();
    symlinkSync('/etc/hostname', join(root, 'Dockerfile'));
    const context = await BuildContext.open(root);
    await expect(context.readDockerfile('Dockerfile')).rejects.toMatchObject({ code: 'build/denied' });
    await expect(context.readDockerfile('../../etc/hostname')).rejects.toMatchObject({
      code: expect.stringMatching(/build\/(denied|not-found)/),
    });
    await expect(context.readDockerfile('None')).rejects.toMatchObject({ code: 'build/not-found' });
  });

  it('says what is missing', async () => {
    const context = await BuildContext.open(directory());
    expect(() => context.expand('x')).toThrow('x is not in the build context');
    expect(context.expand('.')).toEqual(['.']);
  });
});

describe('step cache', () => {
  it('keeps results and forgives damage', async () => {
    const root = directory();
    const cache = new StepCache(root);
    const key = stepKey({ below: ['a'], does: ['b'] });
    expect(key).not.toBe(stepKey({ below: [], does: ['a', 'b'] }));
    await cache.store(key, { layer: null });
    expect(await cache.find(key)).toEqual({ layer: null });
    writeFileSync(join(root, `${key}.json`), '{"layer":');
    expect(await cache.find(key)).toBeUndefined();
    expect(await cache.clear()).toBe(1);
  });
});
