import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseSync } from 'oxc-parser';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');
const RUNTIME = join(ROOT, 'runtime');

/** Which room may import which, through its index.ts; the table of the architecture, executable. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  host: ['core'],
  archive: ['core'],
  api: ['core'],
  compose: ['core'],
  dockerfile: ['core'],
  registry: ['host', 'core'],
  client: ['api', 'host', 'core'],
  stack: ['compose', 'client', 'registry', 'dockerfile', 'archive', 'api', 'host', 'core'],
  engine: ['registry', 'dockerfile', 'archive', 'host', 'core'],
  daemon: ['engine', 'api', 'host', 'core'],
  'language-server': ['compose', 'host', 'core'],
  cli: ['stack', 'registry', 'dockerfile', 'compose', 'client', 'api', 'language-server', 'host', 'core'],
  // Its build step runs programs; what it starts imports nothing.
  bundle: ['host'],
  'main.ts': ['cli', 'daemon', 'core'],
};

/** Inside the engine: every room may use state and events; the assembling files at its top may use all. */
const ENGINE: Readonly<Record<string, readonly string[]>> = {
  state: [],
  events: ['state'],
  layers: ['state', 'events'],
  images: ['layers', 'state', 'events'],
  runtime: ['state', 'events'],
  network: ['state', 'events'],
  volumes: ['state', 'events'],
  logs: ['state', 'events'],
  containers: ['runtime', 'images', 'layers', 'network', 'volumes', 'logs', 'state', 'events'],
  build: ['containers', 'images', 'layers', 'network', 'volumes', 'runtime', 'state', 'events'],
};

/** Packages that only one place may name; a trailing slash means the folder. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  dockerode: ['src/client/'],
  yaml: ['src/compose/'],
  commander: ['src/cli/', 'src/daemon/'],
  listr2: ['src/cli/'],
  chokidar: ['src/cli/'],
  'tar-stream': ['src/archive/'],
  ajv: ['src/compose/'],
  'vscode-languageserver': ['src/language-server/'],
  'node:child_process': ['src/host/'],
};

const C_ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  sys: ['base'],
  spec: ['base'],
  cgroup: ['sys', 'base', 'spec'],
  setup: ['cgroup', 'sys', 'base', 'spec'],
  container: ['setup', 'cgroup', 'sys', 'base', 'spec'],
  keeper: ['sys', 'base', 'net', 'names'],
  monitor: ['sys', 'base'],
  net: ['sys', 'base'],
  names: ['sys', 'base'],
  layer: ['base', 'sys'],
  cmd: ['container', 'setup', 'cgroup', 'sys', 'base', 'spec'],
};
/** The verb table names the entry points of the processes; nothing else crosses. */
const C_MAIN_EXTRA = ['keeper', 'monitor', 'net', 'names'];

const FORBIDDEN_NAMES = /^(utils?|helpers?|common|misc|types|interfaces|constants|manager)\b/;

interface SourceFile {
  readonly path: string;
  readonly imports: readonly { readonly specifier: string; readonly line: number }[];
}

function walk(directory: string, pattern: RegExp): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return walk(path, pattern);
    return pattern.test(entry.name) ? [path] : [];
  });
}

const isTest = (path: string) => /\.(test|contract)\.ts$/.test(path);

