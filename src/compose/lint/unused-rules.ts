import { childMap } from '../node.ts';
import type { Service } from '../service.ts';
import type { LintRule } from './lint-rule.ts';

type Names = (service: Service) => readonly (string | undefined)[];

const SECTIONS: readonly (readonly [section: string, word: string, used: Names])[] = [
  ['networks', 'network', (service) => [...service.networks.keys()]],
  ['volumes', 'volume', (service) => service.volumes.map(({ source }) => source)],
  [
    'secrets',
    'secret',
    (service) => [...service.secrets, ...(service.build?.secrets ?? [])].map(({ source }) => source),
  ],
  ['configs', 'config', (service) => [...service.configs.map(({ source }) => source), service.credentialSpec?.config]],
  ['models', 'model', (service) => [...service.models.keys()]],
];

/** Resources that no service uses, whatever the profiles; one rule per section. */
export const unusedRules: readonly LintRule[] = SECTIONS.map(([section, word, used]) => ({
  name: `unused-${word}`,
  level: 'warning',
  summary: `a ${word} that no service uses`,
  check: function* ({ services, tree }) {
    const names = new Set([...services.values()].flatMap(used));
    for (const [name, { key }] of childMap(tree, section)?.entries ?? []) {
      // The default network is there for whoever names no other.
      if (names.has(name) || name === 'default') continue;
      const message = `no service uses the ${word} ${name}`;
      yield { path: [section, name], at: key, message, hint: `remove it from ${section}, or give it to a service` };
    }
  },
}));
