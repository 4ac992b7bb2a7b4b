import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLanguageServer } from './index.ts';

const COMPOSE = `include: [inc.yaml]
x-env: &env
  A: "\${TAG:-1}"
services:
  web:
    image: nginx
    environment: *env
    depends_on:
      - db
    networks: [back]
    restart: always
    env_file: a.env
  api:
    extends: {file: base.yaml, service: base}
    depends_on: {db: {condition: service_healthy}}
    network_mode: "service:db"
  db:
    image: postgres:16
networks:
  back: {driver: bridge}
`;
const OVERRIDE = 'services:\n  db:\n    user: "5"\n  web:\n    links: ["db:database"]\n';

const folder = mkdtempSync('/tmp/tsc-lsp-');
const file = (name: string) => join(folder, name);
const uri = (name: string) => pathToFileURL(file(name)).href;
const files = {
  'compose.yaml': COMPOSE,
  'compose.override.yaml': OVERRIDE,
  'base.yaml': 'services:\n  base:\n    image: b:1\n',
  'inc.yaml': 'services:\n  extra:\n    image: e:1\n',
  '.env': 'X=1\nTAG=7\n',
  'a.env': '',
};

/** The other end of the protocol: frames with a length header, requests by number. */
class Editor {
  readonly #toServer = new PassThrough();
  readonly #pending = new Map<number, (result: unknown) => void>();
  readonly diagnostics = new Map<string, { code: string; severity: number; message: string; range: object }[]>();
  readonly #waiting: (() => void)[] = [];
  readonly ended: Promise<void>;
  #next = 1;
  #buffer = Buffer.alloc(0);

