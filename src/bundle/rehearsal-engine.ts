import { createServer, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

interface Made {
  readonly id: string;
  readonly name: string;
  readonly spec: { readonly Image?: string; readonly Labels?: object };
  running: boolean;
}

/** What a call is about. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

/**
 * An engine for the rehearsal: it remembers which containers it was asked for and says yes to everything, in the shapes
 * of the Engine API.
 */
export function openRehearsalEngine(socketPath: string): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const containers = new Map<string, Made>();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://engine');
    const path = url.pathname.replace(/^\/v[\d.]+/, '');
    const body = await text(request);
    // Events come later or never; whoever listens to them closes the connection.
    if (path === '/events') response.writeHead(200).flushHeaders();
    else answer({ method: request.method ?? 'GET', path, query: url.searchParams, body }, containers, response);
  });
  // The output of a container that says nothing.
  server.on('upgrade', (_, socket) =>
    socket.end('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'),
  );
  return server.listen(socketPath, () => resolve(server)) && promise;
}

function answer(call: Call, containers: Map<string, Made>, response: ServerResponse): void {
  const { method, path } = call;
  const [, kind = '', id = '', verb = ''] = path.split('/');
  const found = kind === 'containers' ? containers.get(id) : undefined;
  if (kind === 'containers' && method === 'GET' && verb === 'logs') response.writeHead(200).end();
  else if (method === 'GET') send(response, 200, found ? details(found) : state(path, containers));
  else if (path === '/containers/create') send(response, 201, create(call, containers));
  else if (verb === 'create' || id === 'create') send(response, 201, { Id: `made-${kind}`, Name: 'made' });
  else if (verb === 'wait') send(response, 200, { StatusCode: 0 });
  else {
    if (found) found.running = verb === 'start';
    if (method === 'DELETE') containers.delete(id);
    send(response, 204, undefined);
  }
}

function create({ query, body }: Call, containers: Map<string, Made>): object {
  const id = String(containers.size + 1).padStart(64, '0');
  containers.set(id, { id, name: query.get('name') ?? id, spec: JSON.parse(body) as Made['spec'], running: false });
  return { Id: id, Warnings: [] };
}

/** Everything there is of a kind, and facts about the engine. */
function state(path: string, containers: ReadonlyMap<string, Made>): unknown {
  if (path === '/containers/json') return Array.from(containers.values(), summary);
  if (path === '/version') return { Version: '0', ApiVersion: '1.52', Os: 'linux', Arch: 'amd64' };
  if (path === '/volumes') return { Volumes: [] };
  if (path.startsWith('/images/') && path !== '/images/json') return { Id: 'sha256:0', RepoTags: [], Config: {} };
  return [];
}

function summary({ id, name, spec, running }: Made): object {
  const [State, Status] = running ? ['running', 'Up 1 second'] : ['exited', 'Exited (0) 1 second ago'];
  const { Image, Labels } = spec;
  return { Id: id, Names: [`/${name}`], Image, ImageID: 'sha256:0', Labels, State, Status, Ports: [], Created: 1 };
}

function details({ id, name, spec, running }: Made): object {
  const State = { Status: running ? 'running' : 'exited', Running: running, ExitCode: 0, Pid: 1 };
  return { Id: id, Name: `/${name}`, Image: 'sha256:0', State, Config: spec, NetworkSettings: { Ports: {} } };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
