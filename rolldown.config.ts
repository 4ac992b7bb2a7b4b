import { rmSync } from 'node:fs';
import { defineConfig } from 'rolldown';

/** What dockerode names for BuildKit sessions, ssh and packing folders: never used here, and 100 ms of every start. */
const absent = new URL('./src/client/absent-module.ts', import.meta.url).pathname;

export default defineConfig({
  input: { tscompose: 'src/main.ts' },
  platform: 'node',
  // The daemon reads its package's files (schemas, native binaries) beside the bundle, never out of it.
  external: [/^node:/],
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
  plugins: [{ name: 'clean', renderStart: () => rmSync('dist/chunks', { recursive: true, force: true }) }],
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    minify: 'dce-only',
    cleanDir: false,
  },
});