  constructor() {
    const fromServer = new PassThrough();
    fromServer.on('data', (chunk: Buffer) => this.#take(chunk));
    this.ended = startLanguageServer({ input: this.#toServer, output: fromServer, environment: {}, version: '0' });
  }

  #take(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const header = this.#buffer.indexOf('\r\n\r\n');
      const length = Number(/Content-Length: (\d+)/i.exec(this.#buffer.subarray(0, header).toString())?.[1]);
      if (header < 0 || this.#buffer.length < header + 4 + length) return;
      const message = JSON.parse(this.#buffer.subarray(header + 4, header + 4 + length).toString());
      this.#buffer = this.#buffer.subarray(header + 4 + length);
      if (message.method === 'textDocument/publishDiagnostics') {
        this.diagnostics.set(message.params.uri, message.params.diagnostics);
        for (const wake of this.#waiting.splice(0)) wake();
      } else if (message.id !== undefined) this.#pending.get(message.id)?.(message.result ?? message.error ?? null);
    }
  }

  send(method: string, params: unknown, id?: number): void {
    const body = JSON.stringify({ jsonrpc: '2.0', method, params, ...(id !== undefined && { id }) });
    this.#toServer.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  request(method: string, params: unknown): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.send(method, params, id);
    });
  }

  /** Asks about the place after the text `mark` in a file; the place is inside when `mark` holds a `|`. */
  at(method: string, name: keyof typeof files, mark: string, more: object = {}, text = files[name]): Promise<unknown> {
    const inside = mark.indexOf('|');
    const offset = text.indexOf(mark.replace('|', '')) + (inside < 0 ? mark.length : inside);
    const before = text.slice(0, offset).split('\n');
    const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
    return this.request(`textDocument/${method}`, { textDocument: { uri: uri(name) }, position, ...more });
  }

  async diagnosticsWhere(accepts: (all: Editor['diagnostics']) => boolean): Promise<void> {
    while (!accepts(this.diagnostics)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  open(name: keyof typeof files): void {
    const textDocument = { uri: uri(name), languageId: 'yaml', version: 1, text: files[name] };
    this.send('textDocument/didOpen', { textDocument });
  }

  change(name: keyof typeof files, text: string): void {
    this.send('textDocument/didChange', { textDocument: { uri: uri(name), version: 2 }, contentChanges: [{ text }] });
  }

  close(): void {
    this.#toServer.end();
  }
}

const editor = new Editor();
beforeAll(async () => {
  for (const [name, text] of Object.entries(files)) writeFileSync(file(name), text);
  const started = await editor.request('initialize', { processId: null, rootUri: null, capabilities: {} });
  expect(started).toMatchObject({
    capabilities: { renameProvider: { prepareProvider: true } },
    serverInfo: { name: 'tscompose' },
  });
  editor.send('initialized', {});
  editor.open('compose.yaml');
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const places = (found: unknown) =>
  (found as { uri: string; range: { start: { line: number; character: number } } }[]).map(
    ({ uri: at, range }) => `${at.slice(at.lastIndexOf('/') + 1)}:${range.start.line + 1}:${range.start.character + 1}`,
  );
const value = (found: unknown) => (found as { contents: { value: string } } | null)?.contents.value;
const labels = (found: unknown) => (found as { label: string }[]).map(({ label }) => label);

describe('findings', () => {
  it('are those of the loader and of lint, with their codes', async () => {
    await editor.diagnosticsWhere((all) => (all.get(uri('compose.yaml'))?.length ?? 0) > 0);
    expect(editor.diagnostics.get(uri('compose.yaml'))).toMatchObject([
      { code: 'lint/latest-tag', severity: 2, range: { start: { line: 5, character: 4 }, end: { line: 5 } } },
      { code: 'lint/missing-healthcheck', severity: 2 },
    ]);
  });

  it('follow what is typed, and go when it is mended', async () => {
    editor.change('compose.yaml', COMPOSE.replace('image: nginx', 'imge: nginx'));
    const codes = () => (editor.diagnostics.get(uri('compose.yaml')) ?? []).map(({ code }) => code);
    await editor.diagnosticsWhere(() => codes().includes('compose/unknown-key'));
    editor.change('compose.yaml', COMPOSE);
    await editor.diagnosticsWhere(() => codes().includes('lint/latest-tag'));
    expect(codes()).not.toContain('compose/unknown-key');
  });
});

describe('hover', () => {
  it('shows descriptions of the schema with the value in the end', async () => {
    const found = value(await editor.at('hover', 'compose.yaml', 'rest|art'));
    expect(found).toMatch(/^\*\*restart\*\*: \w/);
    expect(found).toContain('value: `"always"`');
  });

  it('shows variables with their origin, and the things that names stand for', async () => {
    expect(value(await editor.at('hover', 'compose.yaml', '${TA|G'))).toMatch(/TAG\*\* = `7`\n\nfrom .*\.env:2/);
    expect(value(await editor.at('hover', 'compose.yaml', '- d|b'))).toContain('image: `postgres:16`');
  });
});

describe('definitions', () => {
  it.each([
    ['a service of a list', '- d|b', ['compose.yaml:17:3', 'compose.override.yaml:2:3']],
    ['a service of a mapping', '{d|b', ['compose.yaml:17:3', 'compose.override.yaml:2:3']],
    ['a service in a text', 'service:d|b', ['compose.yaml:17:3', 'compose.override.yaml:2:3']],
    ['a network', '[ba|ck', ['compose.yaml:20:3']],
    ['an anchor', '*en|v', ['compose.yaml:2:8']],
    ['a variable', '${TA|G', ['.env:2:1']],
    ['an included file', '[inc.|yaml', ['inc.yaml:1:1']],
    ['an extended file', 'file: ba|se', ['base.yaml:1:1']],
    ['an extended service', 'service: ba|se', ['base.yaml:2:3']],
    ['an env file', 'env_file: a|.env', ['a.env:1:1']],
  ])('%s', async (_what, mark, expected) => {
    expect(places(await editor.at('definition', 'compose.yaml', mark))).toEqual(expected);
  });
});

describe('completion', () => {
  const typed = async (text: string, mark: string) => {
    editor.change('compose.yaml', text);
    const found = await editor.at('completion', 'compose.yaml', mark, {}, text);
    editor.change('compose.yaml', COMPOSE);
    return found as { label: string; textEdit: { newText: string }; documentation?: string }[];
  };

  it('offers keys of a service with their descriptions while the file is broken', async () => {
    const found = await typed(`${COMPOSE}`.replace('    restart: always', '    heal'), '    heal|');
    expect(found).toMatchObject([{ label: 'healthcheck', textEdit: { newText: 'healthcheck:' } }]);
    expect(found[0]?.documentation).toMatch(/\w/);
  });

  it('offers sections, words, names and variables', async () => {
    expect(labels(await typed(`${COMPOSE}vol`, `bridge}\nvol|`))).toEqual(['volumes']);
    expect(labels(await typed(COMPOSE.replace('service_healthy', ''), 'condition: |'))).toEqual([]);
    const conditions = COMPOSE.replace(
      'depends_on: {db: {condition: service_healthy}}',
      'depends_on:\n      db:\n        condition: ',
    );
    expect(labels(await typed(conditions, 'condition: |'))).toContain('service_healthy');
    expect(labels(await typed(COMPOSE.replace('- db', '- '), '      - |'))).toEqual(['extra', 'web', 'api', 'db']);
    expect(labels(await typed(COMPOSE.replace('[back]', '['), 'networks: [|'))).toEqual(['default', 'back']);
    expect(labels(await typed(COMPOSE.replace('TAG:-1', ''), '${|'))).toContain('TAG');
  });
});

describe('rename', () => {
  it('changes the definition and every reference in all files', async () => {
    const found = (await editor.at('rename', 'compose.yaml', '- d|b', { newName: 'store' })) as {
      changes: Record<string, { range: { start: { line: number; character: number } }; newText: string }[]>;
    };
    const apply = (name: keyof typeof files) => {
      const lines = files[name].split('\n');
      for (const { range, newText } of found.changes[uri(name)] ?? []) {
        const { line, character } = range.start;
        lines[line] = `${lines[line]?.slice(0, character)}${newText}${lines[line]?.slice(character + 2)}`;
      }
      return lines.join('\n');
    };
    expect(apply('compose.yaml')).toBe(COMPOSE.replaceAll(/\bdb\b/g, 'store'));
    expect(apply('compose.override.yaml')).toBe(OVERRIDE.replace('  db:', '  store:').replace('"db:', '"store:'));
    expect(Object.keys(found.changes)).toHaveLength(2);
  });

  it('says beforehand which name it is about, and where there is none', async () => {
    expect(await editor.at('prepareRename', 'compose.yaml', '- d|b')).toMatchObject({
      placeholder: 'db',
      range: { start: { line: 8, character: 8 }, end: { line: 8, character: 10 } },
    });
    expect(await editor.at('prepareRename', 'compose.yaml', 'rest|art')).toMatchObject({
      message: expect.stringContaining('no name here'),
    });
  });

  it('refuses names that are none or taken', async () => {
    expect(await editor.at('rename', 'compose.yaml', '- d|b', { newName: 'a b' })).toMatchObject({
      message: expect.stringContaining('is not a name'),
    });
    expect(await editor.at('rename', 'compose.yaml', '- d|b', { newName: 'web' })).toMatchObject({
      message: expect.stringContaining('has a web already'),
    });
  });
});

it('lists references', async () => {
  const found = await editor.at('references', 'compose.yaml', '  d|b:', { context: { includeDeclaration: false } });
  expect(places(found)).toEqual([
    'compose.yaml:9:9',
    'compose.yaml:15:18',
    'compose.yaml:16:28',
    'compose.override.yaml:5:14',
  ]);
});
