import { describe, expect, it } from 'vitest';
import type { ImageRunConfig } from '../images/index.ts';
import { completeConfig, completeHost, completeNetworks } from './complete-spec.ts';

const IMAGE: ImageRunConfig = {
  user: 'app',
  workingDir: '/srv',
  env: ['PATH=/bin', 'A=image'],
  entrypoint: ['/entry'],
  cmd: ['serve'],
  exposedPorts: ['80/tcp'],
  volumes: ['/data'],
  labels: new Map([
    ['maker', 'me'],
    ['com.docker.compose.project', 'prod'],
    ['dev.tscompose.egress', '[]'],
  ]),
  stopSignal: 'SIGQUIT',
  shell: undefined,
  healthcheck: { test: ['CMD', 'probe'], interval: 7, timeout: 0, startPeriod: 0, startInterval: 0, retries: 2 },
  onBuild: [],
};
const complete = (spec: object) => completeConfig({ image: 'x', ...spec }, IMAGE);

describe('what runs', () => {
  it.each([
    [{}, ['/entry'], ['serve']],
    [{ command: ['other'] }, ['/entry'], ['other']],
    [{ entrypoint: ['/mine'] }, ['/mine'], []],
    [{ entrypoint: [''], command: ['sh'] }, [], ['sh']],
    [{ entrypoint: [], command: ['sh'] }, [], ['sh']],
  ])('%j', (spec, entrypoint, command) => expect(complete(spec)).toMatchObject({ entrypoint, command }));

  it('is refused when there is nothing', () => {
    expect(() => complete({ entrypoint: [''] })).toThrow('no command specified');
  });

  it('takes from the image what the spec does not say', () => {
    expect(complete({ env: ['A=mine', 'B'], labels: { own: '1' }, exposedPorts: ['81/tcp'] })).toMatchObject({
      user: 'app',
      workdir: '/srv',
      env: ['A=mine', 'PATH=/bin'],
      stopSignal: 'SIGQUIT',
      exposedPorts: ['81/tcp', '80/tcp'],
      volumes: ['/data'],
    });
  });

  it('never takes ownership labels from an image, nor those the engine reads', () => {
    expect(complete({ labels: { own: '1' } }).labels).toEqual({ maker: 'me', own: '1' });
    expect(complete({ labels: { 'com.docker.compose.project': 'x' } }).labels).toHaveProperty(
      ['com.docker.compose.project'],
      'x',
    );
  });

  it('merges a health check field by field', () => {
    expect(complete({ healthcheck: { test: [], intervalNs: 9 } }).healthcheck).toMatchObject({
      test: ['CMD', 'probe'],
      intervalNs: 9,
      retries: 2,
    });
  });
});

describe('networks', () => {
  it.each([
    ['default', {}, ['bridge']],
    ['none', {}, ['none']],
    ['mine', { mine: {}, other: {} }, ['mine', 'other']],
    ['mine', { other: {} }, ['mine', 'other']],
    ['default', { mine: {} }, ['mine']],
    [`container:${'a'.repeat(64)}`, {}, []],
  ])('%s and %j', (networkMode, networks, names) => {
    expect(Object.keys(completeNetworks(completeHost({ networkMode }), networks))).toEqual(names);
  });
});
