import { readFileSync, rmSync } from 'node:fs';
import { defineConfig, type OutputOptions, type Plugin } from 'rolldown';

/** What dockerode names for BuildKit sessions, ssh and packing folders: never used here, and 100 ms of every start. */
const absent = new URL('./src/client/absent-module.ts', import.meta.url).pathname;

/** The argument parser can run commands of other files; ours cannot, and its door to child processes costs 2 ms. */
const withoutSubprograms: Plugin = {
  name: 'without-subprograms',
  resolveId: (id, importer) =>
    id === 'node:child_process' && importer?.includes('/node_modules/commander/') ? absent : null,
};

/** Every option's flags are tested with the class of all identifier characters, which V8 builds for half a millisecond; ours are ASCII. */
const asciiFlags: Plugin = {
  name: 'ascii-flags',
  transform: (code, id) => {
    if (!id.endsWith('/commander/lib/option.js')) return null;
    const lean = code.replace('/\\p{ID_Continue}\\.\\.\\.[>\\]]$/u', '/\\w\\.\\.\\.[>\\]]$/');
    if (lean === code) throw new Error('commander no longer tests flags with \\p{ID_Continue}: see rolldown.config.ts');
    return { code: lean };
  },
};

/** A schema written as a literal costs 2 ms to build; as a text that is parsed, a tenth of that. */
const schemaAsText: Plugin = {
  name: 'schema-as-text',
  load: (id) => {
    if (!id.endsWith('/schemas/compose.schema.json')) return null;
    const text = JSON.stringify(JSON.parse(readFileSync(id, 'utf8')));
    return { code: `export default JSON.parse(${JSON.stringify(text)});`, moduleType: 'js' };
  },
};

/**
 * Node's modules as the argument parser imports them are copied name by name, getters included: half a millisecond. They are
 * taken as they are.
 */
const plainBuiltins: Plugin = {
  name: 'plain-builtins',
  transform: (code, id) => {
    if (!id.endsWith('/commander/lib/command.js')) return null;
    const plain = code
      .replace(
        /^import (fs|path|process) from '(node:\w+)';$/gm,
        "const $1 = globalThis.process.getBuiltinModule('$2');",
      )
      .replace("globalThis.process.getBuiltinModule('node:process')", 'globalThis.process');
    if (plain === code) throw new Error('commander no longer imports whole modules of Node: see rolldown.config.ts');
    return { code: plain };
  },
};

/**
 * The YAML library as far as reading goes: the tags of the schema in use, and nothing of writing. What is left out would be
 * loaded with the rest, and fails when it is called.
 */
const yamlReader: Plugin = {
  name: 'yaml-reader',
  load: (id) => {
    const [, file = ''] = /\/yaml\/browser\/dist\/(.+)\.js$/.exec(id) ?? [];
    if (file === 'schema/tags') return { code: FAILSAFE_TAGS };
    if (!/^(?:stringify\/stringify|doc\/createNode$|parse\/cst-visit$)/.test(file)) return null;
    const names = Array.from(readFileSync(id, 'utf8').matchAll(/^export \{ (.+) \};$/gm), ([, list = '']) =>
      list.split(', '),
    );
    const absentNames = names
      .flat()
      .map((name) => `${name} = () => { throw new Error('${name} is not part of this build'); }`);
    if (absentNames.length === 0) throw new Error(`${id} exports nothing: see rolldown.config.ts`);
    return { code: `export const ${absentNames.join(',\n')};` };
  },
};

const FAILSAFE_TAGS = `
import { map } from './common/map.js';
import { seq } from './common/seq.js';
import { string } from './common/string.js';
export const coreKnownTags = {};
export function getTags(custom, schema) {
  if (custom || schema !== 'failsafe') throw new Error('only the failsafe schema is part of this build');
  return [map, seq, string];
}`;

const clean: Plugin = {
  name: 'clean',
  // Chunks carry a hash in their name: those of earlier builds would pile up.
  renderStart: () => {
    for (const folder of ['dist/chunks', 'dist/compiled']) rmSync(folder, { recursive: true, force: true });
  },
};

const output: OutputOptions = {
  dir: 'dist',
  format: 'cjs',
  entryFileNames: '[name].cjs',
  chunkFileNames: 'chunks/[name]-[hash].cjs',
  dynamicImportInCjs: false,
  // Lines and names stay for stack traces; text in ASCII takes V8 half the memory and none of the decoding.
  minify: { compress: true, mangle: false, codegen: { removeWhitespace: false, asciiOnly: true } },
  comments: false,
  cleanDir: false,
};

export default defineConfig([
  // The file that node is given; alone, so that it needs nothing but itself.
  { input: { tscompose: 'src/bundle/start.ts' }, platform: 'node', output },
  {
    input: { main: 'src/main.ts' },
    preserveEntrySignatures: 'allow-extension',
    platform: 'node',
    resolve: {
      alias: {
        // The same library as modules: what is not used is left out.
        yaml: new URL('./node_modules/yaml/browser/dist/index.js', import.meta.url).pathname,
        '@grpc/grpc-js': absent,
        '@grpc/proto-loader': absent,
        ssh2: absent,
        protobufjs: absent,
        'tar-fs': absent,
        '@balena/dockerignore': absent,
        'cpu-features': absent,
      },
    },
    plugins: [withoutSubprograms, asciiFlags, plainBuiltins, schemaAsText, yamlReader, clean],
    // A room's face names everything it offers; a command loads what it takes.
    treeshake: { moduleSideEffects: (id) => !id.includes('/src/') || id.endsWith('/src/main.ts') },
    output: {
      ...output,
      // Few files for what every command needs, and config, which is run most in a loop: each costs two reads.
      codeSplitting: {
        includeDependenciesRecursively: false,
        groups: [
          { name: 'base', test: /\/src\/(core|host)\/|rolldown\/runtime/ },
          {
            name: 'command',
            test: /\/src\/cli\/(index|program|context|verbs|version|output|channel|report-error|exit-codes|published|commands\/config|view\/(findings|printable)|remote\/(open-remote-files|remote-cache))\.ts$|\/commander\/|absent-module/,
          },
          { name: 'yaml', test: /\/src\/compose\/(?:read-yaml|yaml-errors)|\/yaml\// },
          { name: 'model', test: /\/src\/compose\/(?!editor|explain|graph|lint)|schemas\/compose/ },
        ],
      },
    },
  },
]);
