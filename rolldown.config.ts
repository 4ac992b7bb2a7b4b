import { rmSync } from 'node:fs';
import { defineConfig, type Plugin } from 'rolldown';

/** What dockerode names for BuildKit sessions, ssh and packing folders: never used here, and 100 ms of every start. */
const absent = new URL('./src/client/absent-module.ts', import.meta.url).pathname;

/**
 * An `import` of node:http touches every export, and one of them loads the whole of fetch: 40 ms of every start.
 * Taken as a builtin module, it costs 3 ms.
 */
const LEAN = /^(?:node:)?(https?)$/;
const UNTOUCHED = new Set(['WebSocket', 'CloseEvent', 'MessageEvent', 'default']);
const leanBuiltins: Plugin = {
  name: 'lean-builtins',
  resolveId: (id, _importer, { kind }) => {
    const name = LEAN.exec(id)?.[1];
    if (name === undefined) return null;
    // What is required is the builtin module itself: it costs nothing, and the docker client writes to an heir of it.
    return kind === 'require-call' ? { id: `node:${name}`, external: true } : `\0lean-${name}`;
  },
  load: (id) => {
    if (!id.startsWith('\0lean-')) return null;
    const name = `node:${id.slice('\0lean-'.length)}`;
    const names = Object.keys(process.getBuiltinModule(name) ?? {}).filter((key) => !UNTOUCHED.has(key));
    return `const builtin = process.getBuiltinModule('${name}');\nexport default builtin;\nexport const { ${names.join(', ')} } = builtin;\n`;
  },
};

export default defineConfig({
  input: { tscompose: 'src/main.ts' },
  platform: 'node',
  // The daemon reads its package's files (schemas, native binaries) beside the bundle, never out of it.
  external: (id) => id.startsWith('node:') && !LEAN.test(id),
  resolve: {
    alias: {
      '@grpc/grpc-js': absent,
      '@grpc/proto-loader': absent,
      ssh2: absent,
      protobufjs: absent,
      'tar-fs': absent,
      '@balena/dockerignore': absent,
      'cpu-features': absent,
    },
  },
  // Chunks carry a hash in their name: those of earlier builds would pile up.
  plugins: [
    leanBuiltins,
    { name: 'clean', renderStart: () => rmSync('dist/chunks', { recursive: true, force: true }) },
  ],
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    minify: 'dce-only',
    cleanDir: false,
  },
});