function readSource(path: string): SourceFile {
  const text = readFileSync(path, 'utf8');
  const { module } = parseSync(path, text);
  const lineOf = (offset: number) => text.slice(0, offset).split('\n').length;
  const found = [
    ...module.staticImports.map((item) => ({ specifier: item.moduleRequest.value, line: lineOf(item.start) })),
    ...module.staticExports.flatMap((item) =>
      item.entries.flatMap((entry) =>
        entry.moduleRequest ? [{ specifier: entry.moduleRequest.value, line: lineOf(item.start) }] : [],
      ),
    ),
    ...module.dynamicImports.map((item) => ({
      specifier: text.slice(item.moduleRequest.start, item.moduleRequest.end).replace(/^['"`]|['"`]$/g, ''),
      line: lineOf(item.start),
    })),
  ];
  return { path, imports: found };
}

/** The room of a file: the first folder below src; inside the engine the second one as well. */
function roomOf(path: string): { readonly room: string; readonly inner: string | undefined } {
  const parts = relative(SRC, path).split('/');
  const room = parts[0] ?? '';
  return { room, inner: room === 'engine' && parts.length > 2 ? parts[1] : undefined };
}

const sources = walk(SRC, /\.ts$/).map(readSource);
const production = sources.filter((file) => !isTest(file.path) && basename(file.path) !== 'architecture.test.ts');

function localTarget(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = resolve(dirname(file.path), specifier);
  // Schemas are data beside the rooms, for whoever checks input against them.
  return dirname(target) === join(ROOT, 'schemas') && target.endsWith('.json') ? undefined : target;
}

function isFace(target: string): boolean {
  return basename(target) === 'index.ts';
}

function checkImport(file: SourceFile, target: string): string | undefined {
  const from = roomOf(file.path);
  const to = roomOf(target);
  if (from.room !== to.room) {
    if (!(ROOMS[from.room] ?? []).includes(to.room)) return `room ${from.room} may not import ${to.room}`;
    return isFace(target) && !to.inner ? undefined : `${to.room} is entered only through its index.ts`;
  }
  if (from.room !== 'engine' || from.inner === to.inner) return undefined;
  if (from.inner === undefined)
    return isFace(target) ? undefined : 'inner rooms are entered only through their index.ts';
  if (to.inner === undefined) return 'inner rooms may not import the assembling files';
  if (!(ENGINE[from.inner] ?? []).includes(to.inner)) return `engine/${from.inner} may not import engine/${to.inner}`;
  return isFace(target) ? undefined : `engine/${to.inner} is entered only through its index.ts`;
}

describe('TypeScript rooms', () => {
  it('are all in the table', () => {
    const rooms = readdirSync(SRC, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'launch',
    );
    expect(rooms.map((entry) => entry.name).filter((name) => !(name in ROOMS))).toEqual([]);
  });

  it('import only what the table allows, through public faces', () => {
    const problems = production.flatMap((file) =>
      file.imports.flatMap(({ specifier, line }) => {
        const target = localTarget(file, specifier);
        const problem = target && checkImport(file, target);
        return problem ? [`${relative(ROOT, file.path)}:${line}: ${specifier}: ${problem}`] : [];
      }),
    );
    expect(problems).toEqual([]);
  });

  it('have no import cycles, type imports included', () => {
    const edges = new Map(
      production.map((file) => [
        file.path,
        file.imports.flatMap(({ specifier }) => localTarget(file, specifier) ?? []),
      ]),
    );
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, chain: readonly string[]) => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...chain.slice(chain.indexOf(path)), path].map((item) => relative(SRC, item)).join(' → '));
        return;
      }
      state.set(path, 'open');
      for (const next of edges.get(path) ?? []) visit(next, [...chain, path]);
      state.set(path, 'done');
    };
    for (const path of edges.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('keep each library behind its one door', () => {
    const problems = production.flatMap((file) =>
      file.imports.flatMap(({ specifier, line }) => {
        const door = Object.entries(DOORS).find(([name]) => specifier === name || specifier.startsWith(`${name}/`));
        const path = relative(ROOT, file.path);
        return door && !door[1].some((place) => path.startsWith(place))
          ? [`${path}:${line}: ${specifier} belongs to ${door[1]}`]
          : [];
      }),
    );
    expect(problems).toEqual([]);
  });

  it('open their face with a comment and document every export', () => {
    const faces = production.filter((file) => basename(file.path) === 'index.ts');
    const problems = faces.flatMap((file) => {
      const text = readFileSync(file.path, 'utf8');
      return /^\s*\/\*\*/.test(text) ? [] : [`${relative(ROOT, file.path)}: no opening comment`];
    });
    expect(problems).toEqual([]);
  });

  it('stay within 400 lines a file and avoid names that say nothing', () => {
    const problems = production.flatMap((file) => {
      const lines = readFileSync(file.path, 'utf8').split('\n').length - 1;
      const path = relative(ROOT, file.path);
      return [
        ...(lines > 400 && !/\.gen\.ts$/.test(path) ? [`${path}: ${lines} lines`] : []),
        ...(FORBIDDEN_NAMES.test(basename(path)) ? [`${path}: name says nothing`] : []),
      ];
    });
    expect(problems).toEqual([]);
  });
});

describe('C rooms', () => {
  // Tests and fuzz targets may reach into every room.
  const outside = ['tests', 'fuzz'].map((folder) => `${join(RUNTIME, folder)}/`);
  const files = walk(RUNTIME, /\.[ch]$/).filter((path) => !outside.some((folder) => path.startsWith(folder)));

  it('include only what the table allows', () => {
    const problems = files.flatMap((path) => {
      const room = relative(RUNTIME, path).split('/')[0] ?? '';
      const allowed = [
        room,
        ...(C_ROOMS[room] ?? []),
        ...(basename(path) === 'main.c' && room === 'cmd' ? C_MAIN_EXTRA : []),
      ];
      return [...readFileSync(path, 'utf8').matchAll(/^#include "([^"]+)"/gm)].flatMap(([, include = '']) => {
        const target = resolveInclude(path, include);
        const other = relative(RUNTIME, target).split('/')[0] ?? '';
        return allowed.includes(other)
          ? []
          : [`${relative(ROOT, path)}: ${include}: room ${room} may not include ${other}`];
      });
    });
    expect(problems).toEqual([]);
  });

  it('stay within 700 lines a file', () => {
    const long = files.filter((path) => readFileSync(path, 'utf8').split('\n').length - 1 > 700);
    expect(long.map((path) => relative(ROOT, path))).toEqual([]);
  });
});

/** Includes are written from the runtime folder (`base/err.h`) or beside the file (`steps.h`). */
function resolveInclude(path: string, include: string): string {
  const beside = resolve(dirname(path), include);
  return statSync(beside, { throwIfNoEntry: false }) ? beside : join(RUNTIME, include);
}
