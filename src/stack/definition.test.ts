import { describe, expect, it } from 'vitest';
import { compareDefinitions, defineContainer, hashService, readDefinition } from './definition.ts';
import { sampleProject } from './sample-project.contract.ts';
import { toContainerSpec } from './service-spec.ts';

async function define(web: string) {
  const project = await sampleProject(`name: demo\nservices:\n  web:\n    image: web\n${web}`);
  const service = project.services.get('web');
  if (!service) throw new Error('no service');
  return defineContainer(toContainerSpec({ project, service, number: 1, containerOf: (name) => name }));
}

describe('what makes a container differ', () => {
  it.each([
    ['    command: a\n', '    command: b\n', ['command changed']],
    ['', '    environment: { A: "1" }\n', ['environment.A added']],
    ['    environment: { A: "1", B: "2" }\n', '    environment: { B: "2" }\n', ['environment.A removed']],
    ['    mem_limit: 64m\n', '    mem_limit: 128m\n', ['mem_limit changed']],
    ['    ports: ["80:80"]\n', '    ports: ["81:80"]\n', ['ports changed']],
    ['    labels: { x: "1" }\n', '    labels: { x: "2" }\n', ['labels.x changed']],
    ['    environment: { A: "1", B: "2" }\n', '    environment: { B: "2", A: "1" }\n', []],
    ['    restart: always\n', '', ['restart removed']],
    ['', '    scale: 3\n', []],
  ])('%j to %j', async (before, after, differences) => {
    const [have, want] = [await define(before), await define(after)];
    expect(compareDefinitions(have, want)).toEqual(differences);
  });

  it('keeps no values, and survives foreign labels', async () => {
    const definition = await define('    environment: { TOKEN: very-secret }\n');
    expect(JSON.stringify(definition)).not.toContain('very-secret');
    expect(readDefinition({ 'dev.tscompose.definition': JSON.stringify(definition) })).toEqual(definition);
    expect(readDefinition({ 'dev.tscompose.definition': '{' })).toBeUndefined();
    expect(readDefinition({})).toBeUndefined();
  });

  // The values are those of docker compose 2.40.
  it.each([
    ['{ image: redis, restart: always }', '289d49d2bddf2e2a44976ae67afca1d6e7d9946f317ad4ccaf0026b552a1ab62'],
    [
      '{ image: redis, restart: always, build: ., pull_policy: build, scale: 2, profiles: [] }',
      '289d49d2bddf2e2a44976ae67afca1d6e7d9946f317ad4ccaf0026b552a1ab62',
    ],
    [
      '{ image: "a", command: ["b <c> & d", "$$e"], environment: { B: x, A: "1" }, deploy: { replicas: 3 } }',
      '32e28b31ce43ebb385bd6fab19358d09b049383ed959f9233e9ce616c4a6bcab',
    ],
    [
      '{ image: a, x-own: 1, environment: [x-name=kept], extra_hosts: ["b=10.0.0.2,10.0.0.1"], logging: { driver: none, x-own: 1 } }',
      'c3834383817aa6523cbce0322960bcb74a7798f60bc5e5c725b5248e972ac83f',
    ],
    [
      '{ image: x, volumes: [{ type: bind, source: /a, target: /b, bind: { create_host_path: false } }, { type: bind, source: /c, target: /d, bind: { create_host_path: false, propagation: rslave } }] }',
      '7ec9334c1459592061a393e41020f748c514d6c5a3755aa2db8291fb3692a538',
    ],
  ])('has the hash of docker compose: %s', async (text, hash) => {
    const project = await sampleProject(`name: demo\nservices:\n  db: ${text}\n`);
    const service = project.services.get('db');
    expect(service && hashService(service)).toBe(hash);
  });
});
