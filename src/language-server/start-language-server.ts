import { type Connection, createConnection, ErrorCodes, ResponseError } from 'vscode-languageserver/node';
import {
  type Analysis,
  definitionsAt,
  describeAt,
  mentionAt,
  mentionsOf,
  proposalsAt,
  type RemoteFiles,
  renamableAt,
  renameAt,
} from '../compose/index.ts';
import { describeError, type Position } from '../core/index.ts';
import { offsetOf, toCompletionItem, toDiagnostic, toLocation, toRange } from './protocol-shapes.ts';
import { pathOf, uriOf, Workspace } from './workspace.ts';

export interface LanguageServerOptions {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** The caller's variables, for interpolation. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Remote files; without it they are reported as not to be had. */
  readonly remote?: RemoteFiles;
}

/** Serves one editor; resolves when it has said goodbye or closed the stream. */
export async function startLanguageServer(options: LanguageServerOptions): Promise<void> {
  const connection = createConnection(options.input, options.output);
  const workspace = new Workspace(options.environment, options.remote);
  const publisher = new Publisher(connection, workspace);
  connection.onInitialize(() => ({
    capabilities: {
      textDocumentSync: 1,
      hoverProvider: true,
      completionProvider: { triggerCharacters: [' ', '{', '$', '-'] },
      definitionProvider: true,
      referencesProvider: true,
      renameProvider: { prepareProvider: true },
    },
    serverInfo: { name: 'tscompose', version: options.version },
  }));
  listenToDocuments(connection, workspace, publisher);
  answerQuestions(connection, workspace);
  const ended = new Promise<void>((resolve) => {
    connection.onExit(() => resolve());
    options.input.once('close', resolve);
    options.input.once('end', resolve);
  });
  connection.listen();
  await ended;
  publisher.stop();
}

/** Sends findings for every file of the open applications, and takes back those that are gone. */
class Publisher {
  readonly #connection: Connection;
  readonly #workspace: Workspace;
  #published = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, workspace: Workspace) {
    this.#connection = connection;
    this.#workspace = workspace;
  }

  /** Soon: while somebody types only the last state counts. */
  request(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#publish(), 100);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  async #publish(): Promise<void> {
    const found = new Map<string, Map<string, Analysis['diagnostics'][number]>>();
    for (const path of this.#workspace.open) {
      const add = (file: string) => found.get(file) ?? found.set(file, new Map()).get(file);
      add(path);
      const { diagnostics } = await this.#workspace.analyse(path);
      // A file may belong to several applications: what is found twice is told once.
      for (const item of diagnostics) add(item.at?.file ?? path)?.set(JSON.stringify(item), item);
    }
    for (const file of this.#published) if (!found.has(file)) found.set(file, new Map());
    this.#published = new Set([...found].filter(([, items]) => items.size > 0).map(([file]) => file));
    for (const [file, items] of found) {
      const diagnostics = [...items.values()].map(toDiagnostic);
      await this.#connection.sendDiagnostics({ uri: uriOf(file), diagnostics });
    }
  }
}

function listenToDocuments(connection: Connection, workspace: Workspace, publisher: Publisher): void {
  const take = (uri: string, text: string | undefined) => {
    const path = pathOf(uri);
    if (path === undefined || text === undefined) return;
    workspace.set(path, text);
    publisher.request();
  };
  connection.onDidOpenTextDocument(({ textDocument }) => take(textDocument.uri, textDocument.text));
  connection.onDidChangeTextDocument(({ textDocument, contentChanges }) =>
    take(textDocument.uri, contentChanges.at(-1)?.text),
  );
  connection.onDidCloseTextDocument(({ textDocument }) => {
    const path = pathOf(textDocument.uri);
    if (path !== undefined) workspace.close(path);
    publisher.request();
  });
  const refresh = () => {
    workspace.forget();
    publisher.request();
  };
  connection.onDidSaveTextDocument(refresh);
  connection.onDidChangeWatchedFiles(refresh);
}

interface Place {
  readonly textDocument: { readonly uri: string };
  readonly position: { readonly line: number; readonly character: number };
}

interface Question {
  readonly analysis: Analysis;
  readonly file: string;
  readonly text: string;
  readonly offset: number;
}

function answerQuestions(connection: Connection, workspace: Workspace): void {
  const ask = async <T>({ textDocument, position }: Place, answer: (question: Question) => T): Promise<T | null> => {
    const file = pathOf(textDocument.uri);
    if (file === undefined) return null;
    const analysis = await workspace.analyse(file);
    const text = analysis.sources.get(file);
    if (text === undefined) return null;
    return answer({ analysis, file, text, offset: offsetOf(text, position) });
  };
  const locations = (places: readonly Position[]) => places.map((at) => toLocation(at, uriOf(at.file)));

  connection.onHover((place) =>
    ask(place, ({ analysis, file, offset }) => {
      const value = describeAt(analysis, file, offset);
      return value === undefined ? null : { contents: { kind: 'markdown' as const, value } };
    }),
  );
  connection.onCompletion((place) =>
    ask(place, ({ analysis, file, text, offset }) =>
      proposalsAt(analysis, file, offset).map((proposal) => toCompletionItem(proposal, text, offset)),
    ),
  );
  connection.onDefinition((place) =>
    ask(place, ({ analysis, file, offset }) => locations(definitionsAt(analysis, file, offset))),
  );
  connection.onReferences((place) =>
    ask(place, ({ analysis, file, offset }) => {
      const mention = mentionAt(analysis, file, offset);
      const all = mention ? mentionsOf(analysis, mention) : [];
      return locations(
        all.filter(({ isDefinition }) => !isDefinition || place.context.includeDeclaration).map(({ place: at }) => at),
      );
    }),
  );
  connection.onPrepareRename((asked) =>
    ask(asked, ({ analysis, file, offset }) => {
      const { place, name } = refusing(() => renamableAt(analysis, file, offset));
      return { range: toRange(place), placeholder: name };
    }),
  );
  connection.onRenameRequest((place) =>
    ask(place, ({ analysis, file, offset }) => {
      const changes: Record<string, { range: ReturnType<typeof toRange>; newText: string }[]> = {};
      for (const at of refusing(() => renameAt(analysis, file, offset, place.newName))) {
        const uri = uriOf(at.file);
        changes[uri] = [...(changes[uri] ?? []), { range: toRange(at), newText: place.newName }];
      }
      return { changes };
    }),
  );
}

/** What cannot be renamed is told to the user. */
function refusing<T>(answer: () => T): T {
  try {
    return answer();
  } catch (error) {
    throw new ResponseError(ErrorCodes.InvalidParams, describeError(error));
  }
}
