import { TscError } from '../../core/index.ts';
import { json } from '../http-message.ts';
import { type Method, type Route, route } from '../match-route.ts';

const ANY: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'];

/** What an engine outside of a swarm and without plugins answers, and what is refused so that clients fall back. */
export const swarmRoutes: readonly Route[] = [
  route('POST', '/swarm/{verb}', () => {
    throw new TscError('daemon/unsupported', 'swarm mode is not supported by this engine');
  }),
  ...['/swarm', '/nodes', '/services', '/tasks', '/secrets', '/configs'].flatMap((path) => [
    route(ANY, path, noManager),
    route(ANY, `${path}/{rest...}`, noManager),
  ]),
  route('GET', '/plugins', () => json([])),
  route(ANY, '/plugins/{rest...}', () => {
    throw new TscError('daemon/unsupported', 'plugins are not supported by this engine');
  }),
  route('POST', '/session', noBuildKit),
  route('POST', '/grpc', noBuildKit),
];

function noManager(): never {
  throw new TscError(
    'daemon/unavailable',
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
}

function noBuildKit(): never {
  throw new TscError('daemon/not-found', 'page not found: this engine has no BuildKit session', {
    hint: 'set DOCKER_BUILDKIT=0 for the classic builder',
  });
}
