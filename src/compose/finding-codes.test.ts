import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FINDING_CODES } from './finding-codes.ts';

/** Made from a kind: `compose/unknown-${kind}` and `compose/${support}-only`. */
const COMPOSED = ['network', 'volume', 'secret', 'config', 'model', 'service'].map((kind) => `compose/unknown-${kind}`);
/** Codes of thrown errors, not of findings. */
const THROWN = ['compose/invalid', 'compose/not-found'];

it('describes every code in use and no other', () => {
  const used = new Set([...COMPOSED, 'compose/windows-only', 'compose/swarm-only']);
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts') && !/\.test\.ts$|finding-codes/.test(name))) {
    for (const [, code = ''] of readFileSync(join(import.meta.dirname, file), 'utf8').matchAll(
      /'(compose\/[a-z0-9-]+)'/g,
    ))
      used.add(code);
  }
  expect([...used].filter((code) => !THROWN.includes(code)).sort()).toEqual(Object.keys(FINDING_CODES).sort());
});
