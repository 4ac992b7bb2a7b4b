import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const BACKEND = '/usr/lib/git-core/git-http-backend';

/** Content of one commit: text of files by path; a target behind `link:` makes a symbolic link. */
export type CommitFiles = Readonly<Record<string, string>>;

/** Git's own smart http server on a loopback port of its own, repositories in a temporary directory. */
export interface TestGitServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`; a repository is `<url>/<name>.git`. */
  readonly url: string;
  /** The same repositories by git's own protocol: `git://127.0.0.1:port`. */
  readonly nativeUrl: string;
  /** Requests seen since the start. */
  readonly requests: readonly string[];
  /** Commits files to a branch (`main`) of a repository, created when new; resolves with the commit. Files of the branch are replaced. */
  commit(repository: string, files: CommitFiles, branch?: string): string;
}

export async function startGitServer(): Promise<TestGitServer> {
  const root = mkdtempSync(join(tmpdir(), 'tsc-git-'));
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    serve(root, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const native = await serveNative(root);
  return {
    url: `http://127.0.0.1:${port}`,
    nativeUrl: `git://127.0.0.1:${(native.address() as AddressInfo).port}`,
    requests,
    commit: (repository, files, branch = 'main') => commit(root, repository, files, branch),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => native.close(resolve));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

const ENVIRONMENT = {
  PATH: '/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.test',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.test',
};

function commit(root: string, repository: string, files: CommitFiles, branch: string): string {
  const work = mkdtempSync(join(root, 'work-'));
  const bare = join(root, `${repository}.git`);
  const git = (...args: string[]) => execFileSync('git', args, { cwd: work, env: ENVIRONMENT, encoding: 'utf8' });
  if (!existsSync(bare)) git('init', '-q', '--bare', '-b', 'main', bare);
  git('init', '-q', '-b', branch, '.');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    if (text.startsWith('link:')) symlinkSync(text.slice('link:'.length), join(work, path));
    else writeFileSync(join(work, path), text);
  }
  git('add', '-A');
  git('commit', '-q', '-m', 'test');
  git('push', '-q', '-f', bare, `HEAD:refs/heads/${branch}`);
  const sha = git('rev-parse', 'HEAD').trim();
  rmSync(work, { recursive: true, force: true });
  return sha;
}

/** Git's daemon, one for each connection. */
async function serveNative(root: string): Promise<Server> {
  const server = createSocketServer({ allowHalfOpen: true }, (socket) => {
    const daemon = spawn('git', ['daemon', '--inetd', '--export-all', `--base-path=${root}`, root], {
      env: ENVIRONMENT,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    socket.on('error', () => daemon.kill());
    daemon.stdin.on('error', () => undefined);
    socket.pipe(daemon.stdin);
    daemon.stdout.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** The little of CGI that the backend needs. */
function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const backend = spawn(BACKEND, [], {
    env: {
      PATH: ENVIRONMENT.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: '',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(backend.stdin);
  backend.stdin.on('error', () => undefined);
  const chunks: Buffer[] = [];
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  backend.on('close', () => {
    const whole = Buffer.concat(chunks);
    const end = whole.indexOf('\r\n\r\n');
    const headers = whole.subarray(0, end).toString('latin1').split('\r\n');
    for (const line of headers) {
      const [name = '', ...value] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value.join(), 10);
      else if (name !== '') response.setHeader(name, value.join(': '));
    }
    response.end(whole.subarray(end + 4));
  });
}
