import { NEWEST_API_VERSION, splitApiVersion } from '../api/index.ts';
import { TscError } from '../core/index.ts';
import { errorResponse, messageOf, statusOf } from './http-errors.ts';
import type { ApiRequest, ApiResponse, Headers } from './http-message.ts';
import { createRouter } from './match-route.ts';
import { ALL_ROUTES } from './routes/index.ts';
import type { DaemonServices } from './services.ts';

/** The daemon as a function: never rejects, every failure is an answer. */
export type Handler = (request: ApiRequest) => Promise<ApiResponse>;

/** Headers of every answer: clients choose the version and the builder by them. */
export function standardHeaders(version: string): Headers {
  return {
    'Api-Version': NEWEST_API_VERSION,
    'Docker-Experimental': 'false',
    Ostype: 'linux',
    Server: `tscompose/${version} (linux)`,
  };
}

/** Makes the handler over the given services. */
export function createHandler(services: DaemonServices): Handler {
  const router = createRouter(ALL_ROUTES);
  return async (request) => {
    const started = services.clock.monotonic();
    let response: ApiResponse;
    try {
      const { version, path } = splitApiVersion(request.path);
      const match = router(request.method, path);
      if (!match) throw new TscError('daemon/not-found', `page not found: ${request.method} ${path.slice(0, 200)}`);
      const param = (name: string) => match.params[name] ?? '';
      response = await match.route.run({ request, version, param, services });
    } catch (error) {
      const status = statusOf(error);
      const call = { method: request.method, path: request.path, status };
      if (status === 500) services.logger.error({ ...call, error }, 'request failed');
      else services.logger.debug({ ...call, reason: messageOf(error) }, 'request refused');
      response = errorResponse(error);
    }
    const status = response.kind === 'hijack' ? 101 : response.status;
    const ms = Math.round(services.clock.monotonic() - started);
    services.logger.debug({ method: request.method, path: request.path, status, ms }, 'request');
    return response;
  };
}
